"""The bureau's pages of observances: the calendar of a year, one observance with its history, and the forms that change them."""

from collections.abc import Mapping
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import observance_changes as changes
from activities.observance_calendar import calendar_of, latest_changes, removed
from activities.observance_changes import EDITORS, ObservanceChange
from activities.observance_file import differences
from activities.observance_words import CONFIDENCE, Said, last_year
from activities.observances import EVERY_YEAR, Observance
from tanpuhui import clock, workdays
from tanpuhui.bureau.participation import FIRST_YEAR, READERS, may_read
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.staff import Staff
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("observances", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


def _may_edit() -> bool:
    """Whether the visitor may change something here, for what the page offers (never for permission)."""
    try:
        may_read(house(), staff(), EDITORS)
    except NotAllowed:
        return False
    return True


def _said() -> Said:
    return Said(**{name: request.form.get(name, "") for name in Said.__dataclass_fields__})


def _seen() -> int:
    """The revision that the form was made from; one that never stands, if it carries none."""
    return request.form.get("seen", -1, type=int)


def _levels() -> list[tuple[str, list[tuple[str, str]]]]:
    return [("", [(level.value, gettext(text)) for level, text in CONFIDENCE.items()])]


# --- a year -------------------------------------------------------------------------------------------------


@blueprint.get("/bureau/observances")
@staff_required(*READERS)
def listed() -> Answer:
    """The calendar of a year, with what is awaited."""
    return _year_page(request.args.get("year", clock.today().year, type=int))


def _year_page(year: int, key: str = "", step: str = "", error: TanpuhuiError | None = None) -> Answer:
    """A year; with what is wrong with the form of the observance `key` that takes a `step`."""
    may_read(house(), staff())
    year = min(max(year, FIRST_YEAR), last_year())
    with house().db.reading_session() as session:
        entries = calendar_of(session, year)
        gone = removed(session)
    errors = form_errors(error) if error else {}
    mine = next((entry for entry in entries if entry.key == key and not entry.fixed), None)
    has_form = mine is not None and (step == "enter" or not mine.awaiting)
    page = render_template(
        "activities/observances.html",
        year=year,
        years=(FIRST_YEAR, last_year()),
        today=clock.today(),
        dated=[entry for entry in entries if entry.span],
        awaiting=[entry for entry in entries if entry.awaiting],
        removed=gone,
        holidays_known=workdays.is_announced(year),
        levels=_levels(),
        may_edit=_may_edit(),
        form=request.form,
        errors={(key, step): errors},
        elsewhere={} if has_form else errors,
    )
    return (page, error.status) if error else page


@blueprint.post("/bureau/observances/<key>/<int:year>/<any(enter, withdraw):step>")
@staff_required(*EDITORS)
def change(key: str, year: int, step: str) -> Answer:
    """Enter or move the dates of a year, or take them back; what was typed stays in the form until it is taken."""
    try:
        if step == "enter":
            changes.enter(house(), staff(), key, year, _said(), seen=_seen())
        else:
            changes.take_back(house(), staff(), key, year, request.form.get("source", ""), seen=_seen())
    except TanpuhuiError as error:
        if type(error) is NotAllowed:
            raise
        return _year_page(year, key, step, error)
    return redirect(url_for("observances.listed", year=year, _anchor=key), 303)


# --- one observance -----------------------------------------------------------------------------------------


@blueprint.get("/bureau/observances/<key>")
@staff_required(*READERS)
def one(key: str) -> Answer:
    """An observance over the years, and who said what of it."""
    return _page_of(key)


def _page_of(key: str, step: str = "", error: TanpuhuiError | None = None) -> Answer:
    """An observance; with what is wrong with the form that takes a `step`."""
    may_read(house(), staff())
    with house().db.reading_session() as session:
        rows = session.exec(
            select(Observance).where(Observance.key == key).order_by(col(Observance.year).desc())
        ).all()
        history = session.exec(
            select(ObservanceChange)
            .where(ObservanceChange.key == key)
            .order_by(col(ObservanceChange.changed_at).desc(), col(ObservanceChange.id).desc())
        ).all()
        if not rows and not history:
            raise NotFound
        latest = latest_changes(session)
        page = render_template(
            "activities/observance.html",
            observance=rows[0] if rows else history[0],
            standing=bool(rows),
            years=[(row, row.span(row.year)) for row in rows if row.year != EVERY_YEAR],
            history=history,
            differing=[
                note for of, last in latest.items() if of[0] == key for note in differences(session, last)
            ],
            names=_names(session, [entry.changed_by for entry in history if entry.changed_by]),
            seen=latest[key, EVERY_YEAR].revision if (key, EVERY_YEAR) in latest else 0,
            levels=_levels(),
            may_edit=_may_edit(),
            form=request.form,
            errors={step: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


def _names(session: Session, wanted: list[UUID]) -> Mapping[UUID, str]:
    return dict(session.exec(select(Staff.id, Staff.name).where(col(Staff.id).in_(wanted))).all())


@blueprint.post("/bureau/observances/<key>/<any(edit, remove):step>")
@staff_required(*EDITORS)
def change_fixed(key: str, step: str) -> Answer:
    """Change an observance that returns every year, or take it back."""
    try:
        if step == "edit":
            changes.edit(house(), staff(), key, _said(), seen=_seen())
        else:
            source = request.form.get("source", "")
            changes.take_back(house(), staff(), key, EVERY_YEAR, source, seen=_seen())
    except TanpuhuiError as error:
        if type(error) is NotAllowed:
            raise
        return _page_of(key, step, error)
    return redirect(url_for("observances.one", key=key), 303)


@blueprint.route("/bureau/observances/new-day", methods=["GET", "POST"])  # no key holds a hyphen
@staff_required(*EDITORS)
def new() -> Answer:
    """Add an observance that returns every year."""
    may_read(house(), staff(), EDITORS)
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            return redirect(url_for("observances.one", key=changes.add(house(), staff(), _said())), 303)
        except TanpuhuiError as error:
            errors = form_errors(error)
            status = error.status
    page = render_template(
        "activities/observance_new.html", form=request.form, errors=errors, levels=_levels()
    )
    return (page, status) if errors else page
