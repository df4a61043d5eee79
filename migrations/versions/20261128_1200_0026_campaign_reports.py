"""Closing reports of campaigns, thanks, who asked to be reminded, and what would have been done otherwise.

Why: a campaign ends with a report that is made by itself and never changes, and tells with care what the campaign changed.

A web process that still serves the schema before goes on as it was. Going back forgets the steps and notices that the schema before has
no word for.

Revision: 0026
Follows: 0025
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities import campaign_reports, campaign_thanks, otherwise

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TIME = sqlmodel.sql.sqltypes.UTCDateTime
_STEPS = ("announce", "open", "close", "settle", "archive")
_NEW_STEPS = ("remind", "report", "honour")
_NOTICES = ("approved", "returned", "moved", "awaiting", "not_moved", "no_days", "late")
_NEW_NOTICES = ("begins", "reported")
_GUARDS = (*campaign_reports.GUARDS, *campaign_thanks.GUARDS, *otherwise.GUARDS)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _words(table: str, column: str, name: str, words: tuple[str, ...]) -> None:
    with op.batch_alter_table(table) as batch_op:
        batch_op.drop_constraint(op.f(f"ck_{table}_{name}"), type_="check")
        batch_op.create_check_constraint(op.f(f"ck_{table}_{name}"), f"{column} IN ({_listed(words)})")


def upgrade() -> None:
    _words("campaign_step", "step", "step", _STEPS + _NEW_STEPS)
    _words("campaign_notice", "kind", "noticekind", _NOTICES + _NEW_NOTICES)
    op.create_table(
        "campaign_report",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("made_at", _TIME(), nullable=False),
        sa.Column("snapshot", sa.JSON(), nullable=False),
        sa.CheckConstraint("format >= 1", name=op.f("ck_campaign_report_format")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_report_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_report")),
    )
    op.create_table(
        "campaign_thanks",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("words", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("written_at", _TIME(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=False),
        sa.Column("mended_at", _TIME(), nullable=True),
        sa.Column("mended_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("words <> ''", name=op.f("ck_campaign_thanks_words")),
        sa.CheckConstraint(
            "(mended_at IS NULL) = (mended_by IS NULL) AND mended_at >= written_at",
            name=op.f("ck_campaign_thanks_mended"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_thanks_campaign_id")
        ),
        *(
            sa.ForeignKeyConstraint([name], ["staff.id"], name=op.f(f"fk_campaign_thanks_{name}"))
            for name in ("written_by", "mended_by")
        ),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_thanks")),
    )
    op.create_table(
        "campaign_reminder",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("resident_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", _TIME(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_reminder_campaign_id")
        ),
        sa.ForeignKeyConstraint(
            ["resident_id"], ["resident.id"], name=op.f("fk_campaign_reminder_resident_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "resident_id", name=op.f("pk_campaign_reminder")),
    )
    op.create_index(op.f("ix_campaign_reminder_resident_id"), "campaign_reminder", ["resident_id"])
    op.create_table(
        "otherwise_answer",
        sa.Column("action_id", sa.Uuid(), nullable=False),
        sa.Column(
            "answer",
            sa.Enum(
                *("same", "part", "not", "unknown", "skipped"),
                name="otherwise",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("answered_at", _TIME(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_otherwise_answer_action_id")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_otherwise_answer")),
    )
    for guard in _GUARDS:
        for statement in guard.create(op.get_bind().dialect.name):
            op.execute(sa.text(statement))


def downgrade() -> None:
    for guard in _GUARDS:
        for statement in guard.drop(op.get_bind().dialect.name):
            op.execute(sa.text(statement))
    for table in ("otherwise_answer", "campaign_reminder", "campaign_thanks", "campaign_report"):
        op.drop_table(table)
    op.execute(sa.text(f"DELETE FROM campaign_step WHERE step IN ({_listed(_NEW_STEPS)})"))
    op.execute(sa.text(f"DELETE FROM campaign_notice WHERE kind IN ({_listed(_NEW_NOTICES)})"))
    _words("campaign_notice", "kind", "noticekind", _NOTICES)
    _words("campaign_step", "step", "step", _STEPS)
