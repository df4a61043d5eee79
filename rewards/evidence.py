"""The one table of evidence: how strong each tier is, what share of the points it earns, in which total it counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel


@dataclass(frozen=True)
class Tier:
    """An evidence tier; a higher rank is stronger. `counts_as_verified`: else its grams are self-declared."""

    code: str
    name_zh: str
    name_en: str
    rank: int
    points_percent: int
    counts_as_verified: bool


def tiers(connection: Connection) -> Sequence[Tier]:
    """Every evidence tier, the weakest first. A tier without a published weight earns nothing."""
    tier, weight = (SQLModel.metadata.tables[name] for name in ("evidence_tier", "evidence_weight"))
    share = sa.func.coalesce(weight.c.points_percent, 0).label("points_percent")
    query = (
        sa.select(tier.c.code, tier.c.name_zh, tier.c.name_en, tier.c.rank, share, tier.c.counts_as_verified)
        .select_from(tier.outerjoin(weight, weight.c.evidence == tier.c.code))
        .order_by(tier.c.rank)
    )
    return [Tier(*row) for row in connection.execute(query)]
