"""One picture for an offer.

Why: residents see what they give points for; what the bureau approved of it stands.

A web process that still serves the schema before shows no pictures and goes on as it was. Going back forgets the pictures.

Revision: 0032
Follows: 0036
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rewards.offer_pictures import GUARDS

revision = "0032"
down_revision = "0036"
branch_labels = None
depends_on = None

_text = sqlmodel.sql.sqltypes.AutoString


def upgrade() -> None:
    op.create_table(
        "offer_picture",
        sa.Column("offer_id", sa.Uuid(), nullable=False),
        sa.Column("digest", _text(length=16), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("words", _text(length=80), nullable=False),
        sa.Column("large", sa.LargeBinary(), nullable=False),
        sa.Column("small", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("length(large) BETWEEN 1 AND 200000", name=op.f("ck_offer_picture_large")),
        sa.CheckConstraint("length(small) BETWEEN 1 AND 20000", name=op.f("ck_offer_picture_small")),
        sa.CheckConstraint(
            "width BETWEEN 1 AND 1280 AND height BETWEEN 1 AND 1280", name=op.f("ck_offer_picture_size")
        ),
        sa.ForeignKeyConstraint(["offer_id"], ["offer.id"], name=op.f("fk_offer_picture_offer_id")),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_offer_picture")),
    )
    for guard in GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    op.drop_table("offer_picture")
