"""What holders of honours are told in their inbox."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from rewards.honours import Honour, HonourKind
from tanpuhui.letters import Letter


def _seen(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> Any:
    """Title and number of an honour of theirs, and why it was declined or revoked."""
    query = (
        sa.select(
            col(HonourKind.title),
            col(Honour.number),
            col(Honour.decided_because),
            col(Honour.revoked_because),
        )
        .join(HonourKind, col(HonourKind.id) == col(Honour.kind_id))
        .where(col(Honour.id) == UUID(params["honour"]), col(Honour.resident_id) == resident_id)
    )
    return connection.execute(query).first()


HONOURED = Letter("honour.honoured", "rewards/letters/honoured.html", icon="medal", look=_seen)
DECLINED = Letter("honour.declined", "rewards/letters/not_honoured.html", icon="medal", look=_seen)
REVOKED = Letter("honour.revoked", "rewards/letters/honour_revoked.html", icon="undo", look=_seen)

LETTERS = (HONOURED, DECLINED, REVOKED)
