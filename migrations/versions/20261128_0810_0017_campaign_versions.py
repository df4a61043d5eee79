"""Campaigns with versions of their rules, approved by a second person; their steps, and what their organisers are told.

Why: rules are frozen on approval, and a campaign that waits for a date to be announced has no window yet.

The table of campaigns is made anew on SQLite, which cannot take a NOT NULL back. Every campaign that there is gets its first
version from what it is, as approved without a second person: nobody else was asked then.

Revision: 0017
Follows: 0016
"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from activities.campaigns import GUARDS

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TEXT = sqlmodel.sql.sqltypes.AutoString
_TIME = sqlmodel.sql.sqltypes.UTCDateTime
_BEFORE = ("id", "title", "division_code", "starts_at", "ends_at", "cancelled_at", "created_by", "created_at")
_ORDER = "ends_at > starts_at"
_CHECKS = {
    "window": "(starts_at IS NULL) = (ends_at IS NULL) AND ends_at > starts_at",
    "announces_at": "(starts_at IS NULL) = (announces_at IS NULL)",
    "approved": "version IS NOT NULL OR starts_at IS NULL",
    "settled_at": "settled_at IS NULL OR ends_at IS NOT NULL",
    "archived_at": "archived_at IS NULL OR settled_at IS NOT NULL",
}


def _added() -> list[sa.Column]:
    return [
        sa.Column("organisation_id", sa.Uuid(), nullable=True),
        sa.Column("template", _TEXT(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("announces_at", _TIME(), nullable=True),
        sa.Column("schedule", _TEXT(length=120), nullable=False, server_default=""),
        sa.Column("kinds", sa.JSON(), nullable=True),
        sa.Column("divisions", sa.JSON(), nullable=True),
        sa.Column("settled_at", _TIME(), nullable=True),
        sa.Column("archived_at", _TIME(), nullable=True),
    ]


def _before(*, dated: bool) -> list[sa.Column]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("title", _TEXT(length=60), nullable=False),
        sa.Column("division_code", _TEXT(length=12), nullable=False),
        sa.Column("starts_at", _TIME(), nullable=not dated),
        sa.Column("ends_at", _TIME(), nullable=not dated),
        sa.Column("cancelled_at", _TIME(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_at", _TIME(), nullable=False),
    ]


def _keys() -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["division_code"], ["division.code"], name=op.f("fk_campaign_division_code")),
        sa.ForeignKeyConstraint(["created_by"], ["staff.id"], name=op.f("fk_campaign_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign")),
    ]


def _remake(columns: list[sa.Column], constraints: list[sa.Constraint], kept: str, given: str = "") -> None:
    """On SQLite: the table of campaigns anew. What points to it is checked again at the commit."""
    op.execute("PRAGMA defer_foreign_keys=ON")
    op.execute("CREATE TABLE campaign_before AS SELECT * FROM campaign")
    op.drop_table("campaign")
    op.create_table("campaign", *columns, *constraints)
    op.execute(f"INSERT INTO campaign ({kept}) SELECT {given or kept} FROM campaign_before")
    op.drop_table("campaign_before")


def upgrade() -> None:
    connection = op.get_bind()
    checks = [sa.CheckConstraint(rule, name=op.f(f"ck_campaign_{name}")) for name, rule in _CHECKS.items()]
    owner = sa.ForeignKeyConstraint(
        ["organisation_id"], ["organisation.id"], name=op.f("fk_campaign_organisation_id")
    )
    kept = ", ".join(_BEFORE)
    if connection.dialect.name == "sqlite":
        _remake(
            [*_before(dated=False), *_added()],
            [*_keys(), owner, *checks],
            f"{kept}, version, announces_at",
            f"{kept}, 1, starts_at",
        )
    else:
        for column in _added():
            op.add_column("campaign", column)
        for name in ("starts_at", "ends_at"):
            op.alter_column("campaign", name, nullable=True)
        op.execute("UPDATE campaign SET version = 1, announces_at = starts_at")
        op.create_foreign_key(
            op.f("fk_campaign_organisation_id"), "campaign", "organisation", ["organisation_id"], ["id"]
        )
        op.drop_constraint(op.f("ck_campaign_window"), "campaign")
        for name, rule in _CHECKS.items():
            op.create_check_constraint(op.f(f"ck_campaign_{name}"), "campaign", rule)
    op.create_table(
        "campaign_version",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("title", _TEXT(length=60), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "submitted",
                "returned",
                "approved",
                name="versionstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("drafted_by", sa.Uuid(), nullable=False),
        sa.Column("drafted_at", _TIME(), nullable=False),
        sa.Column("submitted_by", sa.Uuid(), nullable=True),
        sa.Column("submitted_at", _TIME(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("decided_at", _TIME(), nullable=True),
        sa.Column("by_template", sa.Boolean(), nullable=False),
        sa.Column("reason", _TEXT(length=200), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_campaign_version_number")),
        sa.CheckConstraint(
            "state IN ('draft', 'returned') OR (submitted_at IS NOT NULL AND submitted_by IS NOT NULL)",
            name=op.f("ck_campaign_version_submitted"),
        ),
        sa.CheckConstraint(
            "(state IN ('approved', 'returned')) = (decided_at IS NOT NULL) "
            "AND (decided_at IS NOT NULL AND NOT by_template) = (decided_by IS NOT NULL)",
            name=op.f("ck_campaign_version_decided"),
        ),
        sa.CheckConstraint("decided_by <> submitted_by", name=op.f("ck_campaign_version_second_person")),
        sa.CheckConstraint("(state = 'returned') = (reason <> '')", name=op.f("ck_campaign_version_reason")),
        sa.CheckConstraint(
            "NOT by_template OR state = 'approved'", name=op.f("ck_campaign_version_by_template")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_version_campaign_id")
        ),
        sa.ForeignKeyConstraint(["drafted_by"], ["staff.id"], name=op.f("fk_campaign_version_drafted_by")),
        sa.ForeignKeyConstraint(
            ["submitted_by"], ["staff.id"], name=op.f("fk_campaign_version_submitted_by")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"], name=op.f("fk_campaign_version_decided_by")),
        sa.PrimaryKeyConstraint("campaign_id", "number", name=op.f("pk_campaign_version")),
    )
    op.create_index(
        "uq_campaign_version_open",
        "campaign_version",
        ["campaign_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'approved'"),
        postgresql_where=sa.text("state <> 'approved'"),
    )
    _first_versions(connection)
    op.create_table(
        "campaign_step",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column(
            "step",
            sa.Enum(
                "announce",
                "open",
                "close",
                "settle",
                "archive",
                name="step",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("occasion", sa.Date(), nullable=False),
        sa.Column("due_at", _TIME(), nullable=False),
        sa.Column("taken_at", _TIME(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.CheckConstraint("taken_at >= due_at", name=op.f("ck_campaign_step_order")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_step_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "step", "occasion", name=op.f("pk_campaign_step")),
    )
    op.create_table(
        "campaign_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "approved",
                "returned",
                "moved",
                "awaiting",
                "not_moved",
                "no_days",
                "late",
                name="noticekind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("told_at", _TIME(), nullable=False),
        sa.Column("seen_at", _TIME(), nullable=True),
        sa.Column("seen_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("(seen_at IS NULL) = (seen_by IS NULL)", name=op.f("ck_campaign_notice_seen")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaign.id"], name=op.f("fk_campaign_notice_campaign_id")
        ),
        sa.ForeignKeyConstraint(["seen_by"], ["staff.id"], name=op.f("fk_campaign_notice_seen_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_notice")),
    )
    op.create_index("ix_campaign_notice_campaign_id_told_at", "campaign_notice", ["campaign_id", "told_at"])
    for guard in GUARDS:
        for statement in guard.create(connection.dialect.name):
            op.execute(sa.text(statement))


def _first_versions(connection: sa.Connection) -> None:
    """What each campaign is, as its first version."""
    campaign = sa.table(
        "campaign",
        sa.column("id", sa.Uuid()),
        sa.column("title"),
        sa.column("starts_at", _TIME()),
        sa.column("ends_at", _TIME()),
        sa.column("created_by", sa.Uuid()),
        sa.column("created_at", _TIME()),
    )
    link = sa.table("campaign_site", sa.column("campaign_id", sa.Uuid()), sa.column("site_id", sa.Uuid()))
    version = sa.table(
        "campaign_version",
        sa.column("campaign_id", sa.Uuid()),
        sa.column("number"),
        sa.column("title"),
        sa.column("rules", sa.JSON()),
        sa.column("state"),
        sa.column("drafted_by", sa.Uuid()),
        sa.column("drafted_at", _TIME()),
        sa.column("submitted_by", sa.Uuid()),
        sa.column("submitted_at", _TIME()),
        sa.column("decided_at", _TIME()),
        sa.column("by_template"),
        sa.column("reason"),
    )
    for row in connection.execute(sa.select(campaign)).all():
        sites = connection.scalars(sa.select(link.c.site_id).where(link.c.campaign_id == row.id)).all()
        rules = {
            "words": "",
            "when": {
                "by": "dates",
                "starts_at": row.starts_at.isoformat(),
                "ends_at": row.ends_at.isoformat(),
            },
            "site_ids": sorted(str(site_id) for site_id in sites),
            "announce_days": 0,
        }
        connection.execute(
            sa.insert(version).values(
                campaign_id=row.id,
                number=1,
                title=row.title,
                rules=rules,
                state="approved",
                drafted_by=row.created_by,
                drafted_at=row.created_at,
                submitted_by=row.created_by,
                submitted_at=row.created_at,
                decided_at=row.created_at,
                by_template=True,
                reason="",
            )
        )


def downgrade() -> None:
    connection = op.get_bind()
    for guard in GUARDS:
        for statement in guard.drop(connection.dialect.name):
            op.execute(sa.text(statement))
    for table in ("campaign_notice", "campaign_step", "campaign_version"):
        op.drop_table(table)
    _forget_undated(connection)
    kept = ", ".join(_BEFORE)
    if connection.dialect.name == "sqlite":
        window = sa.CheckConstraint(_ORDER, name=op.f("ck_campaign_window"))
        _remake(_before(dated=True), [*_keys(), window], kept)
        return
    for name in _CHECKS:
        op.drop_constraint(op.f(f"ck_campaign_{name}"), "campaign")
    for column in reversed(_added()):
        op.drop_column("campaign", column.name)
    for name in ("starts_at", "ends_at"):
        op.alter_column("campaign", name, nullable=False)
    op.create_check_constraint(op.f("ck_campaign_window"), "campaign", _ORDER)


def _forget_undated(connection: sa.Connection) -> None:
    """A campaign without a window cannot be kept by the schema before; no scan ever saw it."""
    undated = "IN (SELECT id FROM campaign WHERE starts_at IS NULL)"
    connection.execute(sa.text(f"DELETE FROM campaign_site WHERE campaign_id {undated}"))
    connection.execute(sa.text("DELETE FROM campaign WHERE starts_at IS NULL"))
