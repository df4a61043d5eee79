"""The web: app factory, problem+json, pages and the shell of the JSON API."""

from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, current_app, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_babel import Babel
from flask_openapi import Info, OpenAPI
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from tanpuhui.errors import PhotoTooLarge
from tanpuhui.rooms import House, build_house
from tanpuhui.web import api, assets, auth, formatting, operations, problems, slowing

LANGUAGES = ("zh", "en")
LANGUAGE_COOKIE = "tph_language"

_POLICY = (
    "default-src 'self'; script-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def create_app(house: House | None = None, *, testing: bool = False) -> Flask:
    """The Flask app of `house` (default: built from the environment)."""
    house = house or build_house()
    app = _App(
        "tanpuhui.web",
        info=Info(title="Tanpuhui API", version="1.0.0"),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer"}},
        validation_error_status=422,
        validation_error_model=api.Problem,
        validation_error_callback=api.on_validation_error,
        doc_ui=False,
        template_folder="templates",
        static_folder=None,
    )
    app.session_interface = _FormSessions()
    app.extensions["tanpuhui"] = house
    app.testing = testing
    app.secret_key = house.settings.key("cookies")
    app.config.update(
        MAX_CONTENT_LENGTH=api.MAX_BODY,
        MAX_FORM_MEMORY_SIZE=api.MAX_BODY,
        SESSION_COOKIE_NAME="tph_form",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=house.settings.public_url.startswith("https://"),
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        BABEL_DEFAULT_LOCALE="zh",
        BABEL_TRANSLATION_DIRECTORIES=str(Path(__file__).parent / "translations"),
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    Babel(app, locale_selector=choose_language)
    app.before_request(_allow_files)  # before anybody reads the form
    csrf = CSRFProtect(app)
    for part in (api, assets, auth, problems, slowing):
        part.init_app(app)
    formatting.teach(app)
    operations.measure(app)
    for blueprint in (blueprint for room in house.rooms for blueprint in room.blueprints(house)):
        if isinstance(blueprint, api.APIBlueprint):
            app.register_api(blueprint)
            csrf.exempt(blueprint)
        else:
            app.register_blueprint(blueprint)
    app.add_url_rule("/api/v1/openapi.json", "openapi", lambda: api.json_answer(app.api_doc))
    app.after_request(_protect)
    if house.settings.trusted_proxies:
        hops = house.settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


class _App(OpenAPI):
    def ensure_sync(self, func: Any) -> Any:
        """Every view of ours is a plain function: no need to look at each one in each request."""
        return func

    def register_api(self, api: api.APIBlueprint, **options: Any) -> None:
        """Describe every operation of a path, though some need a token and some do not (two blueprints)."""
        for path in self.paths.keys() & api.paths.keys():
            more = {method: getattr(api.paths[path], method) for method in api.paths[path].model_fields_set}
            api.paths[path] = self.paths[path].model_copy(update=more)
        super().register_api(api, **options)


class _FormSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, which holds the protection of our forms; machines send none and cost nothing."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)


def _allow_files() -> None:
    """A view whose form may carry a file says how large it is at most: `most_body`. Raises its `too_large`, if not PhotoTooLarge."""
    view = current_app.view_functions.get(request.endpoint or "")
    most = getattr(view, "most_body", None)
    if most is not None:
        request.max_content_length = most
        if (request.content_length or 0) > most:
            raise getattr(view, "too_large", PhotoTooLarge)


def choose_language() -> str:
    """The language chosen before, else what the browser prefers, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES) or "zh"


def _protect(response: Response) -> Response:
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    if response.mimetype == "text/html":
        headers["Content-Security-Policy"] = _POLICY
        headers["Referrer-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(self), geolocation=(self), microphone=()"
    if current_app.config["SESSION_COOKIE_SECURE"]:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
