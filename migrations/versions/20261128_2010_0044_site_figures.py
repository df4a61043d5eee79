"""At which sites something was recorded, by calendar period; and when a site closed.

Why: the bureau asks how many of the sites serve anybody, of any period, and records are too many to be asked.

Filled from the event log, up to where the figures have come, by the rule that keeps them, so that nothing has to be rebuilt. When a
site closed is in the audit trail. A web process that still serves the schema before goes on as it was; a worker has to be of this
version, or `tanpuhui rebuild` puts right what it left out.

Revision: 0044
Follows: 0045
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op
from sqlalchemy.engine import Connection

from tanpuhui.db import Statement
from tanpuhui.site_figures import periods_of

revision = "0044"
down_revision = "0045"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_TIME = sqlmodel.sql.sqltypes.UTCDateTime
_SLICE = 10_000

_ADD = Statement(
    "INSERT INTO site_figure (unit, first, site_id, kind, actions) SELECT unit, first, site_id, kind, sum(actions) FROM {rows} "
    "WHERE true GROUP BY unit, first, site_id, kind "
    "ON CONFLICT (unit, first, site_id, kind) DO UPDATE SET actions = site_figure.actions + excluded.actions",
    rows={"unit": "text", "first": "date", "site_id": "uuid", "kind": "text", "actions": "int"},
)

#: Standing actions of what the figures have taken in. What waits for review counts when it is confirmed.
_STANDING = """
SELECT day, site_id, kind, SUM(sign) AS actions FROM (
    SELECT {day} AS day, {site} AS site_id, {kind} AS kind, CASE WHEN e.type = 'action.voided' THEN -1 ELSE 1 END AS sign
    FROM event_log e JOIN subscriber_cursor c ON c.subscriber = 'figures' AND {taken_in}
    WHERE e.type IN ('action.recorded', 'action.confirmed', 'action.voided')
    AND NOT (e.type = 'action.recorded' AND {pending})
    AND NOT EXISTS (SELECT 1 FROM event_failure f WHERE f.subscriber = 'figures' AND f.position = e.position)
) q GROUP BY day, site_id, kind HAVING SUM(sign) <> 0
"""

_WORDS = {
    "sqlite": {
        **{name: f"json_extract(e.payload, '$.{key}')" for name, key in (("day", "day"), ("kind", "kind"))},
        "site": "replace(json_extract(e.payload, '$.site_id'), '-', '')",
        "pending": "coalesce(json_extract(e.payload, '$.pending'), 0)",
        "taken_in": "e.position <= c.position",
    },
    "postgresql": {
        "day": "CAST(CAST(e.payload AS json) ->> 'day' AS date)",
        "kind": "CAST(e.payload AS json) ->> 'kind'",
        "site": "CAST(CAST(e.payload AS json) ->> 'site_id' AS uuid)",
        "pending": "coalesce(CAST(e.payload AS json) ->> 'pending', 'false') = 'true'",
        "taken_in": "(e.tx, e.position) <= (c.tx, c.position)",
    },
}


def upgrade() -> None:
    op.add_column("site", sa.Column("closed_at", _TIME(), nullable=True))
    op.create_table(
        "site_figure",
        sa.Column("unit", _TEXT(length=8), nullable=False),
        sa.Column("first", sa.Date(), nullable=False),
        sa.Column("site_id", sa.Uuid(), nullable=False),
        sa.Column("kind", _TEXT(length=32), nullable=False),
        sa.Column("actions", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "unit IN ('day', 'week', 'month', 'quarter', 'year')", name=op.f("ck_site_figure_unit")
        ),
        sa.PrimaryKeyConstraint("unit", "first", "site_id", "kind", name=op.f("pk_site_figure")),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    _when_closed(connection)
    _add_up(connection)


def _add_up(connection: Connection) -> None:
    dialect = connection.dialect.name
    if dialect == "postgresql":  # no relay moves the cursor meanwhile
        connection.execute(
            sa.text("SELECT 1 FROM subscriber_cursor WHERE subscriber = 'figures' FOR NO KEY UPDATE")
        )
    standing = sa.text(_STANDING.format(**_WORDS[dialect])).columns(
        day=sa.Date(), site_id=sa.Uuid(), kind=sa.Text(), actions=sa.BigInteger()
    )
    rows = connection.execute(standing)
    while some := rows.fetchmany(_SLICE):
        sums = [
            {
                "unit": unit,
                "first": first,
                "site_id": row.site_id,
                "kind": row.kind,
                "actions": int(row.actions),
            }
            for row in some
            for unit, first in periods_of(row.day)
        ]
        _ADD.run(connection, sums)


def _when_closed(connection: Connection) -> None:
    site = sa.table("site", sa.column("id", sa.Uuid()), sa.column("status"), sa.column("closed_at", _TIME()))
    entry = sa.table("audit_entry", sa.column("at", _TIME()), sa.column("deed"), sa.column("subject"))
    for site_id in connection.scalars(sa.select(site.c.id).where(site.c.status == "closed")).all():
        last = sa.select(sa.func.max(entry.c.at)).where(
            entry.c.subject == f"site:{site_id}", entry.c.deed == "site.closed"
        )
        connection.execute(
            sa.update(site).where(site.c.id == site_id).values(closed_at=last.scalar_subquery())
        )


def downgrade() -> None:
    op.drop_table("site_figure")
    op.drop_column("site", "closed_at")
