"""Static files under addresses that change with their content, and pages that travel compressed."""

import gzip
import hashlib
import io
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Flask, Response, abort, request, url_for

FOLDER = Path(__file__).parent / "static"

FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}

#: Below this a packet is sent anyway, and compressing saves nothing.
_WORTH_IT = 1024

#: A page's length is blurred by up to this many bytes.
_BLUR = 100


@dataclass(frozen=True)
class Asset:
    """A static file as it is sent; `packed` is empty where compressing does not pay."""

    body: bytes
    packed: bytes
    mimetype: str


@cache
def asset(name: str) -> Asset:
    """The file `name` in the static folder. Raises FileNotFoundError."""
    if name not in _names():
        raise FileNotFoundError(name)
    file = FOLDER / name
    body = file.read_bytes()
    packed = gzip.compress(body, 9, mtime=0)
    mimetype = _TYPES.get(file.suffix, "text/plain")
    return Asset(body, packed if len(packed) < 0.9 * len(body) else b"", mimetype)


@cache
def _names() -> frozenset[str]:
    return frozenset(file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file())


@cache
def fingerprint(name: str) -> str:
    """Twelve characters that change with the content of the file, or of any file beside it in a folder.

    Files of a folder share theirs, so that modules find each other by relative names. Raises FileNotFoundError.
    """
    if name not in _names():
        raise FileNotFoundError(name)
    folder = name.rpartition("/")[0]
    files = sorted(other for other in _names() if other.startswith(f"{folder}/")) if folder else [name]
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256((FOLDER / file).read_bytes()).digest() + file.encode())
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """The address of a static file, different for each content, so that browsers keep it for a year."""
    return url_for("static", filename=f"{fingerprint(name)}/{name}")


def _serve(filename: str) -> Response:
    """A static file: kept for a year under the address of this content, asked for again under any other."""
    stated, _, rest = filename.partition("/")
    name = next((name for name in (rest, filename) if name in _names()), None)
    if name is None:
        abort(404)  # before anything is remembered of it: addresses are anybody's to make up
    found = asset(name)
    response = Response(found.body, mimetype=found.mimetype)
    tag = fingerprint(name)
    if found.packed:
        response.vary.add("Accept-Encoding")
        if _accepts_gzip():
            response.set_data(found.packed)
            response.headers["Content-Encoding"] = "gzip"
            tag += "-gzip"
    response.set_etag(tag)
    response.headers["Cache-Control"] = FOREVER if stated == fingerprint(name) else "no-cache"
    return response.make_conditional(request)  # type: ignore[return-value]


def _accepts_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _pack(response: Response) -> Response:
    """Compress a page.

    A page holds what is private beside what an address brings (the way back after a change of language), which
    lets somebody who watches lengths guess at the one by way of the other (BREACH). What protects forms is signed
    anew each second and so cannot be guessed piece by piece; for the rest, a name of random length in gzip's header blurs
    the length of every page.
    """
    if response.mimetype != "text/html" or response.is_streamed or "Content-Encoding" in response.headers:
        return response
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if len(body) < _WORTH_IT or not _accepts_gzip():
        return response
    packed = io.BytesIO()
    with gzip.GzipFile("a" * secrets.randbelow(_BLUR), "wb", 6, packed) as out:
        out.write(body)
    response.set_data(packed.getvalue())
    response.headers["Content-Encoding"] = "gzip"
    return response


def init_app(app: Flask) -> None:
    """Serve the static files of `app`, which has none of its own, and compress its pages."""
    app.add_url_rule("/static/<path:filename>", "static", _serve)
    app.after_request(_pack)
    app.jinja_env.globals["static"] = address
