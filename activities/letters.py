"""What this room tells residents in their inbox."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action, ActionVoid
from activities.events import ActionConfirmed, ActionRejected, ActionVoided
from activities.reviews import ActionReview
from tanpuhui.i18n import N_
from tanpuhui.inbox import Note, tell
from tanpuhui.letters import Letter
from tanpuhui.subscribers import Later


def _reason(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> str | None:
    """Why the record of a message was voided."""
    theirs = sa.select(col(ActionVoid.reason)).join(Action, col(Action.id) == col(ActionVoid.action_id))
    mine = (col(Action.id) == UUID(params["action"]), col(Action.resident_id) == resident_id)
    return connection.scalar(theirs.where(*mine))


#: A record was taken back by staff.
VOIDED = Letter("action.voided", "activities/letters/voided.html", icon="undo", look=_reason)


def _why_rejected(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> str | None:
    """Why the record of a message was not confirmed."""
    theirs = sa.select(col(ActionReview.reason)).join(Action, col(Action.id) == col(ActionReview.action_id))
    mine = (col(Action.id) == UUID(params["action"]), col(Action.resident_id) == resident_id)
    return connection.scalar(theirs.where(*mine))


#: A record that waited was confirmed, or rejected.
CONFIRMED = Letter("action.confirmed", "activities/letters/confirmed.html", icon="check")
REJECTED = Letter("action.rejected", "activities/letters/rejected.html", icon="undo", look=_why_rejected)

#: A better proven record of the same deed took its place.
REPLACED = Letter("action.replaced", "activities/letters/replaced.html", icon="check")

_OF: Mapping[str, Letter] = {letter.kind: letter for letter in (VOIDED, CONFIRMED, REJECTED)}


def _tell(connection: Connection, events: Sequence[ActionVoided | ActionConfirmed | ActionRejected]) -> None:
    tell(connection, [_note(event, event.resident_id) for event in events if event.resident_id])


def _note(event: ActionVoided | ActionConfirmed | ActionRejected, resident_id: UUID) -> Note:
    about = {"action": str(event.subject_id), "kind": event.kind, "day": event.day.isoformat()}
    replaced_by = None if isinstance(event, ActionConfirmed) else event.replaced_by
    if replaced_by:
        about["by"] = str(replaced_by)
    letter = REPLACED if replaced_by else _OF[event.type]
    return Note(letter, resident_id, str(event.subject_id), about, told_at=event.recorded_at)


#: The relay tells the resident; redelivered, the message is there already.
TELLING_VOIDED = Later("inbox.voided", N_("通知居民记录被撤销"), (ActionVoided,), _tell)
TELLING_REVIEWED = Later("inbox.reviewed", N_("通知居民审核结果"), (ActionConfirmed, ActionRejected), _tell)

LETTERS = (VOIDED, REPLACED, CONFIRMED, REJECTED)
