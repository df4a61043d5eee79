"""Teams and boards of campaigns: who joined a team, who is on a board by their own choice, and what each participant saved.

Why: a board reads figures and choices only, so that whoever leaves is gone from it at once.

What participants saved so far is read from the event log, as far as the figures have come; nothing has to be rebuilt.

Revision: 0025
Follows: 0024
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.teams import GUARDS

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_FIELD = {
    "postgresql": "(CAST(e.payload AS json) ->> '{}')",
    "sqlite": "json_extract(e.payload, '$.{}')",
}
_FOLDED = {
    "postgresql": "(e.tx, e.position) <= (c.tx, c.position)",
    "sqlite": "e.position <= c.position",
}
_UNCREDITED = {"postgresql": "= 'false'", "sqlite": "= 0"}
_COUNTS = {"postgresql": "{} IS DISTINCT FROM 'true'", "sqlite": "COALESCE({}, 0) = 0"}


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString
    moment = sqlmodel.sql.sqltypes.UTCDateTime
    op.add_column(
        "campaign_participant", sa.Column("co2e_mg", sa.BigInteger(), nullable=False, server_default="0")
    )
    dialect = op.get_bind().dialect.name
    field = _FIELD[dialect]
    pending, city = field.format("pending"), field.format("city_credited")
    saved = (
        f"SELECT {field.format('campaign_id')} AS campaign, e.resident_id, sum(CASE e.type "
        f"WHEN 'action.voided' THEN -CAST({field.format('co2e_mg')} AS BIGINT) "
        f"ELSE CAST({field.format('co2e_mg')} AS BIGINT) END) AS mg "
        "FROM event_log e JOIN subscriber_cursor c ON c.subscriber = 'figures' "
        "WHERE e.type IN ('action.recorded', 'action.confirmed', 'action.voided') "
        f"AND {field.format('campaign_id')} IS NOT NULL AND {city} {_UNCREDITED[dialect]} "
        f"AND {_COUNTS[dialect].format(pending)} AND {_FOLDED[dialect]} AND NOT EXISTS (SELECT 1 FROM event_failure f "
        "WHERE f.subscriber = 'figures' AND f.position = e.position) GROUP BY 1, 2"
    )
    op.execute(
        sa.text(
            f"UPDATE campaign_participant SET co2e_mg = s.mg FROM ({saved}) AS s "
            "WHERE s.campaign = campaign_participant.campaign AND s.resident_id = campaign_participant.resident_id"
        )
    )
    op.create_table(
        "campaign_entry",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("team", text(length=30), nullable=False),
        sa.Column("entered_at", moment(), nullable=False),
        sa.CheckConstraint("team <> ''", name=op.f("ck_campaign_entry_team")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_entry_campaign_id")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_campaign_entry_resident_id")),
        sa.PrimaryKeyConstraint("campaign_id", "resident_id", name=op.f("pk_campaign_entry")),
    )
    op.create_index(op.f("ix_campaign_entry_resident_id"), "campaign_entry", ["resident_id"])
    op.create_table(
        "board_listing",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("listed_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_board_listing_campaign_id")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_board_listing_resident_id")),
        sa.PrimaryKeyConstraint("campaign_id", "resident_id", name=op.f("pk_board_listing")),
    )
    op.create_index(op.f("ix_board_listing_resident_id"), "board_listing", ["resident_id"])
    for guard in GUARDS:
        for statement in guard.create(dialect):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("board_listing")
    op.drop_table("campaign_entry")
    op.drop_column("campaign_participant", "co2e_mg")
