"""The residents' page of their own impact, over time and by kind. The address says what is looked at."""

from babel.dates import format_date
from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from activities.impact import EVERYTHING, Impact, Span, impact
from tanpuhui import clock
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.formatting import language

blueprint = Blueprint("impact", __name__)

Answer = str | AnyResponse


@blueprint.app_template_filter()
def span_name(span: Span) -> str:
    """A month or a year: 2026年11月, Nov 2026."""
    if span.whole_year:
        return str(span.first.year)
    return format_date(span.first, "y年M月" if language() == "zh" else "MMM y", locale=language())


@blueprint.get("/me/impact")
@resident_required
def page() -> Answer:
    """What one's records saved: in the latest twelve months, a year or ever; of every kind or of one."""
    period, kind = (request.args.get(name, "").strip()[:32] for name in ("period", "kind"))
    with house().db.reading() as connection:
        found = impact(connection, resident().id, clock.today(), period, kind)
    return render_template(
        "activities/impact.html", found=found, periods=_periods(found), today=clock.today()
    )


def _periods(found: Impact) -> list[tuple[str, str, bool]]:
    """The periods to choose from, each as address, name and whether it is looked at."""
    names = {"": _("近 12 个月"), **{str(year): str(year) for year in found.years}, EVERYTHING: _("全部")}
    return [
        (url_for("impact.page", period=period or None, kind=found.kind or None), name, period == found.period)
        for period, name in names.items()
    ]
