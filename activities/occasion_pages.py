"""The public pages of campaigns: open, coming and over, each with what it adds up to. Nothing here needs a log-in."""

from uuid import UUID

from flask import Blueprint, render_template

from activities import occasions
from tanpuhui import clock
from tanpuhui.web.auth import house, visitor

blueprint = Blueprint("occasions", __name__, template_folder="templates")


@blueprint.get("/campaigns")
def index() -> str:
    """The campaigns of the district: open, coming, and the latest that are over."""
    now, who = clock.now(), visitor()
    with house().db.reading() as connection:
        found = occasions.occasions(connection, now)
        listed = [one.id for one in (*found.open, *found.coming, *found.over)]
        own = occasions.own_part(connection, who.id, listed) if who else {}
    return render_template("activities/occasions.html", found=found, own=own, now=now)


@blueprint.get("/campaigns/<uuid:campaign_id>")
def one(campaign_id: UUID) -> str:
    """A campaign: when, where, at which sites, and what it adds up to."""
    now, who = clock.now(), visitor()
    with house().db.reading() as connection:
        occasion = occasions.one(connection, campaign_id, now)
        return render_template(
            "activities/occasion.html",
            occasion=occasion,
            state=occasion.state(now),
            places=occasions.sites_of(connection, campaign_id, now),
            totals=occasions.totals(connection, occasion),
            own=occasions.own_part(connection, who.id, [campaign_id]).get(campaign_id, 0) if who else 0,
            fewest=occasions.FEWEST_TOLD,
            now=now,
        )
