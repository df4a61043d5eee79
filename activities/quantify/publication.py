"""Publication: a reviewed proposal becomes a version, the open one before it is closed; a version is retired, or
cancelled before its first day.

Each is one transaction that tells the scans of it (`tanpuhui.reference.bump`). Records keep the version they were
computed by: nothing here touches one.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel

from activities.catalogue import ActionKind
from activities.quantify.factors import (
    FactorValues,
    FactorVersion,
    all_versions,
    closed_by,
    in_the_way,
    uncancelled,
)
from activities.quantify.proposal_checks import accepted, standing
from activities.quantify.proposals import (
    FactorProposal,
    ProposalState,
    note,
    require_officer,
    turn,
    values_in,
)
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import (
    CancellerIsPublisher,
    FactorBegun,
    FactorCancelled,
    FactorClosed,
    FactorOverlap,
    InvalidField,
    NotFound,
)
from tanpuhui.i18n import N_
from tanpuhui.reference import bump
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal


def publish(house: House, principal: Principal, proposal_id: UUID) -> FactorVersion:
    """Publish a reviewed proposal under the next number of its kind.

    The version without an end that began before it ends on the eve of `valid_from`. Raises NotFound, NotAllowed,
    ProposalMoved, FactorOverlap, and InvalidField for what no longer holds since it was proposed.
    """

    def work(connection: Connection) -> FactorVersion:
        with turn(house, connection, principal, proposal_id, ProposalState.REVIEWED) as (session, proposal):
            _take_turn(session, proposal.action_code)
            beside = standing(session)
            versions = beside.versions.get(proposal.action_code, ())
            if in_the_way(versions, proposal):
                raise FactorOverlap
            values = accepted(FactorValues(**values_in(proposal)), beside)
            closed = _close_predecessor(session, versions, proposal.valid_from)
            version = _insert(session, proposal, values, versions, closed)
            proposal.state = ProposalState.PUBLISHED
            proposal.published_by, proposal.published_at = principal.id, clock.now()
            session.add(proposal)
            told = {"version": version.id, "closed": closed.id if closed else None}
            note(session, principal, "factor.published", proposal, proposal.reason, **told)
            bump(connection)
            return version

    return house.db.run(work)


def _take_turn(session: Session, kind: str) -> None:
    """Who publishes or retires for one kind takes turns; records of that kind do not wait."""
    session.get(ActionKind, kind, with_for_update={"key_share": True})


def _close_predecessor(
    session: Session, versions: Sequence[FactorVersion], begins: date | None
) -> FactorVersion | None:
    closed = closed_by(versions, begins)
    if closed is not None and begins is not None:
        _set_end(session, closed.id, begins - timedelta(days=1))
    return closed


def _set_end(session: Session, version_id: str, last_day: date | None) -> None:
    _tell(session, version_id, valid_to=last_day)


def _tell(session: Session, version_id: str, **values: Any) -> None:
    table = SQLModel.metadata.tables["factor_version"]
    session.connection().execute(sa.update(table).where(table.c.id == version_id).values(values))


def _insert(
    session: Session,
    proposal: FactorProposal,
    values: FactorValues,
    versions: Sequence[FactorVersion],
    closed: FactorVersion | None,
) -> FactorVersion:
    """The version of a proposal that says `values`; the database refuses an overlap and a proposal that was not reviewed."""
    number = max((version.version for version in versions), default=0) + 1
    version = FactorVersion(
        **values_in(values),
        id=f"{proposal.action_code}@{number}",
        version=number,
        proposal_id=proposal.id,
        closes=closed.id if closed else None,
    )
    session.add(version)
    try:
        session.flush()
    except IntegrityError as error:
        if "validity overlaps" in str(error.orig):
            raise FactorOverlap from error
        raise
    return version


def retire(house: House, principal: Principal, version_id: str, last_day: date, reason: str) -> None:
    """Let a version without an end be valid until `last_day`, today at the earliest.

    Raises NotFound, NotAllowed, FactorCancelled, FactorClosed, InvalidField (``last_day``, ``reason``).
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            version = _version_in_turn(house, session, principal, version_id)
            if version.valid_to is not None:
                raise FactorClosed
            if last_day < clock.today():
                raise _bad_day(N_("最后有效日不能早于今天。"))
            if version.valid_from and last_day < version.valid_from:
                raise _bad_day(N_("最后有效日不能早于生效日。"))
            _set_end(session, version.id, last_day)
            _note(session, principal, "factor.retired", version, reason, last_day=last_day.isoformat())
            bump(connection)

    house.db.run(work)


def _version_in_turn(house: House, session: Session, principal: Principal, version_id: str) -> FactorVersion:
    """The version an officer takes a step with, which was not cancelled; who comes meanwhile waits for its end."""
    require_officer(house, session, principal)
    version = session.get(FactorVersion, version_id)
    if version is None:
        raise NotFound
    _take_turn(session, version.action_code)
    session.refresh(version)
    if version.cancelled_on is not None:
        raise FactorCancelled
    return version


def _note(
    session: Session, principal: Principal, deed: str, version: FactorVersion, reason: str, **detail: Any
) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"factor:{version.id}",
        reason=reason,
        **detail,
    )


def _bad_day(reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": "last_day", "reason": reason}])


# --- cancelling ---------------------------------------------------------------------------------------------

#: So long before its first day a version is left alone: a scan of that day must not meet one that is being cancelled.
_MARGIN = timedelta(minutes=1)


def cancel(house: House, principal: Principal, version_id: str, reason: str) -> None:
    """Cancel a version that has not begun, by another officer than published it; the one it had ended goes on.

    Raises NotFound, NotAllowed, CancellerIsPublisher, FactorCancelled, FactorBegun, InvalidField (``reason``).
    """
    reason = audit.reason(reason)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            version = _version_in_turn(house, session, principal, version_id)
            soon = clock.day_of(clock.now() + _MARGIN)
            if version.valid_from is None or version.valid_from <= soon or _is_used(session, version.id):
                raise FactorBegun
            proposal = session.get(FactorProposal, version.proposal_id) if version.proposal_id else None
            if proposal is not None and proposal.published_by == principal.id:
                raise CancellerIsPublisher
            told = {"cancelled_on": clock.today(), "cancelled_by": principal.id, "cancelled_because": reason}
            _tell(session, version.id, **told)
            goes_on = _let_go_on(session, version)
            _note(session, principal, "factor.cancelled", version, reason, goes_on=goes_on)
            bump(connection)

    house.db.run(work)


def _is_used(session: Session, version_id: str) -> bool:
    action = SQLModel.metadata.tables["action"]
    used = sa.select(sa.exists().where(action.c.factor_version == version_id))
    return bool(session.connection().scalar(used))


def _let_go_on(session: Session, cancelled: FactorVersion) -> str | None:
    """Let the version that `cancelled` had ended be valid again until the next one, as if it had never been.

    The id of that version; None if there is none.
    """
    versions = {version.id: version for version in all_versions(session, cancelled.action_code)}
    before = versions.get(cancelled.closes or "")
    while before is not None and before.cancelled_on is not None:
        before = versions.get(before.closes or "")
    if before is None:
        return None
    begun = before.valid_from or date.min
    later = [one.valid_from for one in uncancelled(versions.values()) if (one.valid_from or date.min) > begun]
    begins = min(filter(None, later), default=None)
    _set_end(session, before.id, begins - timedelta(days=1) if begins else None)
    return before.id


# --- looking ------------------------------------------------------------------------------------------------


def records_kept(session: Session, values: FactorValues) -> int:
    """How many standing records of the days that `values` would be valid on keep another version."""
    action, void, review = (
        SQLModel.metadata.tables[name] for name in ("action", "action_void", "action_review")
    )
    unconfirmed = sa.exists().where(review.c.action_id == action.c.id, review.c.state != "confirmed")
    query = (
        sa.select(sa.func.count())
        .select_from(action)
        .where(action.c.kind == values.action_code)
        .where(~sa.exists().where(void.c.action_id == action.c.id), ~unconfirmed)
    )
    if values.valid_from:
        query = query.where(action.c.day >= values.valid_from)
    if values.valid_to:
        query = query.where(action.c.day <= values.valid_to)
    return int(session.connection().scalar(query) or 0)
