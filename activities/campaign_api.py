"""The JSON API of campaigns and their templates: for organisers and officers, each within their scope."""

import json
from typing import Annotated, Any
from uuid import UUID

from flask import Response
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field, ValidationError

from activities import campaign_desk, campaign_reports, campaign_templates, campaigns
from activities.campaign_rules import Rules
from activities.campaign_templates import Shelved
from activities.campaigns import Campaign, CampaignVersion, Stage, VersionState, stage_of
from tanpuhui import clock
from tanpuhui.errors import NotAllowed
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.web.api import READING, WRITING, Strict, api_blueprint, invalid, iso, json_answer
from tanpuhui.web.auth import machine

_Id = Annotated[UUID, Field(strict=False)]


class CampaignBody(Strict):
    """A new campaign, for a division or run by an organisation; made from a `template` of the shelf, if it names one."""

    title: str = Field(min_length=2, max_length=60)
    division_code: str = Field("", max_length=12)
    organisation_id: _Id | None = None
    template: str | None = Field(None, max_length=64)
    rules: Rules


class DecisionBody(Strict):
    """Which version was read."""

    version: int = Field(ge=1, le=10_000)


class ReturnBody(DecisionBody):
    """Which version was read, and what is to be changed."""

    reason: str = Field(min_length=2, max_length=200)


class ReasonBody(Strict):
    """Why."""

    reason: str = Field(min_length=2, max_length=200)


class TemplateBody(Strict):
    """A template for everybody, published by a division or an organisation. `document`: see docs/campaign-templates.md."""

    division_code: str = Field("", max_length=12)
    organisation_id: _Id | None = None
    document: dict[str, Any]


class CampaignOut(BaseModel):
    """A campaign with where it stands. `version` and `state`: of the latest version; `in_force`: the one whose rules hold."""

    id: UUID
    title: str
    division_code: str
    organisation_id: UUID | None
    template: str | None
    stage: Stage
    version: int
    state: str
    in_force: int | None
    starts_at: str | None
    ends_at: str | None


class RulesVersionOut(BaseModel):
    """A version of a campaign's rules. `reason`: why it was sent back."""

    number: int
    title: str
    state: str
    by_template: bool
    reason: str
    rules: Rules


class CampaignWithVersionsOut(CampaignOut):
    """A campaign with every version of its rules, the latest first."""

    versions: list[RulesVersionOut]


class CampaignReportOut(BaseModel):
    """A closing report: when it was made, in which `format`, and all it says (docs/campaign-reports.md).

    What is null is left out, because it is of fewer than five people or would give one of these away. `since`: how many records
    were voided or confirmed after the report was made; it does not change for that.
    """

    campaign_id: UUID
    format: int
    made_at: str
    snapshot: dict[str, Any]
    since: dict[str, int]


class CampaignsOut(BaseModel):
    """Campaigns: those without a date first, then the latest."""

    campaigns: list[CampaignOut]


class TemplateOut(BaseModel):
    """A template. `owner`: who published it, none if it comes with the platform; `approved`: campaigns that keep to it need no approval."""

    code: str
    owner: str | None
    approved: bool
    document: dict[str, Any]


class TemplatesOut(BaseModel):
    """The templates on the shelf."""

    templates: list[TemplateOut]


class CampaignPath(BaseModel):
    """A campaign."""

    campaign_id: UUID


def blueprint(house: House) -> APIBlueprint:
    """The operations under `/api/v1`."""
    api = api_blueprint("campaign-api", __name__)

    def answer(campaign_id: UUID, status: int = 200) -> Response:
        with house.db.reading_session() as session:
            campaign = campaigns.managed(session, machine(), campaign_id)
            versions = campaigns.versions_of(session, campaign_id)
            said = _campaign(campaign, versions[0]) | {"versions": [_version(one) for one in versions]}
        return json_answer(said, status)

    @api.get("/campaigns", summary="Campaigns of one's scope", responses={"200": CampaignsOut, **READING})
    def get_campaigns() -> Response:
        with house.db.reading_session() as session:
            found = campaigns.list_campaigns(session, _staff())
            latest = campaigns.latest_versions(session, found)
            return json_answer({"campaigns": [_campaign(one, latest[one.id]) for one in found]})

    @api.get(
        "/campaigns/<campaign_id>",
        summary="One campaign with its versions",
        responses={"200": CampaignWithVersionsOut, **READING},
    )
    def get_campaign(path: CampaignPath) -> Response:
        return answer(path.campaign_id)

    @api.get(
        "/campaigns/<campaign_id>/report",
        summary="The closing report of a campaign",
        responses={"200": CampaignReportOut, **READING},
    )
    def get_report(path: CampaignPath) -> Response:
        with house.db.reading_session() as session:
            campaigns.managed(session, machine(), path.campaign_id)
            report = campaign_reports.report_of(session, path.campaign_id)
            said = {
                "campaign_id": str(path.campaign_id),
                "format": report.format,
                "made_at": iso(report.made_at),
                "snapshot": report.snapshot,
                "since": dict(campaign_reports.since(session, report)),
            }
        return json_answer(said)

    @api.post(
        "/campaigns",
        summary="Submit a campaign for approval",
        responses={"201": CampaignWithVersionsOut, **WRITING},
    )
    def post_campaign(body: CampaignBody) -> Response:
        try:
            campaign_in = campaign_desk.CampaignIn.model_validate(body.model_dump())
        except ValidationError as error:
            raise invalid(error) from error
        made = campaign_desk.propose(house, machine(), campaign_in)
        return answer(made.id, 201)

    @api.post(
        "/campaigns/<campaign_id>/submit",
        summary="Submit what is drafted",
        responses={"200": CampaignWithVersionsOut, **WRITING},
    )
    def post_submit(path: CampaignPath) -> Response:
        campaign_desk.submit(house, machine(), path.campaign_id)
        return answer(path.campaign_id)

    @api.post(
        "/campaigns/<campaign_id>/cancel",
        summary="Cancel a campaign",
        responses={"200": CampaignWithVersionsOut, **WRITING},
    )
    def post_cancel(path: CampaignPath, body: ReasonBody) -> Response:
        campaign_desk.cancel(house, machine(), path.campaign_id, body.reason)
        return answer(path.campaign_id)

    @api.post(
        "/campaigns/<campaign_id>/approve",
        summary="Approve a version",
        responses={"200": CampaignWithVersionsOut, **WRITING},
    )
    def post_approve(path: CampaignPath, body: DecisionBody) -> Response:
        campaign_desk.approve(house, machine(), path.campaign_id, body.version)
        return answer(path.campaign_id)

    @api.post(
        "/campaigns/<campaign_id>/return",
        summary="Send a version back",
        responses={"200": CampaignWithVersionsOut, **WRITING},
    )
    def post_return(path: CampaignPath, body: ReturnBody) -> Response:
        campaign_desk.send_back(house, machine(), path.campaign_id, body.version, body.reason)
        return answer(path.campaign_id)

    @api.get(
        "/campaign-templates", summary="Templates on the shelf", responses={"200": TemplatesOut, **READING}
    )
    def get_templates() -> Response:
        _staff()
        with house.db.reading_session() as session:
            found = campaign_templates.shelf(session)
        return json_answer({"templates": [_template(one) for one in found]})

    @api.post("/campaign-templates", summary="Publish a template", responses={"201": TemplateOut, **WRITING})
    def post_template(body: TemplateBody) -> Response:
        row = campaign_templates.publish(
            house,
            machine(),
            json.dumps(body.document, default=str).encode(),
            division_code=body.division_code,
            organisation_id=body.organisation_id,
        )
        with house.db.reading_session() as session:
            return json_answer(_template(campaign_templates.on_shelf(session, row.code)), 201)

    return api


def _staff() -> Principal:
    """Who asks, if it is a member of staff. Raises NotAllowed."""
    principal = machine()
    if principal.kind != "staff":
        raise NotAllowed
    return principal


def _campaign(campaign: Campaign, latest: CampaignVersion) -> dict[str, Any]:
    pending = latest.state if latest.state is not VersionState.APPROVED else None
    return {
        "id": str(campaign.id),
        "title": campaign.title,
        "division_code": campaign.division_code,
        "organisation_id": str(campaign.organisation_id) if campaign.organisation_id else None,
        "template": campaign.template,
        "stage": stage_of(campaign, pending, clock.now()),
        "version": latest.number,
        "state": latest.state,
        "in_force": campaign.version,
        "starts_at": iso(campaign.starts_at) if campaign.starts_at else None,
        "ends_at": iso(campaign.ends_at) if campaign.ends_at else None,
    }


def _version(version: CampaignVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "title": version.title,
        "state": version.state,
        "by_template": version.by_template,
        "reason": version.reason,
        "rules": version.read().stored(),
    }


def _template(one: Shelved) -> dict[str, Any]:
    return {
        "code": one.code,
        "owner": one.owner or None,
        "approved": one.approved,
        "document": json.loads(one.text),
    }
