"""The closing report of a campaign: a snapshot that is made once, and from which page, PDF and CSV are drawn alone.

What happens afterwards changes nothing of it: it is said beside it (`since`).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities import campaign_report_numbers as numbers, otherwise
from activities.actions import Action, ActionVoid
from activities.campaign_report_numbers import Within
from activities.campaign_rules import Rules
from activities.campaigns import (
    Campaign,
    CampaignSite,
    CampaignVersion,
    VersionState,
    owners,
    rules_of,
)
from activities.catalogue import ActionKind
from activities.error_rates import campaign_rates
from activities.reviews import ActionReview, ReviewState, waiting_in
from activities.sites import Site
from tanpuhui import clock
from tanpuhui.bureau.suppression import FEWEST, told
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound
from tanpuhui.rooms import House
from tanpuhui.schema import Guard

#: The form of snapshots that are made today. What was made in an earlier one stays readable.
FORMAT = 1


class CampaignReport(SQLModel, table=True):
    """The closing report of a campaign, as it was when it was made."""

    __tablename__ = "campaign_report"
    __table_args__ = (sa.CheckConstraint("format >= 1", name="format"),)

    campaign_id: UUID = Field(foreign_key="campaign.id", primary_key=True)
    format: int
    made_at: datetime
    snapshot: dict[str, Any] = Field(sa_type=sa.JSON)


#: A report says what it said.
GUARDS = (
    Guard("campaign_report", "frozen", "UPDATE", "true", "a report is never changed"),
    Guard("campaign_report", "kept", "DELETE", "true", "a report is kept"),
)


def make(house: House, session: Session, campaign_id: UUID, now: datetime) -> None:
    """Write the report of a campaign down, as things stand at `now`, unless there is one.

    It is read at one moment, whatever is written meanwhile: the numbers of its tables belong together.
    """
    if session.get(CampaignReport, campaign_id) is None:
        with house.db.snapshot() as connection, session_on(connection) as reading:
            made = snapshot(house, reading, reading.get_one(Campaign, campaign_id), now)
        session.add(CampaignReport(campaign_id=campaign_id, format=FORMAT, made_at=now, snapshot=made))


def snapshot(house: House, session: Session, campaign: Campaign, now: datetime) -> dict[str, Any]:
    """Everything that a report says, as JSON keeps it: numbers, names and days; words come when it is drawn.

    The campaign has a window. None stands for a number that is left out, because it is of fewer than five people or would give one
    of these away.
    """
    assert campaign.starts_at is not None
    assert campaign.until is not None
    connection = session.connection()
    within = Within(campaign.id, _sites(session, campaign.id))
    people = numbers.participants(connection, within)
    new = numbers.new_participants(connection, within, campaign.starts_at)
    apart = people >= FEWEST and told(new) and told(people - new)
    tables = numbers.tables(connection, within)
    numbers.names(connection, tables)
    waiting = waiting_in(session, campaign.id)
    rooms = {key: said for room in house.rooms for key, said in room.report(connection, campaign.id).items()}
    return {
        "format": FORMAT,
        "made_at": now.isoformat(),
        "campaign": _campaign(session, campaign, within),
        "participants": people if told(people) else None,
        "new": new if apart else None,
        "returning": people - new if apart else None,
        "tables": tables,
        "pollutants": numbers.pollutants(connection, within),
        "refused": numbers.refusals(connection, within, campaign.starts_at, campaign.until),
        "waiting": waiting if waiting == 0 or waiting >= FEWEST else None,
        "factors": numbers.factors(connection, within),
        "checked": [
            {
                "verified": verified,
                "judged": rate.judged,
                "wrong": rate.wrong,
                "interval": list(rate.interval),
            }
            for verified, rate in campaign_rates(connection, campaign.id).items()
            if rate.judged >= FEWEST
        ],
        "otherwise": otherwise.summary(connection, within.these()),
        **rooms,
    }


def _sites(session: Session, campaign_id: UUID) -> list[UUID]:
    """The sites of every version that was in force: records stay where they were made."""
    versions = select(CampaignVersion).where(
        CampaignVersion.campaign_id == campaign_id, CampaignVersion.state == VersionState.APPROVED
    )
    found = {site_id for version in session.exec(versions) for site_id in version.read().site_ids}
    present = select(CampaignSite.site_id).where(CampaignSite.campaign_id == campaign_id)
    return sorted(found | set(session.exec(present)))


def _campaign(session: Session, campaign: Campaign, within: Within) -> dict[str, Any]:
    assert campaign.starts_at is not None
    assert campaign.until is not None
    rules = rules_of(session, campaign)
    version = session.get(CampaignVersion, (campaign.id, campaign.version))
    names = select(Site.name).where(col(Site.id).in_(within.sites)).order_by(col(Site.name), col(Site.id))
    return {
        "id": str(campaign.id),
        "title": campaign.title,
        "owner": owners(session, [campaign])[campaign.id],
        "where": session.get_one(Division, campaign.division_code).name,
        "starts_at": campaign.starts_at.isoformat(),
        "ends_at": campaign.until.isoformat(),
        "cancelled": campaign.cancelled_at is not None,
        "days": [
            clock.day_of(at).isoformat()
            for at in (
                campaign.starts_at,
                max(campaign.until - timedelta(microseconds=1), campaign.starts_at),
            )
        ],
        "version": campaign.version,
        "approved_at": version.decided_at.isoformat() if version and version.decided_at else None,
        "by_template": bool(version and version.by_template),
        "sites": list(session.exec(names)),
        **_rules(session, rules),
    }


def _rules(session: Session, rules: Rules | None) -> dict[str, Any]:
    if rules is None:
        return {"kinds": [], "divisions": [], "goals": None}
    kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
    places = select(Division.name).where(col(Division.code).in_(rules.divisions)).order_by(Division.code)
    return {
        "kinds": [
            {"zh": kinds[code].name_zh, "en": kinds[code].name_en} for code in rules.kinds if code in kinds
        ],
        "divisions": list(session.exec(places)) if rules.divisions else [],
        "goals": rules.goals.model_dump() if rules.goals else None,
    }


def report_of(session: Session, campaign_id: UUID) -> CampaignReport:
    """The report of a campaign. Raises NotFound as long as there is none."""
    found = session.get(CampaignReport, campaign_id)
    if found is None:
        raise NotFound
    return found


def since(session: Session, report: CampaignReport) -> Mapping[str, int]:
    """What became of records of the campaign after its report was made: how many were voided, how many confirmed."""
    sites = _sites(session, report.campaign_id)
    these = Within(report.campaign_id, sites).these()
    recorded = (these, col(Action.recorded_at) <= report.made_at)
    voided = (
        sa.select(sa.func.count())
        .join_from(Action, ActionVoid, col(ActionVoid.action_id) == col(Action.id))
        .where(*recorded, col(ActionVoid.voided_at) > report.made_at)
    )
    confirmed = (
        sa.select(sa.func.count())
        .join_from(Action, ActionReview, col(ActionReview.action_id) == col(Action.id))
        .where(
            *recorded,
            col(ActionReview.state) == ReviewState.CONFIRMED,
            col(ActionReview.decided_at) > report.made_at,
        )
    )
    return {"voided": session.scalar(voided) or 0, "confirmed": session.scalar(confirmed) or 0}
