"""How a campaign comes to be: drafted by its organisers, submitted, approved by the bureau or sent back; cancelled.

Rules are frozen on approval. A change is a new version, which takes the same way while the approved one goes on.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field as InField
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.campaign_dates import place, window_of
from activities.campaign_notices import NoticeKind, notify
from activities.campaign_rules import Rules, Weekly
from activities.campaign_templates import approved_before, on_shelf
from activities.campaigns import (
    EDITABLE,
    Campaign,
    CampaignSite,
    CampaignVersion,
    VersionState,
    division_of,
    managed,
    open_version,
)
from activities.catalogue import ActionKind
from activities.events import BonusRules, CampaignApproved, CampaignCancelled, CampaignSubmitted
from activities.sites import MANAGERS, SiteCredits, get_site
from tanpuhui import audit, clock, ids, reference
from tanpuhui.db import session_on
from tanpuhui.divisions import Division
from tanpuhui.errors import ApproverIsSubmitter, CampaignMovedOn, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, made_before, require

APPROVERS = (Role.OFFICER,)


class CampaignIn(BaseModel):
    """What an organiser says of a new campaign: for a division, or run by an organisation."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = InField(min_length=2, max_length=60)
    division_code: str = InField(default="", max_length=12)
    organisation_id: UUID | None = None
    template: str | None = InField(default=None, max_length=64)
    rules: Rules


class ChangeIn(BaseModel):
    """What an organiser makes of a campaign's next version."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = InField(min_length=2, max_length=60)
    rules: Rules


# --- drafting ------------------------------------------------------------------------------------------------


def draft(
    house: House, principal: Principal, campaign_in: CampaignIn, *, chosen: UUID | None = None
) -> Campaign:
    """Begin a campaign over sites of one's own scope; with a `chosen` id once, however often it is asked.

    Raises NotAllowed, NotFound (a site, an organisation), InvalidField.
    """
    with house.db.session() as session:
        return _draft(session, principal, campaign_in, chosen)


def propose(house: House, principal: Principal, campaign_in: CampaignIn) -> Campaign:
    """Draft a campaign and submit it in one: whatever is refused, nothing is left. Raises like `draft` and `submit`."""

    def work(connection: Connection) -> Campaign:
        with session_on(connection) as session:
            campaign = _draft(session, principal, campaign_in, None)
            _submit(house, session, principal, campaign.id)
            return campaign

    return house.db.run(work)


def _draft(session: Session, principal: Principal, campaign_in: CampaignIn, chosen: UUID | None) -> Campaign:
    organisation_id = campaign_in.organisation_id
    division_code = division_of(session, organisation_id) if organisation_id else campaign_in.division_code
    require(session, principal, MANAGERS, division_code=division_code, organisation_id=organisation_id)
    if made := made_before(session, principal, Campaign, chosen):
        return made
    if session.get(Division, division_code) is None:
        raise InvalidField(errors=[{"field": "division_code", "reason": N_("没有这个区划。")}])
    _check_template(session, campaign_in.template)
    _check(session, principal, campaign_in.rules)
    campaign = Campaign(
        id=chosen or ids.new_id(),
        title=campaign_in.title,
        division_code=division_code,
        organisation_id=organisation_id,
        template=campaign_in.template,
        created_by=principal.id,
    )
    session.add(campaign)
    session.flush()
    _write(session, principal, campaign, 1, campaign_in.title, campaign_in.rules)
    _note(session, principal, campaign, "campaign.drafted")
    return campaign


def _check_template(session: Session, code: str | None) -> None:
    """Raises InvalidField (``template``) for one that is not on the shelf."""
    try:
        if code is not None:
            on_shelf(session, code)
    except NotFound:
        raise InvalidField(errors=[{"field": "template", "reason": N_("没有这个模板。")}]) from None


def amend(house: House, principal: Principal, campaign_id: UUID, change: ChangeIn) -> CampaignVersion:
    """Write in the draft of a campaign; of one that is approved, in the draft of its next version.

    Raises NotFound, NotAllowed, InvalidField, CampaignMovedOn (it waits for approval, or is over).
    """
    with house.db.session() as session:
        campaign = managed(session, principal, campaign_id, locked=True)
        _check_not_over(campaign)
        _check(session, principal, change.rules, campaign)
        version = open_version(session, campaign_id)
        if version is None:
            version = _write(
                session, principal, campaign, (campaign.version or 0) + 1, change.title, change.rules
            )
        elif version.state in EDITABLE:
            version.title, version.rules = change.title, change.rules.stored()
            session.add(version)
        else:
            raise CampaignMovedOn
        if campaign.version is None:
            campaign.title = change.title
            session.add(campaign)
        _note(session, principal, campaign, "campaign.amended", version=version.number)
        session.flush()
        return version


def _write(
    session: Session, principal: Principal, campaign: Campaign, number: int, title: str, rules: Rules
) -> CampaignVersion:
    version = CampaignVersion(
        campaign_id=campaign.id, number=number, title=title, rules=rules.stored(), drafted_by=principal.id
    )
    session.add(version)
    session.flush()
    return version


# --- what is asked of rules ----------------------------------------------------------------------------------


def _check(session: Session, principal: Principal, rules: Rules, campaign: Campaign | None = None) -> None:
    """Raises NotFound or NotAllowed for a site of others, and InvalidField for all else, each beside its field."""
    for site_id in rules.site_ids:
        get_site(session, principal, site_id)
    errors = [
        {"field": field, "reason": reason}
        for field, reason in (*_wrong_choices(session, rules), *_wrong_days(session, rules, campaign))
    ]
    if errors:
        raise InvalidField(errors=errors)


def _wrong_choices(session: Session, rules: Rules) -> Iterator[tuple[str, str]]:
    known = set(session.exec(select(ActionKind.code).where(col(ActionKind.enabled).is_(True))))
    credited = select(SiteCredits.kind).where(col(SiteCredits.site_id).in_(rules.site_ids))
    here = set(session.exec(credited.distinct()))
    if set(rules.kinds) - known:
        yield "kinds", N_("有不存在或已停用的行为。")
    elif rules.kinds and not set(rules.kinds) & here:
        yield "kinds", N_("所选的点位都不记录这些行为。")
    divisions = set(session.exec(select(Division.code).where(col(Division.code).in_(rules.divisions))))
    if set(rules.divisions) - divisions:
        yield "divisions", N_("没有这个区划。")


def _wrong_days(session: Session, rules: Rules, campaign: Campaign | None) -> Iterator[tuple[str, str]]:
    now = clock.now()
    try:
        window = window_of(session, rules)
    except InvalidField as error:
        yield from ((one["field"], one["reason"]) for one in error.params["errors"])
        return
    if window and window.ends_at <= now:
        yield "when", N_("这些日子已经过去了。")
        return
    begun = campaign.starts_at if campaign and campaign.starts_at and campaign.starts_at <= now else None
    if begun and (window is None or window.starts_at != begun):
        yield "when", N_("活动已经开始，开始时间不能再改。")


def _check_not_over(campaign: Campaign) -> None:
    over = campaign.ends_at is not None and campaign.ends_at <= clock.now()
    if over or campaign.cancelled_at or campaign.settled_at:
        raise CampaignMovedOn


# --- deciding ------------------------------------------------------------------------------------------------


def submit(house: House, principal: Principal, campaign_id: UUID) -> CampaignVersion:
    """Ask the bureau to approve what is drafted; what keeps to a template that it approved before is approved at once.

    Asking again while it waits changes nothing.

    Raises NotFound, NotAllowed, InvalidField (what was right when it was drafted is so no more), CampaignMovedOn.
    """

    def work(connection: Connection) -> CampaignVersion:
        with session_on(connection) as session:
            return _submit(house, session, principal, campaign_id)

    return house.db.run(work)


def _submit(house: House, session: Session, principal: Principal, campaign_id: UUID) -> CampaignVersion:
    campaign = managed(session, principal, campaign_id, locked=True)
    version = open_version(session, campaign_id)
    if version is None:
        raise CampaignMovedOn
    if version.state is VersionState.SUBMITTED:
        return version
    _check_not_over(campaign)
    rules = version.read()
    _check(session, principal, rules, campaign)
    version.state, version.reason = VersionState.SUBMITTED, ""
    version.submitted_by, version.submitted_at = principal.id, clock.now()
    version.decided_by = version.decided_at = None
    session.add(version)
    _note(session, principal, campaign, "campaign.submitted", version=version.number)
    session.flush()
    submitted = CampaignSubmitted(
        subject_id=campaign_id, recorded_at=clock.now(), version=version.number, bonus=bonus_of(rules)
    )
    house.publish(session.connection(), [submitted])
    if approved_before(session, campaign, rules, principal.id):
        _approve_by_template(house, session, principal, campaign, version)
    return version


def _approve_by_template(
    house: House, session: Session, principal: Principal, campaign: Campaign, version: CampaignVersion
) -> None:
    version.state, version.by_template, version.decided_at = VersionState.APPROVED, True, clock.now()
    _note(session, principal, campaign, "campaign.approved_by_template", version=version.number)
    put_in_force(house, session, campaign, version)


def take_back(house: House, principal: Principal, campaign_id: UUID) -> None:
    """Write on in what was submitted. Raises NotFound, NotAllowed, CampaignMovedOn (decided meanwhile)."""
    with house.db.session() as session:
        campaign = managed(session, principal, campaign_id, locked=True)
        version = open_version(session, campaign_id)
        if version is None or version.state is not VersionState.SUBMITTED:
            raise CampaignMovedOn
        version.state = VersionState.DRAFT
        session.add(version)
        _note(session, principal, campaign, "campaign.taken_back", version=version.number)


def send_back(house: House, principal: Principal, campaign_id: UUID, number: int, reason: str) -> None:
    """Ask for changes, with a reason. Raises NotFound, NotAllowed, InvalidField, CampaignMovedOn."""
    reason = audit.reason(reason)
    with house.db.session() as session:
        campaign, version = _deciding(session, principal, campaign_id, number)
        version.state, version.reason = VersionState.RETURNED, reason
        version.decided_by, version.decided_at = principal.id, clock.now()
        session.add(version)
        _note(session, principal, campaign, "campaign.returned", reason=reason, version=number)
        session.flush()
        notify(session.connection(), campaign_id, NoticeKind.RETURNED, version=number)


def approve(house: House, principal: Principal, campaign_id: UUID, number: int) -> Campaign:
    """Approve version `number` as it was read: its rules hold from now on, and are never changed.

    Raises NotFound, NotAllowed, ApproverIsSubmitter, InvalidField (its days are past by now), CampaignMovedOn.
    """

    def work(connection: Connection) -> Campaign:
        with session_on(connection) as session:
            campaign, version = _deciding(session, principal, campaign_id, number)
            if version.submitted_by == principal.id:
                raise ApproverIsSubmitter
            if errors := list(_wrong_days(session, version.read(), campaign)):
                raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in errors])
            version.state = VersionState.APPROVED
            version.decided_by, version.decided_at = principal.id, clock.now()
            _note(session, principal, campaign, "campaign.approved", version=number)
            put_in_force(house, session, campaign, version)
            return campaign

    return house.db.run(work)


def _deciding(
    session: Session, principal: Principal, campaign_id: UUID, number: int
) -> tuple[Campaign, CampaignVersion]:
    campaign = managed(session, principal, campaign_id, APPROVERS, locked=True)
    version = open_version(session, campaign_id)
    if version is None or version.number != number or version.state is not VersionState.SUBMITTED:
        raise CampaignMovedOn
    _check_not_over(campaign)
    return campaign, version


def put_in_force(house: House, session: Session, campaign: Campaign, version: CampaignVersion) -> None:
    """Let an approved version hold: window, sites, kinds and who may take part; tell the organisers and the other rooms."""
    rules, connection = version.read(), session.connection()
    session.add(version)
    session.flush()  # the database lets only an approved version be in force
    campaign.version, campaign.title = version.number, version.title
    campaign.schedule = rules.when.schedule if isinstance(rules.when, Weekly) else ""
    campaign.kinds, campaign.divisions = rules.kinds or None, rules.divisions or None
    campaign.accounts = [kind.value for kind in rules.accounts] or None
    place(campaign, rules, window_of(session, rules))
    session.add(campaign)
    session.exec(sa.delete(CampaignSite).where(col(CampaignSite.campaign_id) == campaign.id))
    for site_id in dict.fromkeys(rules.site_ids):
        session.add(CampaignSite(campaign_id=campaign.id, site_id=site_id))
    session.flush()
    notify(connection, campaign.id, NoticeKind.APPROVED, version=version.number)
    house.publish(
        connection,
        [
            CampaignApproved(
                subject_id=campaign.id,
                recorded_at=version.decided_at or clock.now(),
                version=version.number,
                title=version.title,
                bonus=bonus_of(rules),
            )
        ],
    )
    reference.bump(connection)


def bonus_of(rules: Rules) -> BonusRules | None:
    """The bonus as other rooms hear of it."""
    return BonusRules(**rules.bonus.model_dump()) if rules.bonus else None


# --- cancelling ----------------------------------------------------------------------------------------------


def cancel(house: House, principal: Principal, campaign_id: UUID, reason: str) -> None:
    """End a campaign early, or give it up: scans from now on do not count for it. Ending it twice changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason), CampaignMovedOn (it is settled).
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            campaign = managed(session, principal, campaign_id, locked=True)
            if campaign.cancelled_at is not None:
                return
            if campaign.settled_at:
                raise CampaignMovedOn
            now = campaign.cancelled_at = clock.now()
            session.add(campaign)
            _note(session, principal, campaign, "campaign.cancelled", reason=reason)
            session.flush()
            house.publish(connection, [_cancelled(campaign_id, principal, reason, now)])
            reference.bump(connection)

    house.db.run(work)


def _cancelled(campaign_id: UUID, principal: Principal, reason: str, now: datetime) -> CampaignCancelled:
    return CampaignCancelled(
        subject_id=campaign_id, recorded_at=now, reason=reason, cancelled_by=principal.id
    )


def _note(
    session: Session,
    principal: Principal,
    campaign: Campaign,
    deed: str,
    *,
    reason: str = "",
    version: int | None = None,
) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"campaign:{campaign.id}",
        reason=reason,
        **({"version": version} if version else {}),
    )
