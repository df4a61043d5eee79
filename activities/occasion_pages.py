"""The public pages of campaigns: open, coming, awaiting and over, each with what it adds up to. Nothing here needs a log-in."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_reminders, occasions
from activities.campaign_dates import window_of
from activities.campaign_rules import ByObservance, Goals, Rules, Weekly
from activities.campaign_words import anchor_words, bonus_words, goal_words, listed, weekly_words
from activities.campaigns import Campaign, CampaignVersion, rules_of
from activities.occasions import Occasion, Totals
from activities.places import these
from activities.sites import Site
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.formatting import whole

blueprint = Blueprint("occasions", __name__, template_folder="templates")

#: Milligrams in a kilogram.
KG = 1_000_000


@blueprint.app_template_global()
def goal_progress(goals: Goals | None, totals: Totals | None) -> list[tuple[str, int, int, str]]:
    """How far each goal is: what it is, how much there is, how much is hoped for, and both in words.

    Nothing is told of what so few took part in that it is not told otherwise.
    """
    if goals is None or totals is None:
        return []
    reached = (
        (gettext("参加的人"), totals.participants, goals.participants),
        (gettext("记录"), totals.actions, goals.actions),
        (gettext("估算减排（千克）"), totals.co2e_mg // KG, goals.kg),
    )
    return [
        (label, min(now, most), most, f"{whole(now)} / {whole(most)}") for label, now, most in reached if most
    ]


@blueprint.app_template_filter()
def occasion_title(campaign_id: str) -> str:
    """What a campaign is called; nothing, if it is no longer known."""
    with house().db.reading() as connection:
        try:
            return occasions.one(connection, UUID(campaign_id), clock.now()).title
        except NotFound:
            return ""


@blueprint.app_template_global()
def reminder_of(occasion: Occasion) -> str:
    """``on`` if the visitor will be reminded of a campaign, ``off`` if they can ask for it, or nothing."""
    who = visitor()
    if who is None or not campaign_reminders.may_ask(occasion, clock.now()):
        return ""
    with house().db.reading() as connection:
        return "on" if campaign_reminders.wants(connection, who.id, occasion.id) else "off"


@blueprint.get("/campaigns")
def index() -> str:
    """The campaigns of the district: open, coming, those whose days are not announced, and the latest that are over."""
    now, who = clock.now(), visitor()
    with house().db.reading() as connection:
        found = occasions.occasions(connection, now)
        shown = [one.id for one in (*found.open, *found.coming, *found.over)]
        own = occasions.own_part(connection, who.id, shown) if who else {}
    return render_template("activities/occasions.html", found=found, own=own, now=now)


@blueprint.get("/campaigns/<uuid:campaign_id>")
def one(campaign_id: UUID) -> str:
    """A campaign: what it is about, when, where, at which sites, and what it adds up to."""
    now, who = clock.now(), visitor()
    with house().db.reading() as connection, session_on(connection) as session:
        occasion = occasions.one(connection, campaign_id, now)
        rules = rules_of(session, session.get_one(Campaign, campaign_id))
        return render_template(
            "activities/occasion.html",
            occasion=occasion,
            state=occasion.state(now),
            taking_part=occasions.sites_of(connection, campaign_id, now),
            totals=occasions.totals(connection, occasion),
            own=occasions.own_part(connection, who.id, [campaign_id]).get(campaign_id, 0) if who else 0,
            **_about(session, rules),
            now=now,
        )


@blueprint.post("/campaigns/<uuid:campaign_id>/remind")
@resident_required
def remind(campaign_id: UUID) -> AnyResponse:
    """Ask to be reminded on the day before, or no more."""
    wanted = request.form.get("wanted") == "on"
    campaign_reminders.ask(house(), resident().id, campaign_id, on=wanted)
    return redirect(url_for("occasions.one", campaign_id=campaign_id), 303)


def draft_shown(session: Session, campaign: Campaign, version: CampaignVersion) -> dict[str, Any]:
    """What the page of a campaign shows, of a version that is not approved: as it will be on the first day, or now."""
    rules, now = version.read(), clock.now()
    try:
        window = window_of(session, rules)
    except InvalidField:  # an observance that is gone; submitting says so
        window = None
    occasion = Occasion(
        id=campaign.id,
        title=version.title,
        division_code=campaign.division_code,
        where=session.get_one(Division, campaign.division_code).name,
        starts_at=window.starts_at if window else None,
        ends_at=window.ends_at if window else None,
        announces_at=None,
        cancelled_at=None,
        sites=len(rules.site_ids),
    )
    ids = select(col(Site.id)).where(col(Site.id).in_(rules.site_ids))
    return {
        "occasion": occasion,
        "state": occasion.state(now),
        "taking_part": these(session.connection(), ids, now),
        "totals": Totals(0, 0, 0, 0, 0),
        "own": 0,
        **_about(session, rules),
        "now": now,
    }


def _about(session: Session, rules: Rules | None) -> dict[str, Any]:
    """What rules say to residents; nothing of a campaign that was there before there were rules."""
    if rules is None:
        return {"detail": None, "fewest": occasions.FEWEST_TOLD}
    detail, when = occasions.detail(session, rules), rules.when
    return {
        "detail": detail,
        "who": listed(list(detail.divisions)),
        "hours": weekly_words(when.weekdays, when.from_time, when.to_time)
        if isinstance(when, Weekly)
        else "",
        "anchor": anchor_words(session, when, when.year) if isinstance(when, ByObservance) else "",
        "bonus": bonus_words(detail.bonus) if detail.bonus else "",
        "goals": goal_words(detail.goals) if detail.goals else "",
        "fewest": occasions.FEWEST_TOLD,
    }
