"""Where sites stand, and how far from them scans were confirmed, for those who agreed to that.

Why: a poster that is photographed and passed on is scanned from far away. Only near or far is kept, never a position.

It only adds a table and columns that may be empty. A web process that still serves the schema before goes on as it was.

Revision: 0015
Follows: 0014
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

#: On SQLite the checks of a table that others refer to come with the column; that of all three with the last one.
_COLUMNS = {
    "latitude_e6": "INTEGER CONSTRAINT ck_site_latitude CHECK (latitude_e6 BETWEEN -90000000 AND 90000000)",
    "longitude_e6": "INTEGER CONSTRAINT ck_site_longitude CHECK (longitude_e6 BETWEEN -180000000 AND 180000000)",
    "datum": "VARCHAR(32) CONSTRAINT ck_site_datum CHECK (datum IN ('gcj02', 'wgs84')) "
    "CONSTRAINT ck_site_position CHECK "
    "((latitude_e6 IS NULL) = (datum IS NULL) AND (longitude_e6 IS NULL) = (datum IS NULL))",
}


def upgrade() -> None:
    for name, column in _COLUMNS.items():
        op.execute(sa.text(f"ALTER TABLE site ADD COLUMN {name} {column}"))
    op.create_table(
        "place_hint",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column(
            "band",
            sa.Enum(
                "here",
                "near",
                "far",
                "unsure",
                name="band",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("noted_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_place_hint_action_id_action")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_place_hint")),
    )
    op.create_index("ix_place_hint_noted_at", "place_hint", ["noted_at"])


def downgrade() -> None:
    op.drop_table("place_hint")
    for name in reversed(_COLUMNS):
        if op.get_bind().dialect.name == "postgresql" and name == "datum":
            op.drop_constraint(op.f("ck_site_position"), "site", type_="check")
        op.drop_column("site", name)
