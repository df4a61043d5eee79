"""What an evidence pack says of honours: which were given, to what sort of holder; never to whom, as a pack outlives consents."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from rewards.honours import Decision, HolderKind, Honour, HonourKind
from tanpuhui import clock


def in_evidence(
    connection: Connection, division_code: str | None, organisation_id: UUID | None, first: date, last: date
) -> Mapping[str, Any]:
    """The standing honours that were decided from `first` to `last` in a division or for an organisation, the first one first.

    `number`: of a team's certificate alone; a person's or a class's leads to who they are.
    """
    theirs = (
        col(Honour.organisation_id) == organisation_id
        if organisation_id
        else col(Honour.division_code).startswith(division_code or "-")
    )
    query = (
        sa.select(col(HonourKind.title), col(Honour.holder), col(Honour.decided_at), col(Honour.number))
        .join_from(Honour, HonourKind, col(HonourKind.id) == col(Honour.kind_id))
        .where(
            theirs,
            col(Honour.decision) == Decision.HONOURED,
            col(Honour.revoked_at).is_(None),
            col(Honour.decided_at) >= clock.day_bounds(first)[0],
            col(Honour.decided_at) < clock.day_bounds(last)[1],
        )
        .order_by(col(Honour.decided_at), col(Honour.id))
    )
    return {
        "honours": [
            {
                "title": row.title,
                "holder": str(row.holder),
                "day": clock.day_of(row.decided_at).isoformat(),
                "number": row.number if row.holder == HolderKind.TEAM else None,
            }
            for row in connection.execute(query)
        ]
    }
