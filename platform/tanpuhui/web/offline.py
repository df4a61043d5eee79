"""The app on the phone: its manifest, its service worker, the scanner, and the pages that stand without network.

A scan confirmed without network is kept on the phone by the service worker (`static/worker.js`) with its idempotency key,
the moment it happened and the mark of who confirmed it, a resident or a helper, and is sent through the ordinary form when
the network is back. The pages of this module are alike for everybody, so that the phone may keep them; of a helper it
keeps the desk as well, until the session ends.
"""

import hashlib
import hmac
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, url_for
from flask_babel import force_locale, gettext as _
from flask_wtf.csrf import generate_csrf

from tanpuhui import clock
from tanpuhui.errors import OtherResident
from tanpuhui.sessions import Principal
from tanpuhui.web import assets
from tanpuhui.web.api import iso
from tanpuhui.web.auth import colleague, house, visitor
from tanpuhui.web.formatting import language

blueprint = Blueprint("offline", __name__)

_HERE = Path(__file__).parent

#: What the phone keeps besides the pages: looks and scripts.
_KEPT = (
    "app.css",
    "mark.svg",
    "queue.js",
    "app.js",
    "offline.js",
    "waiting.js",
    "desk.js",
    "scanner.js",
    "vendor/qr/decode.js",
    "vendor/qr/index.js",
)


@blueprint.app_template_global()
def resident_mark() -> str:
    """Stands for the logged-in resident on this phone without saying who it is; empty if nobody is logged in."""
    return _mark(visitor())


@blueprint.app_template_global()
def staff_mark() -> str:
    """The same for the member of staff who is logged in."""
    return _mark(colleague())


def _mark(who: Principal | None) -> str:
    return (
        hmac.digest(house().settings.key("phone-queue"), who.person.bytes, "sha256").hex()[:20] if who else ""
    )


def check_mark(mark: str | None, own: str) -> None:
    """Refuse what another than the one with the mark `own` confirmed on this phone. Raises OtherResident."""
    if mark and not hmac.compare_digest(mark.encode(), own.encode()):
        raise OtherResident


# --- pages -------------------------------------------------------------------------------------------------


@blueprint.get("/scan")
def scanner() -> str:
    """Scan with the camera in the page, or type the short code."""
    return render_template("scanner.html", public_url=house().settings.public_url)


@blueprint.get("/offline")
def offline() -> str:
    """What the phone shows in place of a page that it cannot reach."""
    return render_template("offline.html")


@blueprint.get("/waiting")
def waiting() -> str:
    """The scans that wait on this phone to be sent, and what became of them."""
    return render_template("waiting.html")


@blueprint.get("/offline/state")
def state() -> Response:
    """What the phone needs to send what waits: whose session it has, the token of its forms, the time."""
    return jsonify(resident=resident_mark(), staff=staff_mark(), csrf=generate_csrf(), now=iso(clock.now()))


# --- the installed app -------------------------------------------------------------------------------------


@blueprint.get("/manifest.webmanifest")
def manifest() -> Response:
    """What the phone needs to install the app. Browsers ask for it without cookies, so its address names the language."""
    wanted = request.args.get("lang")
    with force_locale(wanted if wanted in {"zh", "en"} else language()):
        document = _manifest()
        if request.args.get("app") == "desk":
            document |= _desk_app()
    answer = Response(json.dumps(document, ensure_ascii=False), mimetype="application/manifest+json")
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return answer


def _manifest() -> dict[str, Any]:
    return {
        "id": "/",
        "name": _("碳普惠"),
        "short_name": _("碳普惠"),
        "description": _("做一件绿色小事，看见它省下多少"),
        "lang": "en" if language() == "en" else "zh-Hans",
        "start_url": url_for("pages.home"),
        "scope": "/",
        "display": "standalone",
        "background_color": token_colour("paper"),
        "theme_color": token_colour("paper"),
        "icons": [
            _icon("icons/app-192.png", 192),
            _icon("icons/app-512.png", 512),
            _icon("icons/maskable-512.png", 512, "maskable"),
        ],
        "shortcuts": [{"name": _("扫码"), "url": url_for("offline.scanner")}],
    }


def _desk_app() -> dict[str, Any]:
    """What is different when a helper installs the desk: an app of its own, which begins there."""
    start = url_for("helping.desks")
    shown = {
        "id": start,
        "start_url": start,
        "name": _("碳普惠登记台"),
        "short_name": _("登记台"),
        "shortcuts": [],
    }
    return shown | {"description": _("替居民登记，没有网络也能用")}


def _icon(name: str, pixels: int, purpose: str = "any") -> dict[str, str]:
    return {
        "src": assets.address(name),
        "sizes": f"{pixels}x{pixels}",
        "type": "image/png",
        "purpose": purpose,
    }


@cache
def token_colour(name: str) -> str:
    """A colour of the light theme by the name of its token."""
    found = re.search(rf"--{name}: (#[0-9a-f]{{6}});", assets.asset("app.css").body.decode())
    assert found is not None, name
    return found[1]


@blueprint.get("/sw.js")
def worker() -> Response:
    """The service worker, with the list of what it keeps; a new one whenever any of that has changed."""
    settings = house().settings
    shell = {
        "version": _version(settings.help_phone, settings.public_url),
        "pages": [url_for(f"offline.{name}") for name in ("offline", "waiting", "scanner")],
        "files": [assets.address(name) for name in _KEPT],
    }
    parts = [f"const SHELL = {json.dumps(shell)};"]
    parts += [assets.asset(name).body.decode() for name in ("queue.js", "worker.js")]
    answer = Response("\n".join(parts), mimetype="text/javascript")
    answer.headers["Cache-Control"] = "no-cache"
    return answer


@cache
def _version(*settings: str) -> str:
    """Changes with any file, and any of the `settings`, that the kept pages are made of."""
    made_of = [_HERE / "templates", _HERE / "translations"]
    files = sorted(
        file for folder in made_of for file in folder.rglob("*") if file.suffix in {".html", ".mo"}
    )
    digest = hashlib.sha256(json.dumps([settings, *map(assets.fingerprint, _KEPT)]).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
