"""The pages of a closing report for organisers and officers: to read, as PDF and as CSV; and the thanks beside it."""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import force_locale
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_reports, campaign_thanks
from activities.campaign_report_words import made, sections, since_words
from activities.campaign_thanks import LONGEST, Thanks
from activities.campaigns import Campaign, managed
from activities.sites import MANAGERS
from tanpuhui import clock
from tanpuhui.errors import CampaignMovedOn, InvalidField, NotFound, TanpuhuiError
from tanpuhui.web.auth import house, staff, staff_required, visitor
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("campaign_reports", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_global()
def own_thanks() -> list[Thanks]:
    """The thanks of the last weeks for campaigns in which the visitor took part."""
    who = visitor()
    if who is None:
        return []
    with house().db.reading() as connection:
        return list(campaign_thanks.thanks_to(connection, who.id, clock.now()))


@blueprint.app_template_global()
def thanks_of(campaign_id: UUID) -> str:
    """The thanks of a campaign; nothing, if none were said."""
    with house().db.reading() as connection:
        said = campaign_thanks.thanks_of(connection, campaign_id)
    return said.words if said else ""


@blueprint.get("/console/campaigns/<uuid:campaign_id>/report")
@staff_required(*MANAGERS)
def one(campaign_id: UUID) -> Answer:
    """The report, what became of its records since, and the thanks."""
    return _one(campaign_id)


def _one(campaign_id: UUID, error: TanpuhuiError | None = None) -> Answer:
    with house().db.reading_session() as session:
        campaign = managed(session, staff(), campaign_id)
        page = render_template(
            "activities/campaign_report.html",
            campaign=campaign,
            thanks=campaign_thanks.thanks_of(session.connection(), campaign_id),
            may_thank=_over(campaign),
            longest=LONGEST,
            form=request.form,
            errors=form_errors(error) if error else {},
            **_drawn(session, campaign_id),
        )
    return (page, error.status) if error else page


def _over(campaign: Campaign) -> bool:
    return campaign.ends_at is not None and campaign.ends_at <= clock.now() and campaign.cancelled_at is None


def _drawn(session: Session, campaign_id: UUID) -> dict[str, Any]:
    try:
        report = campaign_reports.report_of(session, campaign_id)
    except NotFound:
        return {"parts": None}
    return {
        "parts": sections(report.snapshot),
        "made": made(report.snapshot),
        "since": since_words(campaign_reports.since(session, report)),
    }


@blueprint.get("/console/campaigns/<uuid:campaign_id>/report.<any(zh, en):wanted>.pdf")
@staff_required(*MANAGERS)
def pdf(campaign_id: UUID, wanted: str) -> Response:
    """The report to print, in Chinese or in English."""
    snapshot = _snapshot(campaign_id)
    from activities.campaign_report_papers import report_pdf  # late: the type-setting would slow every start

    with force_locale(wanted):
        body = report_pdf(snapshot, "zh-CN" if wanted == "zh" else "en")
    return _file(body, "application/pdf", f"tanpuhui-report-{campaign_id}.{wanted}.pdf")


@blueprint.get("/console/campaigns/<uuid:campaign_id>/report.csv")
@staff_required(*MANAGERS)
def csv(campaign_id: UUID) -> Response:
    """The numbers of the report for a spreadsheet."""
    snapshot = _snapshot(campaign_id)
    from activities.campaign_report_papers import report_csv

    return _file(report_csv(snapshot), "text/csv", f"tanpuhui-report-{campaign_id}.csv")


def _snapshot(campaign_id: UUID) -> dict[str, Any]:
    with house().db.reading_session() as session:
        managed(session, staff(), campaign_id)
        return campaign_reports.report_of(session, campaign_id).snapshot


def _file(body: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, mimetype=kind, headers=headers)


@blueprint.post("/console/campaigns/<uuid:campaign_id>/thanks")
@staff_required(*MANAGERS)
def thank(campaign_id: UUID) -> Answer:
    """Say thanks, or mend what was said."""
    try:
        campaign_thanks.thank(house(), staff(), campaign_id, request.form.get("words", ""))
    except (InvalidField, CampaignMovedOn) as error:
        return _one(campaign_id, error)
    return redirect(url_for("campaign_reports.one", campaign_id=campaign_id), 303)
