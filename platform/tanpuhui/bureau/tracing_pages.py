"""From a number to its figures, to the events of a figure; a room shows the action, a public page the factor version.

Single records are behind it, so whatever is finer than what is told needs a reason. It is kept in the signed cookie of this browser's
forms, for one officer and one number, for half an hour; each look is noted with it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from flask import Blueprint, g, redirect, render_template, request, session as form_session, url_for
from flask_babel import gettext
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, col, select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import audit, clock
from tanpuhui.bureau import traced_people, tracing
from tanpuhui.bureau.participation import PARTS, READERS, may_read
from tanpuhui.bureau.tracing import MADE_OF, PEOPLE, TRACED, Asked, Figure, Folded, read_asked
from tanpuhui.bureau.view import View
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, safe_next, staff, staff_required
from tanpuhui.web.formatting import Amount, mass, plain_quantity, pollutant_mass, whole
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("tracing", __name__)

Answer = str | AnyResponse | tuple[str, int]

#: For so long a reason stands, and of so many numbers: a cookie is small.
KEPT = timedelta(minutes=30)
_MOST = 2
_KEY = "traces"


# --- the reason ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grant:
    """The reason that the officer gave for a number. `trace` is another one for every reason, officer and number."""

    reason: str
    trace: str


def granted(asked: Asked) -> Grant | None:
    """The reason that still stands for this number."""
    name = _name(asked)
    kept = _kept().get(name)
    return Grant(kept[0], f"{name}|{kept[1]}") if kept else None


def _give(asked: Asked, reason: str) -> None:
    kept = {**_kept(), _name(asked): [reason, int(clock.now().timestamp())]}
    form_session[_KEY] = dict(sorted(kept.items(), key=lambda entry: entry[1][1])[-_MOST:])


def _kept() -> dict[str, list[Any]]:
    oldest = (clock.now() - KEPT).timestamp()
    return {name: kept for name, kept in form_session.get(_KEY, {}).items() if kept[1] > oldest}


def _name(asked: Asked) -> str:
    said = repr((str(staff().id), sorted(asked.address().items())))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


@blueprint.post("/bureau/trace")
@staff_required(*READERS)
def give_reason() -> Answer:
    """Say why single records are needed; then back to what was to be seen."""
    may_read(house(), staff())
    with house().db.reading() as connection:
        asked = asked_number(connection)
    try:
        reason = audit.reason(request.form.get("reason", ""))
    except InvalidField as error:
        return ask(asked, form_errors(error), 422)
    _give(asked, reason)
    return redirect(safe_next(request.form.get("next"), url_for("tracing.number", **asked.address())), 303)


def ask(asked: Asked, errors: Mapping[str, str] | None = None, status: int = 403) -> Answer:
    """The page that asks for the reason, and then leads on to where one was going."""
    here = request.full_path if request.method == "GET" else request.form.get("next", "")
    page = render_template(
        "bureau/trace_reason.html",
        asked=asked,
        errors=errors or {},
        typed=request.form.get("reason", ""),
        next_page=safe_next(here, url_for("tracing.number", **asked.address())),
        **words(asked),
    )
    return page, status


# --- the number ----------------------------------------------------------------------------------------------


@blueprint.get("/bureau/trace")
@staff_required(*READERS)
def number() -> Answer:
    """A number, as it is told, with the periods that add up to it; for who gave a reason, with its daily figures too."""
    may_read(house(), staff())
    with house().db.snapshot() as connection:
        asked, offered, wrong = read_asked(connection, request.args, house().settings.district_code)
        grant = None if wrong else granted(asked)
        told = tracing.number(connection, asked, whole=grant is not None)
        parts = tracing.parts(connection, asked, whole=grant is not None)
        tiers = tracing.tiers(connection)
        made_of = _people if asked.measure == PEOPLE else _figures
        figures = made_of(connection, asked) if grant else {}
    page = render_template(
        "bureau/trace.html",
        asked=asked,
        offered=offered,
        grant=grant,
        told=told,
        parts=parts,
        anchor=min(max(clock.today(), asked.view.period.first), asked.view.period.last),
        errors={field: gettext(text) for field, text in wrong.items()},
        measures=_measures(),
        tiers=tiers,
        **figures,
        **words(asked),
    )
    if grant:
        keep_look(grant, f"figure:{asked.view.period.name}:{asked.view.area}", asked)
    return page, 422 if wrong else 200


def _figures(connection: Connection, asked: Asked) -> dict[str, Any]:
    """A page of the daily figures, and what all of them add up to."""
    figures, more = tracing.figures_of(connection, asked, request.args.get("after", ""))
    count, total = tracing.figures_total(connection, asked)
    names = _names(connection, figures)
    return {"figures": figures, "more": more, "count": count, "total": total, "names": names}


def _people(connection: Connection, asked: Asked) -> dict[str, Any]:
    """A page of the days and communities in which the people are counted."""
    places, more = traced_people.places_of(connection, asked, request.args.get("after", ""))
    names = names_of(connection, {one.place.division_code for one in places}, set())
    return {"present": places, "more": more, "names": names}


def asked_number(connection: Connection) -> Asked:
    """The number that the address asks for. Raises InvalidField."""
    asked, _, wrong = read_asked(connection, request.args, house().settings.district_code)
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": text} for field, text in wrong.items()])
    return asked


def keep_look(grant: Grant, subject: str, asked: Asked, **detail: str) -> None:
    """Note that the officer saw `subject` on the way from a number; once its page is made."""
    with house().db.session() as session:
        audit.saw(session, staff(), subject, grant.reason, number=asked.address(), **detail)


# --- the events of a figure ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A daily figure that was opened on the way from a number, with its events."""

    asked: Asked
    grant: Grant
    figure: Figure
    folded: Folded

    def person(self, resident_id: UUID) -> str:
        """What stands for a resident in this trace, on this day."""
        return pseudonym(self.grant, self.figure.key.day, resident_id)

    def address(self) -> dict[str, Any]:
        """Number and figure, as a query."""
        return self.asked.address() | {"figure": self.figure.key.name}


def open_figure(connection: Connection) -> Opened | Asked:
    """The daily figure that the address names; only the number, where no reason for it stands. Raises NotFound, InvalidField."""
    asked = asked_number(connection)
    grant = granted(asked)
    if grant is None:
        return asked
    found = tracing.figure(connection, asked, request.args.get("figure", ""))
    if found is None:
        raise NotFound
    return Opened(asked, grant, found, tracing.folded(connection, house().feeds, asked, found.key))


def pseudonym(grant: Grant, day: date, resident_id: UUID) -> str:
    """What stands for a resident on a day, for as long as a reason stands."""
    return tracing.pseudonym(house().settings.key("trace"), grant.trace, day, resident_id)


@blueprint.get("/bureau/trace/events")
@staff_required(*READERS)
def events() -> Answer:
    """The events that were folded into a daily figure, in order, each with what it changed."""
    may_read(house(), staff())
    with house().db.snapshot() as connection:
        opened = open_figure(connection)
        if isinstance(opened, Asked):
            return ask(opened)
        names = _names(connection, [opened.figure])
    first = max(0, request.args.get("first", 0, int))
    page = render_template(
        "bureau/trace_events.html",
        opened=opened,
        listed=opened.folded.events[first : first + tracing.PAGE],
        first=first,
        next_first=first + tracing.PAGE if first + tracing.PAGE < len(opened.folded.events) else None,
        names=names,
        **words(opened.asked),
    )
    key = opened.figure.key
    keep_look(opened.grant, f"figure:{key.day}:{key.division_code}", opened.asked, figure=key.name)
    return page


# --- words ---------------------------------------------------------------------------------------------------

_BASES = {
    "actions": N_("记录次数"),
    "points": N_("发放积分"),
    "quantity_milli": N_("数量"),
    "co2e_mg": N_("CO₂e，较低值"),
    "co2e_mid_mg": N_("CO₂e，居中值"),
    "co2e_high_mg": N_("CO₂e，较高值"),
}
_POLLUTANTS = {"nox": "NOx", "pm25": "PM2.5", "voc": "VOCs", "so2": "SO₂", "co": "CO"}
_OF = {
    "": N_("全部记录"),
    "own": N_("本区合计"),
    "verified": N_("经过验证"),
    "self_declared": N_("自报（含照片）"),
    "city": N_("市级核算，另列"),
}
assert set(_OF) == {"", "own", *PARTS}


@blueprint.app_template_filter()
def traced_name(name: str) -> str:
    """What is added up in a number of the bureau, or counted."""
    if name == PEOPLE:
        return str(gettext("参与人数"))
    measure, _ = MADE_OF[name]
    if name == "co2e_known":
        return str(gettext("有 CO₂e 因子的记录"))
    if measure in _BASES:
        return str(gettext(_BASES[measure]))
    pollutant, _, what = measure.partition("_")
    plain = _POLLUTANTS[pollutant]
    return str(gettext("有 %(name)s 因子的记录", name=plain)) if what == "known" else plain


@blueprint.app_template_filter()
def traced_part(name: str) -> str:
    """Of which records a number of the bureau is the sum."""
    return str(gettext(_OF[_made_of(name)[1]]))


def _made_of(name: str) -> tuple[str, str]:
    """As `MADE_OF`; people are of all records."""
    return MADE_OF.get(name, (name, ""))


@blueprint.app_template_filter()
def traced_amount(amount: int, name: str) -> Amount:
    """An amount of a number in the unit that is read best."""
    measure, _ = _made_of(name)
    if measure.endswith("_mg"):
        return mass(amount)
    return pollutant_mass(amount) if measure.endswith("_ug") else traced_exactly(amount, name)


@blueprint.app_template_filter()
def traced_exactly(amount: int, name: str) -> Amount:
    """The same to the last digit, in the unit in which it is kept."""
    measure, _ = _made_of(name)
    if measure == "quantity_milli":
        return Amount(plain_quantity(amount), "")
    unit = gettext("毫克") if measure.endswith("_mg") else gettext("微克") if measure.endswith("_ug") else ""
    return Amount(whole(amount), unit)


@blueprint.app_template_global()
def traces(view: View, evidence: str = "", **changes: Any) -> str:
    """Where the numbers of a view with `changes` are traced, all but the measure (of `tracing.TRACED`), which is put behind it.

    So a page makes one for each row of a table, however many numbers there are in it.
    """
    if "trace_page" not in g:
        g.trace_page = url_for("tracing.number")
    tier = {"evidence": evidence} if evidence else {}
    return f"{g.trace_page}?{urlencode(view.address(**changes) | tier | {'measure': ''})}"


def words(asked: Asked) -> dict[str, Any]:
    """Names of the area and of the campaign that a number is of."""
    with house().db.reading() as connection:
        with session_on(connection) as session:
            area = session.get_one(Division, asked.view.area)
        titles = _titles(connection, {asked.view.campaign} if asked.view.campaign else set())
    return {"area": area, "campaign_title": titles.get(asked.view.campaign or "", "")}


def _names(connection: Connection, figures: list[Figure]) -> dict[str, str]:
    """What communities and campaigns are called, by code and id."""
    return names_of(
        connection,
        {one.key.division_code for one in figures},
        {one.key.campaign for one in figures if one.key.campaign},
    )


def names_of(connection: Connection, codes: set[str], campaigns: set[str]) -> dict[str, str]:
    """What divisions and campaigns are called, by code and id."""
    with session_on(connection) as session:
        found = session.exec(select(Division.code, Division.name).where(col(Division.code).in_(codes))).all()
    return dict(found) | _titles(connection, campaigns)


def _titles(connection: Connection, wanted: set[str]) -> dict[str, str]:
    table = SQLModel.metadata.tables["campaign"].c
    rows = connection.execute(sa.select(table.id, table.title).where(table.id.in_(map(UUID, wanted))))
    return {str(row.id): row.title for row in rows}


def _measures() -> list[tuple[str, list[tuple[str, str]]]]:
    """What can be traced, by the records that it is the sum of."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for name in TRACED:
        grouped.setdefault(traced_part(name), []).append((name, traced_name(name)))
    return list(grouped.items())
