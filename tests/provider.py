"""An OpenID Connect provider on loopback: discovery, authorization, token, keys; and every way of going wrong."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as AnyResponse

from tests.databases import free_port

CLIENT, SECRET, NAME, NAME_EN = "tanpuhui", "a secret & a half", "城市通行证", "City Pass"


class _Silent(WSGIRequestHandler):
    def log(self, *_arguments: Any) -> None:
        """Say nothing."""


@dataclass
class CityPass:
    """The provider. Its knobs say who is at its page, and what is wrong with what it answers."""

    base: str
    subject: str = "citizen-1"
    #: Instead of a code: this error.
    error: str = ""
    #: Ask the person on a page of its own, or send them straight back.
    asks: bool = False
    #: Changes the claims, or the whole token, before it is sent.
    claims: Callable[[dict[str, Any]], Any] = lambda _claims: None
    algorithm: str = "RS256"
    signs_with: Any = None
    down: bool = False
    #: Nobody is answered before this is set.
    answers: threading.Event = field(default_factory=threading.Event)
    document: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True))
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What a deployment is told of it."""
        return {
            "oidc_issuer": self.base,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SECRET,
            "oidc_name": NAME,
            "oidc_name_en": NAME_EN,
        }

    def app(self) -> Flask:
        """Its web."""
        app = Flask("citypass")
        app.before_request(self._note)
        app.add_url_rule("/.well-known/openid-configuration", "discovery", self._discovery)
        app.add_url_rule("/keys", "keys", self.key_set)
        app.add_url_rule("/authorize", "authorize", self._authorize)
        app.add_url_rule("/token", "token", self._token, methods=["POST"])
        return app

    def _note(self) -> Response | None:
        self.asked.append(request.path)
        self.answers.wait(30)
        return Response("down for repairs", 503) if self.down else None

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "jwks_uri": f"{self.base}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.document,
        }

    def key_set(self) -> dict[str, Any]:
        """Its public keys, one of a kind that nobody knows yet among them."""
        return {"keys": [{"kty": "AKP", "kid": "of-tomorrow"}, self.key.as_dict(private=False)]}

    def _authorize(self) -> AnyResponse | str:
        asked = request.args
        assert asked["client_id"] == CLIENT
        assert asked["response_type"] == "code"
        assert asked["scope"] == "openid"
        assert asked["code_challenge_method"] == "S256"
        if self.asks and "yes" not in asked and "no" not in asked:
            query = request.query_string.decode().replace('"', "%22").replace("&", "&amp;")
            return (
                f"<!doctype html><html lang=zh><title>{NAME}</title><h1>{NAME}</h1>"
                f'<p><a href="?{query}&amp;yes">同意登录</a></p><p><a href="?{query}&amp;no">不同意</a></p>'
            )
        answer = {"state": asked["state"]}
        if self.error or "no" in asked:
            answer["error"] = self.error or "access_denied"
        else:
            answer["code"] = code = secrets.token_urlsafe(12)
            self._codes[code] = asked.to_dict()
        return redirect(f"{asked['redirect_uri']}?{urlencode(answer)}")

    def _token(self) -> Response | tuple[dict[str, str], int]:
        sent, login = request.form, request.authorization
        known = login and (login.username, login.password) == (CLIENT, "a+secret+%26+a+half")
        if not known and (sent.get("client_id"), sent.get("client_secret")) != (CLIENT, SECRET):
            return {"error": "invalid_client"}, 401
        asked = self._codes.pop(sent["code"], None)  # a code is good once
        if asked is None or sent["redirect_uri"] != asked["redirect_uri"]:
            return {"error": "invalid_grant"}, 400
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        if _encoded(digest) != asked["code_challenge"]:
            return {"error": "invalid_grant"}, 400
        return Response(json.dumps(self._tokens(asked["nonce"])), mimetype="application/json")

    def _tokens(self, nonce: str) -> dict[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.base,
            "sub": self.subject,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "name": "王小明",
            "email": "wang@example.org",
            "phone_number": "+8613711112222",
        }
        changed = self.claims(claims)
        answer = {"access_token": secrets.token_urlsafe(12), "token_type": "Bearer", "expires_in": 300}
        return {**answer, "id_token": changed if isinstance(changed, str) else self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        header = {"alg": self.algorithm, "kid": self.key.kid}
        if self.algorithm == "RS256":
            return jwt.encode(header, claims, self.signs_with or self.key)
        said = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        public = self.key.as_pem(private=False)  # everybody knows it: as a secret it proves nothing
        mark = hmac.digest(public, said.encode(), "sha256") if self.algorithm == "HS256" else b""
        return f"{said}.{_encoded(mark)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def city_pass() -> Iterator[CityPass]:
    """A provider, served on loopback by a thread."""
    port = free_port()
    provider = CityPass(f"http://127.0.0.1:{port}")
    provider.answers.set()
    server = make_server("127.0.0.1", port, provider.app(), threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
