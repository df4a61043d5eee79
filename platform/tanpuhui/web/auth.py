"""Who is asking: session cookies of browsers, bearer tokens of machines.

A browser may hold two sessions side by side, a resident's and a member of staff's: an organiser is a resident,
too. Resident pages look at the one, console and bureau at the other.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import audit, families, sessions
from tanpuhui.errors import InvalidField, NotAuthenticated, PersonsOnly
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Doorkeeper, Kind, Principal, end_session, session_was_of
from tanpuhui.staff import Role, covers, grants_of, require
from tanpuhui.web import resume

View = TypeVar("View", bound=Callable[..., Any])

COOKIES: dict[Kind, str] = {"resident": "tph_resident", "staff": "tph_staff"}


def house() -> House:
    """The house of the running app."""
    found: House = current_app.extensions["tanpuhui"]
    return found


def _session(kind: Kind) -> Principal | None:
    key = f"_principal_{kind}"
    if key not in g:
        token = request.cookies.get(COOKIES[kind], "")
        found = house().part(Doorkeeper).identify_browser(token) if 20 <= len(token) <= 100 else None
        g.setdefault(key, found if found and found.kind == kind else None)
    principal: Principal | None = g.get(key)
    return principal


def visitor() -> Principal | None:
    """The resident who is logged in with this browser, if any."""
    return _session("resident")


def colleague() -> Principal | None:
    """The member of staff who is logged in with this browser, if any."""
    return _session("staff")


def resident() -> Principal:
    """The logged-in resident. Raises NotAuthenticated."""
    found = visitor()
    if found is None:
        raise NotAuthenticated
    return found


def staff() -> Principal:
    """The logged-in member of staff. Raises NotAuthenticated."""
    found = colleague()
    if found is None:
        raise NotAuthenticated
    return found


def saw(subject: str, *, what: str = "") -> None:
    """Write down that the logged-in member of staff was shown `subject` (see `audit.saw`); to be called once the page is made."""
    with house().db.session() as session:
        audit.saw(session, staff(), subject, what=what)


def act_for(family: bool) -> Principal:
    """From now on this browser acts for the resident's family, or for the resident. Raises NotAuthenticated."""
    g._principal_resident = sessions.act_for(house(), resident(), family)
    return resident()


def look_again() -> None:
    """Whom this browser acts for may have changed within this request."""
    g.pop("_principal_resident", None)


def machine() -> Principal:
    """The principal of the request's bearer token, for the account that its header names.

    Raises NotAuthenticated, InvalidField for another header than there is, NoFamily for whoever shares none.
    """
    if "_machine" not in g:
        found = house().part(Doorkeeper).identify_machine(bearer())
        if for_family() and found.kind == "resident":
            with house().db.reading() as connection:
                family = families.family_id_of(connection, found.id)
            found = replace(found, family=family).acting_for(True)
        g.setdefault("_machine", found)
    principal: Principal = g.get("_machine")
    return principal


#: Names the account that a request of the API acts for.
ACCOUNT_HEADER = "Tanpuhui-Account"
_ACCOUNTS = {"": False, "me": False, "family": True}


def for_family() -> bool:
    """Whether this request of the API acts for the family that its resident shares. Raises InvalidField."""
    wanted = _ACCOUNTS.get(request.headers.get(ACCOUNT_HEADER, ""))
    if wanted is None:
        raise InvalidField(errors=[{"field": ACCOUNT_HEADER, "reason": N_("请从列表中选择。")}])
    return wanted


def bearer() -> str:
    """The request's bearer token, unproven. Raises NotAuthenticated if there is none that could be ours."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 20 <= len(token) <= 100 or not token.isascii():
        raise NotAuthenticated
    return token


def resident_required(view: View) -> View:
    """Send whoever is not logged in to `/login`, and back here afterwards."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if visitor() is None:
            return _log_in_first("resident", "pages.login")
        return view(*args, **kwargs)

    return guarded  # type: ignore[return-value]


def person_required(view: View) -> View:
    """As `resident_required`, for what belongs to a person: whoever acts for the family is told to change over."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if resident().guardian is not None:
            raise PersonsOnly
        return view(*args, **kwargs)

    return resident_required(guarded)  # type: ignore[return-value]


def staff_required(*roles: Role) -> Callable[[View], View]:
    """Let only staff with one of `roles` (any role, if none is named) in; the services check the scope."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            found = colleague()
            if found is None:
                return _log_in_first("staff", "staff.login")
            with house().db.reading_session() as session:
                require(session, found, roles or tuple(Role))
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def roles_here(*, whole: bool = False) -> frozenset[Role]:
    """The roles of the logged-in member of staff, for menus (never for permission). `whole`: those for the whole district."""
    found = colleague()
    if found is None:
        return frozenset()
    if "_grants" not in g:
        district = house().settings.district_code
        with house().db.reading_session() as session:
            g._grants = [
                (given.role, covers(given, division_code=district, organisation_id=None))
                for given in grants_of(session, found)
            ]
    return frozenset(role for role, everywhere in g._grants if everywhere or not whole)


def log_in_browser(response: AnyResponse, token: str, kind: Kind) -> AnyResponse:
    """Give the browser its session cookie."""
    settings = house().settings
    response.set_cookie(
        COOKIES[kind],
        token,
        max_age=settings.session_days * 86400 if kind == "resident" else None,
        secure=settings.public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response


def log_out_browser(response: AnyResponse, kind: Kind) -> AnyResponse:
    """End the browser's session and take its cookie back."""
    found = _session(kind)
    if found:
        end_session(house(), found)
    response.delete_cookie(COOKIES[kind], path="/")
    return response


def safe_next(target: str | None, fallback: str) -> str:
    """`target` if it is an address of this site, else `fallback`: nobody is sent elsewhere."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return fallback
    parts = urlsplit(target)
    clean = all(character.isprintable() for character in target)
    return target if clean and not parts.netloc and not parts.scheme else fallback


def address() -> str:
    """The caller's network address, for limits only."""
    return request.remote_addr or "unknown"


def _log_in_first(kind: Kind, login: str) -> Any:
    """Send on to `login`. What was typed is kept in a cookie until then; too long for one, it is shown to be copied."""
    owner = _last_owner(kind) if request.method == "POST" else None
    form = resume.typed() if owner else None
    if owner is None or form is None:
        return redirect(url_for(login, next=_here()))
    if resume.keep(owner):
        return redirect(url_for(login, next=url_for("views.what_was_typed")))
    page = render_template("resume.html", form=form, login=url_for(login, next=_here()))
    return page, NotAuthenticated.status


def owner_of(principal: Principal) -> str:
    """A person, as a form that is kept names its owner."""
    return f"{principal.kind}:{principal.person}"


def _last_owner(kind: Kind) -> str | None:
    """Whose session this browser's cookie was, though it has ended; None if it cannot be told."""
    was = session_was_of(house(), request.cookies.get(COOKIES[kind], ""))
    return owner_of(was) if was and was.kind == kind else None


def _here() -> str:
    """This address if it can be opened (again) after log-in; nothing for one that only takes forms."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    adapter = current_app.create_url_adapter(request)
    return request.path if adapter is not None and adapter.test(method="GET") else ""


def init_app(app: Flask) -> None:
    """Let templates ask who is logged in."""
    app.jinja_env.globals.update(visitor=visitor, colleague=colleague, roles_here=roles_here)
