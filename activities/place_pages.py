"""The public pages of places: where something can be recorded, and how it stands there. Reporting needs a log-in."""

from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from babel.dates import get_day_names
from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask_babel import gettext
from pydantic import ValidationError
from sqlalchemy.engine import Connection
from sqlmodel import col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import occasions, places
from activities.catalogue import ActionKind
from activities.known import Knowledge
from activities.place_api import PlacesQuery
from activities.places import Page, Place, Search
from activities.schedules import Schedule, read_schedule
from activities.site_reports import CONDITION_NAMES, Standing, own_word, read_condition, report, words_on
from activities.sites import MANAGERS, SITE_KIND_NAMES, Site, SiteKind, SiteStatus, limits_of
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.people import Resident
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house, staff, staff_required, visitor
from tanpuhui.web.formatting import language, name_of
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("places", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

FILTER_COOKIE = "tph_sites"
_YEAR = 365 * 24 * 3600
_FILTERS = ("kind", "action", "division")

_ICONS = {
    SiteKind.CANTEEN: "food",
    SiteKind.RECYCLING_POINT: "recycling",
    SiteKind.CLOTHES_BIN: "reuse",
    SiteKind.TRANSIT_STOP: "travel",
    SiteKind.PARCEL_STATION: "parcel",
    SiteKind.PLANTING_PLOT: "sink",
    SiteKind.EVENT: "flag",
    SiteKind.OTHER: "place",
}

#: Colour and icon of a condition; its words stand beside them.
_LOOKS = {
    "open": ("leaf", "check"),
    "full": ("sun", "full"),
    "closed": ("bad", "shut"),
    "paused": ("", "pause"),
}


# --- words and parts for every template --------------------------------------------------------------------


@blueprint.app_template_filter()
def site_kind_name(kind: SiteKind) -> str:
    """What sort of place it is, in words."""
    return str(gettext(SITE_KIND_NAMES[kind]))


@blueprint.app_template_filter()
def site_kind_icon(kind: SiteKind) -> str:
    """The icon of a sort of place."""
    return _ICONS[kind]


@blueprint.app_template_filter()
def schedule_words(schedule: Schedule) -> str:
    """Opening hours as people say them, days that are alike together: 周一 – 周五 07:00–19:00；周六 08:00–12:00."""
    names = get_day_names("abbreviated", locale=language())
    told, day = [], 0
    for spans, run in groupby(schedule.days):
        first, day = day, day + len(list(run))
        if spans:
            days = names[first] if day - first == 1 else f"{names[first]} – {names[day - 1]}"
            told.append(f"{days} {', '.join(f'{_clock(begin)}–{_clock(end)}' for begin, end in spans)}")
    return str(gettext("；")).join(told)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@blueprint.app_template_filter()
def condition_name(condition: str) -> str:
    """How a site stands, in words."""
    return str(gettext(CONDITION_NAMES[condition]))


@blueprint.app_template_filter()
def condition_look(condition: str) -> tuple[str, str]:
    """The colour and the icon of a condition."""
    return _LOOKS[condition]


class Near(NamedTuple):
    """What goes on around a resident, and sites of the own community; for anybody else, the district's occasions."""

    occasions: list[occasions.Occasion]
    places: list[Place]
    now: datetime


@blueprint.app_template_global()
def near_me() -> Near:
    """Up to three occasions and up to three places, for the first page."""
    now = clock.now()
    with house().db.reading() as connection:
        home = _home(connection)
        going_on = occasions.for_home(connection, home or house().settings.district_code, now, 3)
        around = places.find(connection, Search(division=home), now, home=home, size=3).places if home else ()
    return Near(going_on, list(around), now)


@blueprint.app_template_global()
def standing_of(site: Site) -> Standing:
    """How a site stands that the logged-in member of staff looks at."""
    with house().db.reading() as connection:
        words = words_on(connection, [site.id], clock.now())
    return Standing(site.status != SiteStatus.OPEN, words.get(site.id, ()))


# --- the list ----------------------------------------------------------------------------------------------


@blueprint.get("/sites")
def index() -> Answer:
    """The open sites, the nearest first. The address says what is looked for; without a word, what was last."""
    if not request.args and (last := _last_asked()):
        return redirect(url_for("places.index", **last))
    asked = {name: text for name in PlacesQuery.model_fields if (text := request.args.get(name, "").strip())}
    errors: dict[str, str] = {}
    found = Page((), 0, 1, places.PAGE)
    with house().db.reading() as connection:
        home = _home(connection)
        try:
            query = _read(asked)
            found = places.find(connection, query.search(), clock.now(), home=home, number=query.page)
        except InvalidField as error:
            errors = form_errors(error)
        options = _options(connection)
    filters = {name: asked[name] for name in _FILTERS if name in asked}
    page = render_template(
        "activities/places.html", found=found, asked=filters, home=home, options=options, errors=errors
    )
    answer = make_response(page, 422 if errors else 200)
    if filters and not errors:
        answer.set_cookie(
            FILTER_COOKIE, urlencode(filters), max_age=_YEAR, samesite="Lax", httponly=True, path="/sites"
        )
    else:
        answer.delete_cookie(FILTER_COOKIE, path="/sites")
    return answer


def _last_asked() -> dict[str, Any]:
    """What this browser looked for last."""
    kept = dict(parse_qsl(request.cookies.get(FILTER_COOKIE, "")[:200]))
    return {name: kept[name] for name in _FILTERS if name in kept}


def _read(asked: dict[str, str]) -> PlacesQuery:
    """What is asked for, checked. Raises InvalidField."""
    try:
        return PlacesQuery.model_validate(asked)
    except ValidationError as error:
        wrong = invalid(error)
        for entry in wrong.params["errors"]:
            entry["reason"] = N_("请从列表中选择。")
        raise wrong from error


def _home(connection: Connection) -> str:
    """The community of the logged-in resident; empty for anybody else."""
    who = visitor()
    if who is None:
        return ""
    return connection.scalar(select(Resident.division_code).where(col(Resident.id) == who.id)) or ""


def _options(connection: Connection) -> dict[str, list[Any]]:
    """What can be chosen in each field of the form."""
    streets: dict[str, list[tuple[str, str]]] = {}
    for code, name, street in places.divisions(connection):
        streets.setdefault(street, [(code[:9], gettext("%(street)s全部", street=street))]).append(
            (code, name)
        )
    kinds = house().part(Knowledge).at(connection).kinds.values()
    return {
        "kind": [("", [(kind.value, site_kind_name(kind)) for kind in SiteKind])],
        "action": [("", [(kind.code, name_of(kind)) for kind in kinds if kind.enabled])],
        "division": list(streets.items()),
    }


# --- a site ------------------------------------------------------------------------------------------------


@blueprint.get("/sites/<uuid:site_id>")
def one(site_id: UUID) -> Answer:
    """What can be recorded at a site, and how it stands there."""
    return _page_of(site_id)


def _page_of(site_id: UUID, problem: str = "") -> str:
    now, who = clock.now(), visitor()
    with house().db.reading() as connection:
        place = places.one(connection, site_id, now)
        known = house().part(Knowledge).at(connection).kinds
        kinds: list[ActionKind] = [known[code] for code in place.kinds if known[code].enabled]
        with session_on(connection) as session:
            per_day = limits_of(session, site_id)
            schedule = read_schedule(session.get_one(Site, site_id).schedule)
        return render_template(
            "activities/place.html",
            place=place,
            kinds=kinds,
            per_day=per_day,
            schedule=schedule,
            own=own_word(connection, who.person, site_id, now) if who else None,
            occasions=occasions.at_site(connection, site_id, now),
            now=now,
            problem=problem,
        )


@blueprint.post("/sites/<uuid:site_id>/reports")
def say(site_id: UUID) -> Answer:
    """Say how one found the site; whoever is not logged in logs in first and comes back to it."""
    who = visitor()
    here = url_for("places.one", site_id=site_id)
    if who is None:
        return redirect(url_for("pages.login", next=here), 303)
    try:
        report(house(), who.acting_for(False), site_id, read_condition(request.form.get("condition", "")))
    except TanpuhuiError as error:
        if error.status == 404:
            raise
        (words,) = form_errors(error, "condition").values()
        return _page_of(site_id, words), error.status
    return redirect(here, 303)


@blueprint.post("/console/sites/<uuid:site_id>/reports")
@staff_required(*MANAGERS)
def say_as_staff(site_id: UUID) -> Answer:
    """Say as staff how a site stands: that a full bin was emptied, or that a door stays shut."""
    report(house(), staff(), site_id, read_condition(request.form.get("condition", "")))
    return redirect(url_for("console.site", site_id=site_id), 303)
