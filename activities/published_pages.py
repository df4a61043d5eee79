"""The public page of the limits: what may be recorded of each kind, and what is left of it today."""

from flask import Blueprint, render_template
from flask_babel import ngettext

from activities.factor_pages import CATEGORY_NAMES
from activities.known import Knowledge
from activities.published import Limits, published
from tanpuhui.web.auth import house, visitor

blueprint = Blueprint("limits", __name__, template_folder="templates")


@blueprint.app_template_filter()
def lasting(minutes: int) -> str:
    """Minutes as people say them, exactly: 90 -> 90 分钟, 120 -> 2 小时."""
    hours, rest = divmod(minutes, 60)
    if hours and not rest:
        return str(ngettext("%(num)s 小时", "%(num)s 小时", hours))
    return str(ngettext("%(num)s 分钟", "%(num)s 分钟", minutes))


@blueprint.get("/limits")
def index() -> str:
    """Every kind with its limits. Nothing here needs a log-in; whoever is logged in sees what is left today."""
    who = visitor()
    with house().db.reading() as connection:
        known = house().part(Knowledge).at(connection)
        found = published(
            connection, known, who.id if who else None, shares=who is not None and who.family is not None
        )
    return render_template("activities/limits.html", limits=sorted(found, key=_category_order))


def _category_order(limits: Limits) -> int:
    order = list(CATEGORY_NAMES)
    category = limits.kind.category
    return order.index(category) if category in order else len(order)
