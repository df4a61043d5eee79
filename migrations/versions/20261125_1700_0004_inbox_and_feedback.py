"""Inbox, and complaints, suggestions and questions with their answers.

Why: residents are told what concerns them, and whatever they write in has a number, a day and an answer.

It only adds. A web process that still serves the schema before goes on as it was.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=48), nullable=False),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("told_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("read_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint("kind <> '' AND reference <> ''", name=op.f("ck_message_kind")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_message_resident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint(
            "resident_id", "kind", "reference", name=op.f("uq_message_resident_id_kind_reference")
        ),
    )
    op.create_index("ix_message_resident_id_told_at", "message", ["resident_id", "told_at"])

    kinds, states = (
        sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)
        for name, values in (
            ("feedbackkind", ("complaint", "suggestion", "question")),
            ("feedbackstate", ("open", "answered", "closed")),
        )
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sqlmodel.sql.sqltypes.AutoString(length=20), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=True),
        sa.Column("division_code", sqlmodel.sql.sqltypes.AutoString(length=12), nullable=False),
        sa.Column("kind", kinds, nullable=False),
        sa.Column("topic", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=True),
        sa.Column("topic_id", sa.Uuid(), nullable=True),
        sa.Column("state", states, nullable=False),
        sa.Column("opened_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("answered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("closed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "(state = 'open' AND answered_at IS NULL) OR (state = 'answered' AND answered_at IS NOT NULL)"
            " OR state = 'closed'",
            name=op.f("ck_feedback_answered"),
        ),
        sa.CheckConstraint("(closed_at IS NOT NULL) = (state = 'closed')", name=op.f("ck_feedback_closed")),
        sa.CheckConstraint("resident_id IS NOT NULL OR state = 'closed'", name=op.f("ck_feedback_author")),
        sa.CheckConstraint("(topic IS NULL) = (topic_id IS NULL)", name=op.f("ck_feedback_topic")),
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_feedback_division_code")),
        sa.ForeignKeyConstraint(["resident_id"], ["resident.id"], name=op.f("fk_feedback_resident_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sa.UniqueConstraint("number", name=op.f("uq_feedback_number")),
    )
    op.create_index("ix_feedback_resident_id", "feedback", ["resident_id"])
    op.create_index("ix_feedback_state_due_on", "feedback", ["state", "due_on"])

    op.create_table(
        "feedback_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("feedback_id", sa.Uuid(), nullable=False),
        sa.Column("said_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("text", sqlmodel.sql.sqltypes.AutoString(length=2000), nullable=False),
        sa.CheckConstraint("text <> ''", name=op.f("ck_feedback_entry_text")),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_feedback_entry_feedback_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_feedback_entry_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback_entry")),
    )
    op.create_index("ix_feedback_entry_feedback_id", "feedback_entry", ["feedback_id"])

    op.create_table(
        "feedback_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        sa.CheckConstraint("given > 0", name=op.f("ck_feedback_day_given")),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_feedback_day")),
    )


def downgrade() -> None:
    for table in ("feedback_day", "feedback_entry", "feedback", "message"):
        op.drop_table(table)
