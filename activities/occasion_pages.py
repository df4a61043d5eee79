"""The public pages of campaigns: open, coming, awaiting and over, each with what it adds up to. Nothing here needs a log-in."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_reminders, occasions, teams
from activities.actions import Action
from activities.campaign_dates import window_of
from activities.campaign_rules import ByObservance, Goals, Rules, Weekly
from activities.campaign_words import (
    anchor_words,
    bonus_words,
    goal_words,
    team_words,
    weekly_words,
    who_words,
)
from activities.campaigns import Campaign, CampaignVersion, rules_of
from activities.known import Knowledge
from activities.occasions import Occasion, Totals
from activities.places import these
from activities.sites import Site
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.people import Resident
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.formatting import whole
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("occasions", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

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
def who_may_join(campaign: Campaign) -> str:
    """For whom a campaign is; nothing where everybody may take part."""
    if not campaign.divisions and not campaign.accounts:
        return ""
    with house().db.reading_session() as session:
        return who_words(session, campaign.divisions, campaign.accounts)


@blueprint.app_template_global()
def not_counted_by(action: Action) -> Campaign | None:
    """The campaign that a record was made for in vain: it is for others than the resident of that moment."""
    if action.campaign_id:
        return None
    with house().db.reading_session() as session:
        code = house().part(Knowledge).at(session.connection()).code(session.connection(), action.code_id)
        missed = code and code.campaign_at(action.occurred_at, action.kind)
        kind = session.get_one(Resident, action.resident_id).account_kind
    return missed if missed and not missed.lets_in(action.division_code, kind) else None


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
def one(campaign_id: UUID) -> Answer:
    """A campaign: what it is about, when, where, at which sites, and what it adds up to."""
    return _one(campaign_id)


def _one(campaign_id: UUID, error: InvalidField | None = None) -> Answer:
    now, who = clock.now(), visitor()
    with house().db.reading() as connection, session_on(connection) as session:
        occasion = occasions.one(connection, campaign_id, now)
        rules = rules_of(session, session.get_one(Campaign, campaign_id))
        page = render_template(
            "activities/occasion.html",
            occasion=occasion,
            state=occasion.state(now),
            part=teams.part_of(session, campaign_id, rules, who.id) if who else None,
            joinable=occasion.state(now) in teams.JOINABLE,
            form=request.form,
            errors=form_errors(error) if error else {},
            taking_part=occasions.sites_of(connection, campaign_id, now),
            totals=occasions.totals(connection, occasion),
            own=occasions.own_part(connection, who.id, [campaign_id]).get(campaign_id, 0) if who else 0,
            **_about(session, rules),
            now=now,
        )
    return (page, error.status) if error else page


@blueprint.post("/campaigns/<uuid:campaign_id>/team")
@resident_required
def join_team(campaign_id: UUID) -> Answer:
    """Join a team, or another one. A second tap finds it done."""
    try:
        teams.join(house(), resident().id, campaign_id, request.form.get("team", ""))
    except InvalidField as error:
        return _one(campaign_id, error)
    return redirect(url_for("occasions.one", campaign_id=campaign_id, team="joined", _anchor="own-team"), 303)


@blueprint.post("/campaigns/<uuid:campaign_id>/team/leave")
@resident_required
def leave_team(campaign_id: UUID) -> Answer:
    """Leave the team; a second tap finds it done."""
    teams.leave(house(), resident().id, campaign_id)
    return redirect(url_for("occasions.one", campaign_id=campaign_id, team="left", _anchor="own-team"), 303)


@blueprint.get("/campaigns/<uuid:campaign_id>/screen")
def screen(campaign_id: UUID) -> str:
    """What a campaign adds up to, for a television or a projector where it takes place."""
    now = clock.now()
    with house().db.reading() as connection, session_on(connection) as session:
        occasion = occasions.one(connection, campaign_id, now)
        rules = rules_of(session, session.get_one(Campaign, campaign_id))
        totals = occasions.totals(connection, occasion)
    return render_template(
        "activities/occasion_screen.html",
        occasion=occasion,
        state=occasion.state(now),
        totals=totals,
        goals=rules.goals if rules else None,
        fewest=occasions.FEWEST_TOLD,
        svg=_code_of(f"{house().settings.public_url}{url_for('occasions.one', campaign_id=campaign_id)}"),
        now=now,
    )


@lru_cache(maxsize=64)
def _code_of(address: str) -> str:
    """The address as a code to be scanned: the same picture each time, so it is drawn once."""
    from tanpuhui import qr  # late: drawing would slow every start

    return qr.svg(address, max_version=10)


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
        "part": None,
        "joinable": None,
        **_about(session, rules),
        "now": now,
    }


def _about(session: Session, rules: Rules | None) -> dict[str, Any]:
    """What rules say to residents; nothing of a campaign that was there before there were rules."""
    if rules is None:
        return {"detail": None, "fewest": occasions.FEWEST_TOLD}
    detail, when = occasions.detail(rules), rules.when
    return {
        "detail": detail,
        "who": who_words(session, rules.divisions, rules.accounts),
        "hours": weekly_words(when.weekdays, when.from_time, when.to_time)
        if isinstance(when, Weekly)
        else "",
        "anchor": anchor_words(session, when, when.year) if isinstance(when, ByObservance) else "",
        "bonus": bonus_words(detail.bonus) if detail.bonus else "",
        "goals": goal_words(detail.goals) if detail.goals else "",
        "teams": team_words(detail.teams) if detail.teams else "",
        "fewest": occasions.FEWEST_TOLD,
    }
