"""The organisers' pages of campaigns: the list, and one with where it stands, what comes next and what it adds up to."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_desk, campaign_notices, campaigns, occasions, teams
from activities.board_pages import paper
from activities.boards import boards
from activities.campaign_dates import Window
from activities.campaign_life import STEP_NAMES, steps_of
from activities.campaign_reports import CampaignReport
from activities.campaign_watch import TROUBLE_WORDS, watch
from activities.campaign_words import NEXT, differences, lines, notice_words, window_words
from activities.campaigns import STAGE_NAMES, Stage, VersionState, stage_of
from activities.reviews import waiting_in
from activities.sites import MANAGERS
from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.staff import INVITERS, Role
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("campaigns", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def stage_name(stage: Stage) -> str:
    """Where a campaign stands, in words."""
    return str(gettext(STAGE_NAMES[stage]))


@blueprint.get("/console/campaigns")
@staff_required(*MANAGERS)
def listed() -> Answer:
    """The campaigns of one's scope with where they stand; above them what nobody has read yet."""
    now = clock.now()
    with house().db.reading_session() as session:
        found = campaigns.list_campaigns(session, staff())
        pending = campaigns.open_versions(session, found)
        states = {one.id: pending[one.id].state if one.id in pending else None for one in found}
        return render_template(
            "activities/campaigns.html",
            campaigns=[(one, stage_of(one, states[one.id], now)) for one in found],
            changing={one.id: states[one.id] for one in found if one.version and states[one.id]},
            owners=campaigns.owners(session, found),
            notices=[
                (notice, one, notice_words(notice))
                for notice, one in campaign_notices.unseen(session, staff())
            ],
        )


@blueprint.post("/console/campaigns/notices/<uuid:notice_id>/seen")
@staff_required(*MANAGERS)
def seen(notice_id: UUID) -> Answer:
    """Read it."""
    campaign_notices.mark_seen(house(), staff(), notice_id)
    return redirect(url_for("campaigns.listed"), 303)


@blueprint.get("/console/campaigns/<uuid:campaign_id>")
@staff_required(*MANAGERS)
def one(campaign_id: UUID) -> Answer:
    """A campaign: where it stands and what comes next, its rules and versions, its steps, and what it adds up to."""
    return _one(campaign_id)


def _one(campaign_id: UUID, errors: dict[str, str] | None = None) -> Answer:
    now = clock.now()
    with house().db.reading_session() as session:
        campaign = campaigns.managed(session, staff(), campaign_id)
        versions = campaigns.versions_of(session, campaign_id)
        pending = next((one for one in versions if one.state is not VersionState.APPROVED), None)
        said = {one.number: lines(session, one.title, one.read()) for one in versions}
        shown = campaign.version or versions[0].number
        window = (
            Window(campaign.starts_at, campaign.ends_at) if campaign.starts_at and campaign.ends_at else None
        )
        page = render_template(
            "activities/campaign.html",
            campaign=campaign,
            owner=campaigns.owners(session, [campaign])[campaign_id],
            stage=stage_of(campaign, pending.state if pending else None, now),
            next_steps=NEXT,
            pending=pending,
            versions=versions,
            rules=said[shown],
            goals=next(one for one in versions if one.number == shown).read().goals,
            changes={
                number: differences(said[number - 1], told) for number, told in said.items() if number > 1
            },
            days=window_words(window),
            totals=occasions.counted(session.connection(), campaign_id),
            waiting=waiting_in(session, campaign_id),
            told=campaign.announces_at is not None and campaign.announces_at <= now,
            team_counts=teams.counts(session, campaign_id, campaigns.rules_of(session, campaign)),
            reported=session.get(CampaignReport, campaign_id) is not None,
            steps=[(step, gettext(STEP_NAMES[step.step])) for step in steps_of(session, campaign_id)],
            notices=[
                (notice, notice_words(notice)) for notice in campaign_notices.notices_of(session, campaign_id)
            ],
            begun=campaign.starts_at is not None and campaign.starts_at <= now,
            now=now,
            watched=watch(session, campaign, now, house().settings.late_hours) if campaign.version else None,
            may_invite=bool(roles_here() & INVITERS[Role.HELPER]),
            trouble_words=TROUBLE_WORDS,
            step_names=STEP_NAMES,
            open=campaign.ends_at is None or now < campaign.ends_at,
            form=request.form,
            errors=errors or {},
        )
    return (page, 422) if errors else page


@blueprint.get("/console/campaigns/<uuid:campaign_id>/board.pdf")
@staff_required(*MANAGERS)
def board_pdf(campaign_id: UUID) -> Answer:
    """The boards to hang up: what everybody may see of them, and nothing else."""
    now = clock.now()
    with house().db.snapshot() as connection, session_on(connection) as session:
        campaigns.managed(session, staff(), campaign_id)
        found = boards(connection, campaign_id, now)
    return paper(found, now)


@blueprint.post("/console/campaigns/<uuid:campaign_id>/take-back")
@staff_required(*MANAGERS)
def take_back(campaign_id: UUID) -> Answer:
    """Write on in what was submitted."""
    campaign_desk.take_back(house(), staff(), campaign_id)
    return redirect(url_for("campaign_forms.edit", campaign_id=campaign_id), 303)


@blueprint.post("/console/campaigns/<uuid:campaign_id>/cancel")
@staff_required(*MANAGERS)
def cancel(campaign_id: UUID) -> Answer:
    """End a campaign early, or give it up."""
    try:
        campaign_desk.cancel(house(), staff(), campaign_id, request.form.get("reason", ""))
    except InvalidField as error:
        return _one(campaign_id, form_errors(error))
    return redirect(url_for("campaigns.one", campaign_id=campaign_id), 303)
