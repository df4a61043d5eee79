"""Proposals: how a factor becomes a published version. Proposed by one officer, reviewed by another, published.

The database refuses a reviewer who is the proposer, a step out of order, and an edit after the review. Officers of
the whole district take the steps; publishing, for the reason it was proposed for, is in `activities.quantify.publication`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, col, select

from activities.quantify.factors import FactorValues, FactorVersion, value_checks
from activities.quantify.proposal_checks import Standing, accepted, standing
from tanpuhui import audit, clock, ids
from tanpuhui.db import enum_type, session_on
from tanpuhui.errors import (
    InvalidField,
    NotAllowed,
    NotFound,
    ProposalChanged,
    ProposalMoved,
    ReviewerIsProposer,
)
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, made_before, require


class ProposalState(StrEnum):
    """Where a proposal stands."""

    PROPOSED = "proposed"
    REVIEWED = "reviewed"
    PUBLISHED = "published"
    DECLINED = "declined"


PROPOSAL_STATE_NAMES = {
    ProposalState.PROPOSED: N_("待复核"),
    ProposalState.REVIEWED: N_("已复核，待发布"),
    ProposalState.PUBLISHED: N_("已发布"),
    ProposalState.DECLINED: N_("未采纳"),
}


class FactorProposal(FactorValues, table=True):
    """A factor on its way to being published. `reason`: why it is proposed; `remark`: what the reviewer said."""

    __tablename__ = "factor_proposal"
    __table_args__ = (
        *value_checks(),
        sa.CheckConstraint("reason <> ''", name="reason"),
        sa.CheckConstraint("reviewed_by <> proposed_by", name="second_officer"),
        sa.CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name="review"),
        sa.CheckConstraint(
            "state NOT IN ('reviewed', 'published') OR reviewed_by IS NOT NULL", name="reviewed"
        ),
        sa.CheckConstraint(
            "(state = 'published') = (published_by IS NOT NULL)"
            " AND (published_by IS NULL) = (published_at IS NULL)",
            name="published",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    state: ProposalState = Field(
        default=ProposalState.PROPOSED,
        sa_column=sa.Column(enum_type(ProposalState), nullable=False, index=True),
    )
    reason: str
    proposed_by: UUID = Field(foreign_key="staff.id")
    proposed_at: datetime = Field(default_factory=clock.now)
    reviewed_by: UUID | None = Field(default=None, foreign_key="staff.id")
    reviewed_at: datetime | None = None
    remark: str = ""
    published_by: UUID | None = Field(default=None, foreign_key="staff.id")
    published_at: datetime | None = None


#: Proposals of which something may still become.
OPEN = (ProposalState.PROPOSED, ProposalState.REVIEWED)


def values_in(factor: FactorValues) -> dict[str, Any]:
    """What a proposal or a version says, by the names of `FactorValues`."""
    return factor.model_dump(include=set(FactorValues.model_fields))


def fingerprint(proposal: FactorProposal) -> str:
    """Tells one wording of a proposal from another: what a reviewer has seen."""
    said = json.dumps([values_in(proposal), proposal.reason], default=str, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


# --- who may, and one after the other -----------------------------------------------------------------------


def require_officer(house: House, session: Session, principal: Principal) -> None:
    """Let only officers of the whole district pass. Raises NotAllowed."""
    require(session, principal, {Role.OFFICER}, division_code=house.settings.district_code)


@contextmanager
def turn(
    house: House, connection: Connection, principal: Principal, proposal_id: UUID, *states: ProposalState
) -> Iterator[tuple[Session, FactorProposal]]:
    """A step that an officer takes with a proposal in one of `states`; who comes meanwhile waits for its end.

    Raises NotAllowed, NotFound, ProposalMoved.
    """
    with session_on(connection) as session:
        require_officer(house, session, principal)
        proposal = session.get(FactorProposal, proposal_id, with_for_update=True)
        if proposal is None:
            raise NotFound
        if proposal.state not in states:
            raise ProposalMoved(state=proposal.state)
        yield session, proposal


def note(
    session: Session, principal: Principal, deed: str, proposal: FactorProposal, reason: str, **detail: Any
) -> None:
    """Write a step into the audit."""
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"proposal:{proposal.id}",
        reason=reason,
        **detail,
    )


# --- the steps ----------------------------------------------------------------------------------------------


def propose(
    house: House, principal: Principal, values: FactorValues, reason: str, *, chosen: UUID | None = None
) -> FactorProposal:
    """Propose a factor; with a `chosen` id once, however often it is asked.

    Raises NotAllowed, InvalidField (by the columns of the sheet, or ``reason``).
    """

    def work(connection: Connection) -> FactorProposal:
        with session_on(connection) as session:
            require_officer(house, session, principal)
            if made := made_before(session, principal, FactorProposal, chosen):
                return made
            return add_proposal(session, principal, *_read(values, standing(session), reason), chosen)

    return house.db.run(work)


def _read(values: FactorValues, beside: Standing, reason: str) -> tuple[FactorValues, str]:
    """What is proposed, and why. Raises InvalidField with all that is wrong with either."""
    errors: list[dict[str, str]] = []
    try:
        values = accepted(values, beside)
    except InvalidField as error:
        errors += error.params["errors"]
    try:
        reason = audit.reason(reason)
    except InvalidField as error:
        errors += error.params["errors"]
    if errors:
        raise InvalidField(errors=errors)
    return values, reason


def add_proposal(
    session: Session,
    principal: Principal,
    values: FactorValues,
    reason: str,
    chosen: UUID | None = None,
) -> FactorProposal:
    """A new proposal in the transaction of `session`; the caller has checked who asks, and for what."""
    proposal = FactorProposal(
        id=chosen or ids.new_id(),
        **values_in(values),
        reason=reason,
        proposed_by=principal.id,
        proposed_at=clock.now(),
    )
    session.add(proposal)
    note(session, principal, "factor.proposed", proposal, reason, kind=proposal.action_code)
    session.flush()
    return proposal


def amend(
    house: House, principal: Principal, proposal_id: UUID, values: FactorValues, reason: str
) -> FactorProposal:
    """Change what is proposed, or why, until it is reviewed; by who proposed it. The kind stays.

    Raises NotFound, NotAllowed, ProposalMoved, InvalidField.
    """

    def work(connection: Connection) -> FactorProposal:
        with turn(house, connection, principal, proposal_id, ProposalState.PROPOSED) as (session, proposal):
            if proposal.proposed_by != principal.id or values.action_code != proposal.action_code:
                raise NotAllowed
            wanted, why = _read(values, standing(session), reason)
            before, after = values_in(proposal), values_in(wanted)
            changed = {name: value for name, value in after.items() if value != before[name]}
            for name, value in {**changed, "reason": why}.items():
                setattr(proposal, name, value)
            changes = {name: [_plain(before[name]), _plain(value)] for name, value in changed.items()}
            note(session, principal, "factor.amended", proposal, why, changes=changes)
            session.add(proposal)
            return proposal

    return house.db.run(work)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def review(
    house: House, principal: Principal, proposal_id: UUID, remark: str, *, seen: str | None = None
) -> None:
    """Pass a proposal, saying what was checked; by another officer than who proposed it.

    `seen` is the `fingerprint` of what the reviewer read. Raises NotFound, NotAllowed, ReviewerIsProposer,
    ProposalMoved, ProposalChanged, InvalidField.
    """
    remark = audit.reason(remark)

    def work(connection: Connection) -> None:
        with turn(house, connection, principal, proposal_id, ProposalState.PROPOSED) as (session, proposal):
            if proposal.proposed_by == principal.id:
                raise ReviewerIsProposer
            if seen is not None and seen != fingerprint(proposal):
                raise ProposalChanged
            proposal.state = ProposalState.REVIEWED
            proposal.reviewed_by, proposal.reviewed_at = principal.id, clock.now()
            proposal.remark = remark
            session.add(proposal)
            note(session, principal, "factor.reviewed", proposal, remark)

    house.db.run(work)


def decline(house: House, principal: Principal, proposal_id: UUID, reason: str) -> None:
    """Turn a proposal down, also after its review; by who proposed it this is taking it back.

    Raises NotFound, NotAllowed, ProposalMoved, InvalidField.
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with turn(house, connection, principal, proposal_id, *OPEN) as (session, proposal):
            own = proposal.proposed_by == principal.id
            proposal.state = ProposalState.DECLINED
            proposal.remark = reason
            session.add(proposal)
            note(session, principal, "factor.withdrawn" if own else "factor.declined", proposal, reason)

    house.db.run(work)


# --- looking ------------------------------------------------------------------------------------------------


def get_proposal(session: Session, proposal_id: UUID) -> FactorProposal:
    """A proposal. Raises NotFound."""
    proposal = session.get(FactorProposal, proposal_id)
    if proposal is None:
        raise NotFound
    return proposal


def list_proposals(
    session: Session, *states: ProposalState, kind: str | None = None
) -> Sequence[FactorProposal]:
    """Proposals in one of `states` (any, if none is named), of one kind or of all, the latest first."""
    query = select(FactorProposal).order_by(col(FactorProposal.proposed_at).desc(), col(FactorProposal.id))
    if states:
        query = query.where(col(FactorProposal.state).in_(states))
    if kind is not None:
        query = query.where(FactorProposal.action_code == kind)
    return session.exec(query).all()


def history_of(
    session: Session, proposal: FactorProposal, version: FactorVersion | None = None
) -> Sequence[audit.AuditEntry]:
    """The steps taken with a proposal, and with the `version` it became, the first first."""
    steps = list(audit.history(session, f"proposal:{proposal.id}", proposal.proposed_at))
    if version is not None:
        steps += audit.history(session, f"factor:{version.id}", proposal.proposed_at)
    return steps
