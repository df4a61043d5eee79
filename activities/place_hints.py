"""Place as a hint: for those who agreed, how far from the site they confirmed a scan. Only the band is kept, never where.

A hint blocks nobody and changes nothing of a record. The position is with the request until the band is worked out, in
the scan's own transaction and after the resident's turn was taken: a consent that was taken back before that counts.
A scan that is recorded afterwards has no hint, nor has one by a helper, or of a code that does not hang at its site.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel, col, select

from activities.actions import Action
from activities.bands import Band, band_at
from activities.codes import CodeKind
from activities.drafts import Draft
from activities.events import ActionRecorded
from activities.known import Known, KnownCode
from activities.signals import Sighting, Signal, SignalKind, raise_signals
from tanpuhui.db import Statement, enum_type
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Document
from tanpuhui.subscribers import Later

#: Codes that hang where their site is.
HANGING = (CodeKind.PLACE, CodeKind.ROTATING)


class PlaceHint(SQLModel, table=True):
    """How far from its site an action was confirmed."""

    __tablename__ = "place_hint"
    __table_args__ = (sa.Index("ix_place_hint_noted_at", "noted_at"),)

    action_id: UUID = Field(foreign_key="action.id", primary_key=True)
    band: Band = Field(sa_column=sa.Column(enum_type(Band), nullable=False))
    noted_at: datetime


_KEEP = Statement(
    "INSERT INTO place_hint (action_id, band, noted_at) SELECT q.action_id, q.band, q.noted_at FROM {rows} "
    "WHERE EXISTS (SELECT 1 FROM consent c WHERE c.resident_id = q.resident_id AND c.document = :document "
    "AND c.version = :version AND c.withdrawn_at IS NULL)",
    rows={"action_id": "uuid", "resident_id": "uuid", "band": "text", "noted_at": "time"},
)


def tells(code: KnownCode) -> bool:
    """Whether near or far means anything for a code: it hangs at its site, and where that is is known."""
    return code.code.kind in HANGING and code.site.position is not None


def keep(connection: Connection, known: Known, drafts: Iterable[Draft]) -> None:
    """Keep the bands of actions that were just inserted, of those residents whose consent stands."""
    rows = []
    for draft in drafts:
        request = draft.request
        if request.position is None or request.occurred_at is not None or request.recorded_by is not None:
            continue
        code = known.code(connection, request.token.number)
        if code is None or not tells(code) or code.site.position is None:
            continue
        band = band_at(request.position, code.site.position)
        resident_id = draft.fields["resident_id"]
        rows.append(
            {
                "action_id": draft.fields["id"],
                "resident_id": resident_id,
                "band": band.value,
                "noted_at": draft.now,
            }
        )
    if rows:
        document = Document.PLACE_HINTS
        _KEEP.run(connection, rows, document=document.value, version=PRESENT[document])


def hint_of(connection: Connection, action_id: UUID) -> Band | None:
    """The band that is kept of an action, if one is."""
    found = connection.scalar(select(PlaceHint.band).where(PlaceHint.action_id == action_id))
    return None if found is None else Band(found)


def forget(connection: Connection, resident_id: UUID) -> None:
    """Delete a resident's bands, and the signals that came of them."""
    _delete(connection, select(Action.id).where(Action.resident_id == resident_id))


def purge(connection: Connection, before: datetime) -> None:
    """Delete the bands noted before a moment, and the signals that came of them."""
    old = select(PlaceHint.action_id).where(PlaceHint.noted_at < before)
    _delete(connection, list(connection.scalars(old)))


def _delete(connection: Connection, actions: Any) -> None:
    # The bands first: whoever is just raising a signal of one holds its row, and is waited for.
    connection.execute(sa.delete(PlaceHint).where(col(PlaceHint.action_id).in_(actions)))
    connection.execute(
        sa.delete(Signal).where(col(Signal.kind) == SignalKind.FAR, col(Signal.action_id).in_(actions))
    )


# --- for people to look at ---------------------------------------------------------------------------------

_FAR = Statement(
    "SELECT h.action_id FROM place_hint h WHERE h.band = 'far' AND h.action_id {in:actions:uuid} {lock:h}",
    action_id="uuid",
)


def _flag(connection: Connection, events: Sequence[ActionRecorded]) -> None:
    far = {row.action_id for row in _FAR.run(connection, actions=[event.subject_id for event in events])}
    seen = [
        Sighting(event.site_id, 1, event.occurred_at, event.occurred_at, action_id=event.subject_id)
        for event in events
        if event.subject_id in far
    ]
    raise_signals(connection, SignalKind.FAR, seen)


#: Behind the relay a scan from far away becomes a signal; redelivered, it is there already.
FLAGGING_FAR = Later("place_hints.far", N_("标出离点位远的扫码"), (ActionRecorded,), _flag)


def far_among(connection: Connection, action_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these actions were confirmed far from their site: what a person may want to look at."""
    wanted = list(action_ids)
    far = select(PlaceHint.action_id).where(PlaceHint.band == Band.FAR, col(PlaceHint.action_id).in_(wanted))
    return set(connection.scalars(far))
