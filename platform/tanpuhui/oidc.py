"""An OpenID Connect provider beside the phone: authorization code with PKCE, state and nonce.

Only the scope ``openid`` is asked for, and of the token only the subject is used. Needs the extra `oidc` (Authlib).
"""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
import structlog
from authlib.oauth2 import OAuth2Client, OAuth2Error
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from tanpuhui import clock
from tanpuhui.errors import IdentityLoginLost, IdentityNotProven, IdentityProviderDown, IdentityRefused
from tanpuhui.identities import Begun, OutsideIdentity, fingerprint
from tanpuhui.rooms import House

log = structlog.get_logger(__name__)

#: Signatures that are believed: by a key pair. A shared secret or none at all proves nothing here.
ALGORITHMS = ("RS256", "PS256", "ES256")
_KEY_TYPES = ("RSA", "EC")

#: Seconds: what a person waits for the provider at most; how long what it says of itself is good; clocks may differ by.
PATIENCE, GOOD_FOR, LEEWAY = 5, 3600, 60

#: How many of a process's threads talk to the provider at once, and how long another waits for its turn (seconds): a
#: provider that hangs must not keep people from scanning.
TALKS, WAIT = 4, 1

#: How long a log-in may take, from here to there and back (seconds).
LOGIN_GOOD_FOR = 15 * 60

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider says of itself, and since when that is known (on the monotonic clock)."""

    document: dict[str, Any]
    keys: KeySet
    since: float


class OpenIdConnect:
    """The provider that the settings name."""

    code = "oidc"
    outside = True

    def __init__(self, house: House) -> None:
        """Asks the provider nothing yet."""
        self._house, self._settings = house, house.settings
        self._http = httpx.Client(timeout=PATIENCE, headers={"Accept": "application/json"})
        self._known: _Known | None = None
        self._turns = threading.BoundedSemaphore(TALKS)

    def name(self, language: str) -> str:
        """What people call it."""
        english = self._settings.oidc_name_en if language == "en" else ""
        return english or self._settings.oidc_name

    @property
    def back(self) -> str:
        """Where the provider sends people back to; it must be registered there."""
        return f"{self._settings.public_url}/login/with/{self.code}/back"

    def begin(self, given: Mapping[str, str]) -> Begun:  # noqa: ARG002 - nothing is typed on our side
        """Begin a log-in; the person goes on at the address. Raises IdentityProviderDown."""
        pending = {
            "state": secrets.token_urlsafe(24),
            "nonce": secrets.token_urlsafe(24),
            "verifier": secrets.token_urlsafe(48),
            "until": str(int(clock.now().timestamp()) + LOGIN_GOOD_FOR),
        }
        address, _state = self._client().create_authorization_url(
            self._about_itself().document["authorization_endpoint"],
            state=pending["state"],
            nonce=pending["nonce"],
            code_verifier=pending["verifier"],
        )
        return Begun(pending, address)

    def end(self, pending: Mapping[str, str], answer: Mapping[str, str]) -> OutsideIdentity:
        """Who came back with `answer`, the query of the address they came back to.

        Raises IdentityLoginLost, IdentityRefused, IdentityNotProven, IdentityProviderDown.
        """
        ours = secrets.compare_digest(pending.get("state", "").encode(), answer.get("state", "").encode())
        if not pending.get("state") or not ours or clock.now().timestamp() > int(pending["until"]):
            raise IdentityLoginLost
        if "error" in answer:
            if answer["error"] in {"server_error", "temporarily_unavailable"}:
                raise IdentityProviderDown
            raise IdentityRefused
        if not answer.get("code"):
            raise self._not_proven("no code")
        tokens = self._exchange(answer["code"], pending["verifier"])
        issuer = self._about_itself().document["issuer"]
        subject = self._subject(tokens, pending["nonce"], issuer)
        return OutsideIdentity(self._house, self.code, fingerprint(self._settings, issuer, subject))

    # --- what the provider is asked ------------------------------------------------------------------------

    def _client(self) -> OAuth2Client:
        settings = self._settings
        return OAuth2Client(
            session=self._http,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value(),
            redirect_uri=self.back,
            scope="openid",
            code_challenge_method="S256",
        )

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        """The tokens that a code is good for; the secret goes the way the provider wants it."""
        about = self._about_itself().document
        ways = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        identity, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret.get_secret_value()
        auth, in_body = httpx.Auth(), {"client_id": identity, "client_secret": secret}
        if secret and "client_secret_basic" in ways:
            auth, in_body = httpx.BasicAuth(quote_plus(identity), quote_plus(secret)), {}
        try:
            with self._turn():
                tokens: dict[str, Any] = self._client().fetch_token(
                    about["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=self.back,
                    auth=auth,
                    **in_body,
                )
        except OAuth2Error as error:
            raise self._not_proven(error.error) from None
        except (httpx.HTTPError, ValueError) as error:
            raise self._down("token", error) from None
        return tokens

    def _about_itself(self, *, anew: bool = False) -> _Known:
        """The discovery document and the keys, kept for an hour. Raises IdentityProviderDown."""
        known = self._known
        if known and not anew and time.monotonic() - known.since < GOOD_FOR:
            return known
        try:
            with self._turn():
                document = self._discover(self._settings.oidc_issuer)
                found = self._get(document["jwks_uri"])["keys"]
            keys = [key for key in found if key.get("kty") in _KEY_TYPES]
            known = _Known(document, KeySet.import_key_set({"keys": keys}), time.monotonic())
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._down("discovery", error) from None
        self._known = known
        return known

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A turn at talking to the provider. Raises IdentityProviderDown if none is to be had."""
        if not self._turns.acquire(timeout=WAIT):
            raise self._down("turn", TimeoutError())
        try:
            yield
        finally:
            self._turns.release()

    def _discover(self, issuer: str) -> dict[str, Any]:
        document = self._get(get_well_known_url(issuer, external=True))
        if document["issuer"].rstrip("/") != issuer.rstrip("/"):
            raise ValueError("it says it is another issuer")
        schemes = ("https://", f"{issuer.partition('://')[0]}://")
        if not all(document[endpoint].startswith(schemes) for endpoint in _ENDPOINTS):
            raise ValueError("an endpoint is less secure than the issuer")
        return document

    def _get(self, address: str) -> dict[str, Any]:
        answer = self._http.get(address)
        answer.raise_for_status()
        found = answer.json()
        if not isinstance(found, dict):
            raise TypeError("not an object")
        return found

    # --- what it answered ----------------------------------------------------------------------------------

    def _subject(self, tokens: Mapping[str, Any], nonce: str, issuer: str) -> str:
        """The subject of the ID token, once everything about the token is right."""
        try:
            token = self._verified(tokens["id_token"])
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                    "sub": {"essential": True},
                },
                {
                    "nonce": nonce,
                    "client_id": self._settings.oidc_client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=int(clock.now().timestamp()), leeway=LEEWAY)
        except JoseError as error:
            claim = getattr(error, "claim", "")
            raise self._not_proven(f"{error.error} {claim}".strip()) from None
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_proven(type(error).__name__) from None
        return str(claims["sub"])

    def _verified(self, id_token: str) -> jwt.Token:
        """The token, signed by a key of the provider; its keys are asked for again when they have changed."""
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        try:
            return jwt.decode(id_token, self._about_itself().keys, registry=registry)
        except InvalidKeyIdError:
            return jwt.decode(id_token, self._about_itself(anew=True).keys, registry=registry)

    @staticmethod
    def _not_proven(reason: str) -> IdentityNotProven:
        log.warning("identity_not_proven", provider=OpenIdConnect.code, reason=reason)
        return IdentityNotProven(reason=reason)

    @staticmethod
    def _down(step: str, error: Exception) -> IdentityProviderDown:
        log.error(
            "identity_provider_down", provider=OpenIdConnect.code, step=step, reason=type(error).__name__
        )
        return IdentityProviderDown()
