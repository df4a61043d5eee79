"""What residents are told of draws in their inbox."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from rewards.draws import Draw, DrawEntry
from tanpuhui.letters import Letter


def _seen(connection: Connection, resident_id: UUID, params: Mapping[str, Any]) -> Any:
    """A draw by its title, what a ticket of theirs won in it, and why it was called off."""
    query = (
        sa.select(col(Draw.title), col(Draw.price), col(Draw.cancel_reason), col(DrawEntry.prize))
        .join(DrawEntry, col(DrawEntry.draw_id) == col(Draw.id))
        .where(col(Draw.id) == UUID(params["draw"]), col(DrawEntry.resident_id) == resident_id)
        .order_by(col(DrawEntry.entered_at).desc())
    )
    return connection.execute(query).first()


WON = Letter("draw.won", "rewards/letters/draw_won.html", icon="gift", look=_seen)
CALLED_OFF = Letter("draw.called_off", "rewards/letters/draw_called_off.html", icon="undo", look=_seen)

LETTERS = (WON, CALLED_OFF)
