"""How much was done at which site, by calendar period.

Why: the mass balance reads what was brought in to each site; of ten million records that took seconds.

Filled from the event log, up to where the figures have come, by the rule that keeps them, so that nothing has to be rebuilt. A web process
that still serves the schema before goes on as it was; a worker has to be of this version, or `tanpuhui rebuild` puts right what it left out.

Revision: 0047
Follows: 0046b
"""

import sqlalchemy as sa
from alembic import op

from tanpuhui.db import Statement
from tanpuhui.site_figures import periods_of

revision = "0047"
down_revision = "0046b"
branch_labels = None
depends_on = None

_SLICE = 10_000

_SET = Statement(
    "UPDATE site_figure SET quantity_milli = site_figure.quantity_milli + q.quantity FROM (SELECT unit, first, site_id, kind, "
    "sum(quantity) AS quantity FROM {rows} GROUP BY unit, first, site_id, kind) q WHERE site_figure.unit = q.unit "
    "AND site_figure.first = q.first AND site_figure.site_id = q.site_id AND site_figure.kind = q.kind",
    rows={"unit": "text", "first": "date", "site_id": "uuid", "kind": "text", "quantity": "int"},
)

#: What stands of what the figures have taken in. What waits for review counts when it is confirmed.
_STANDING = """
SELECT day, site_id, kind, SUM(quantity) AS quantity FROM (
    SELECT {day} AS day, {site} AS site_id, {kind} AS kind,
        CASE WHEN e.type = 'action.voided' THEN -1 ELSE 1 END * {quantity} AS quantity
    FROM event_log e JOIN subscriber_cursor c ON c.subscriber = 'figures' AND {taken_in}
    WHERE e.type IN ('action.recorded', 'action.confirmed', 'action.voided')
    AND NOT (e.type = 'action.recorded' AND {pending})
    AND NOT EXISTS (SELECT 1 FROM event_failure f WHERE f.subscriber = 'figures' AND f.position = e.position)
) q GROUP BY day, site_id, kind HAVING SUM(quantity) <> 0
"""

_WORDS = {
    "sqlite": {
        "day": "json_extract(e.payload, '$.day')",
        "site": "replace(json_extract(e.payload, '$.site_id'), '-', '')",
        "kind": "json_extract(e.payload, '$.kind')",
        "quantity": "json_extract(e.payload, '$.quantity_milli')",
        "pending": "coalesce(json_extract(e.payload, '$.pending'), 0)",
        "taken_in": "e.position <= c.position",
    },
    "postgresql": {
        "day": "CAST(CAST(e.payload AS json) ->> 'day' AS date)",
        "site": "CAST(CAST(e.payload AS json) ->> 'site_id' AS uuid)",
        "kind": "CAST(e.payload AS json) ->> 'kind'",
        "quantity": "CAST(CAST(e.payload AS json) ->> 'quantity_milli' AS bigint)",
        "pending": "coalesce(CAST(e.payload AS json) ->> 'pending', 'false') = 'true'",
        "taken_in": "(e.tx, e.position) <= (c.tx, c.position)",
    },
}


def upgrade() -> None:
    op.add_column(
        "site_figure", sa.Column("quantity_milli", sa.BigInteger(), server_default="0", nullable=False)
    )
    connection = op.get_bind()
    dialect = connection.dialect.name
    if dialect == "postgresql":  # no relay moves the cursor meanwhile
        connection.execute(
            sa.text("SELECT 1 FROM subscriber_cursor WHERE subscriber = 'figures' FOR NO KEY UPDATE")
        )
    standing = sa.text(_STANDING.format(**_WORDS[dialect])).columns(
        day=sa.Date(), site_id=sa.Uuid(), kind=sa.Text(), quantity=sa.BigInteger()
    )
    rows = connection.execute(standing)
    while some := rows.fetchmany(_SLICE):
        sums = [
            {
                "unit": unit,
                "first": first,
                "site_id": row.site_id,
                "kind": row.kind,
                "quantity": int(row.quantity),
            }
            for row in some
            for unit, first in periods_of(row.day)
        ]
        _SET.run(connection, sums)


def downgrade() -> None:
    op.drop_column("site_figure", "quantity_milli")
