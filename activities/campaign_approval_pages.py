"""The bureau's pages of campaigns: what waits for approval, and one of them with all its rules in words."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_desk, campaigns
from activities.campaign_desk import APPROVERS
from activities.campaign_words import differences, lines
from activities.campaigns import CampaignVersion, VersionState
from tanpuhui.errors import ApproverIsSubmitter, CampaignMovedOn, InvalidField, TanpuhuiError
from tanpuhui.staff import Staff
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("approvals", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_global()
def campaigns_waiting() -> int:
    """How many campaigns wait for the approval of the member of staff who is asking."""
    if not roles_here() & set(APPROVERS):
        return 0
    with house().db.reading_session() as session:
        return len(campaigns.submitted(session, staff(), APPROVERS))


@blueprint.get("/bureau/campaigns")
@staff_required(*APPROVERS)
def queue() -> Answer:
    """What waits for approval, the first submitted first."""
    with house().db.reading_session() as session:
        waiting = campaigns.submitted(session, staff(), APPROVERS)
        return render_template(
            "activities/campaign_approvals.html",
            waiting=waiting,
            owners=campaigns.owners(session, [campaign for campaign, _version in waiting]),
        )


@blueprint.get("/bureau/campaigns/<uuid:campaign_id>")
@staff_required(*APPROVERS)
def one(campaign_id: UUID) -> Answer:
    """What was submitted, in words; of a change, what differs."""
    return _one(campaign_id)


def _one(campaign_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        campaign = campaigns.managed(session, staff(), campaign_id, APPROVERS)
        version = campaigns.open_version(session, campaign_id)
        if version is None or version.state is not VersionState.SUBMITTED:
            return redirect(url_for("campaigns.one", campaign_id=campaign_id))
        told = lines(session, version.title, version.read())
        before = session.get(CampaignVersion, (campaign_id, campaign.version)) if campaign.version else None
        page = render_template(
            "activities/campaign_approval.html",
            campaign=campaign,
            version=version,
            owner=campaigns.owners(session, [campaign])[campaign_id],
            by=session.get_one(Staff, version.submitted_by).name,
            own=version.submitted_by == staff().id,
            rules=told,
            changes=differences(lines(session, before.title, before.read()), told) if before else [],
            form=request.form,
            errors=form_errors(error) if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/bureau/campaigns/<uuid:campaign_id>/approve")
@staff_required(*APPROVERS)
def approve(campaign_id: UUID) -> Answer:
    """Approve the version that was read."""
    try:
        campaign_desk.approve(house(), staff(), campaign_id, _number())
    except (ApproverIsSubmitter, InvalidField) as error:
        return _one(campaign_id, error)
    return redirect(url_for("approvals.queue"), 303)


@blueprint.post("/bureau/campaigns/<uuid:campaign_id>/return")
@staff_required(*APPROVERS)
def send_back(campaign_id: UUID) -> Answer:
    """Ask for changes, with a reason."""
    try:
        campaign_desk.send_back(house(), staff(), campaign_id, _number(), request.form.get("reason", ""))
    except InvalidField as error:
        return _one(campaign_id, error)
    return redirect(url_for("approvals.queue"), 303)


def _number() -> int:
    """The number of the version that was read."""
    number = request.form.get("number", type=int)
    if number is None:
        raise CampaignMovedOn
    return number
