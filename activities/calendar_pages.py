"""The public calendar: which observances come, which are awaited, and where each date is from; also for a phone's calendar."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, url_for
from flask_babel import gettext

from activities.icalendar import CalendarDays, icalendar
from activities.observance_calendar import CalendarEntry, calendar_of
from activities.observance_words import CONFIDENCE
from activities.quantify.factors import Confidence
from tanpuhui import clock, workdays
from tanpuhui.errors import NotFound
from tanpuhui.web.auth import house
from tanpuhui.web.formatting import data_text, name_of, said

blueprint = Blueprint("calendar", __name__, template_folder="templates")


@blueprint.app_template_filter()
def date_confidence(confidence: Confidence) -> str:
    """How sure a date is, in plain words."""
    return str(gettext(CONFIDENCE[confidence]))


@blueprint.app_template_filter()
def working_words(entry: CalendarEntry) -> str:
    """On how many days of an entry offices work; nothing while the dates or the holidays of the year are not known."""
    if entry.span is None or entry.working_days is None:
        return ""
    days, working = (entry.span.last - entry.span.first).days + 1, entry.working_days
    if days == 1:
        return str(gettext("工作日")) if working else str(gettext("休息日"))
    return str(gettext("%(days)s 天中有 %(working)s 个工作日", days=days, working=working))


def _years() -> tuple[int, int]:
    this = clock.today().year
    return this, this + 1


def _entries() -> list[CalendarEntry]:
    """This year and the next, each in the order of the calendar."""
    with house().db.reading_session() as session:
        return [entry for year in _years() for entry in calendar_of(session, year)]


@blueprint.get("/calendar")
def index() -> str:
    """What comes this year and next, what is awaited, and what is over."""
    today, entries = clock.today(), _entries()
    dated = [(entry, entry.span) for entry in entries if entry.span]
    return render_template(
        "activities/calendar.html",
        today=today,
        years=_years(),
        coming=[entry for entry, span in dated if span.last >= today],
        over=[entry for entry, span in dated if span.last < today],
        awaiting=[entry for entry in entries if entry.awaiting],
        unannounced=[year for year in _years() if not workdays.is_announced(year)],
    )


@blueprint.get("/calendar.ics")
def download() -> Response:
    """The same days for a phone's own calendar; what is awaited is not in it."""
    days = list(_days(_entries()))
    if not days:
        raise NotFound  # a calendar without any component would not be valid
    body = icalendar(gettext("碳普惠日历"), days, clock.now())
    return Response(body, content_type="text/calendar; charset=utf-8")


def _days(entries: Iterable[CalendarEntry]) -> Iterator[CalendarDays]:
    public = house().settings.public_url
    for entry in entries:
        if entry.span is None:
            continue
        yield CalendarDays(
            uid=f"{entry.key}-{entry.year}@{urlsplit(public).hostname}",
            first=entry.span.first,
            last=entry.span.last,
            summary=name_of(entry),
            description=said(gettext("来源：%(source)s", source=data_text(entry.source))),
            url=f"{public}{url_for('calendar.index')}",
            sequence=entry.revision,
            tentative=entry.derived,
        )
