"""What the floor itself brings to the house: pages, the bureau, commands, housekeeping and its own rules."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui import (
    audit,
    divisions,
    figures,
    idempotency,
    jobs,
    login,
    outbox,
    people,
    reference,
    sessions,
    staff,
    worker,
)
from tanpuhui.rooms import House, Invariant, Room

if TYPE_CHECKING:
    import click
    from flask import Blueprint

ANSWERS_KEPT = timedelta(days=30)
LOGIN_CODES_KEPT = timedelta(days=2)
ENDED_SESSIONS_KEPT = timedelta(days=180)


def _housekeeping(_house: House, connection: Connection, now: datetime) -> None:
    """Delete what is kept for a while only: log-in codes, stored answers, ended sessions, old job runs."""
    login.purge(connection, now - LOGIN_CODES_KEPT)
    idempotency.purge(connection, now - ANSWERS_KEPT)
    for table, column, kept in (
        ("browser_session", "expires_at", ENDED_SESSIONS_KEPT),
        ("job_run", "slot", ENDED_SESSIONS_KEPT),
    ):
        target = sa.table(table, sa.column(column, sa.DateTime(timezone=True)))
        moment = now - kept if connection.dialect.name == "postgresql" else (now - kept).replace(tzinfo=None)
        connection.execute(sa.delete(target).where(target.c[column] < moment))


def _negative_figures(connection: Connection) -> Iterator[str]:
    for row in connection.execute(sa.text("SELECT day, kind, actions FROM daily_figure WHERE actions < 0")):
        yield f"daily figure {row[0]} {row[1]} counts {row[2]} actions"
    for row in connection.execute(sa.text("SELECT day, kind FROM daily_participant WHERE actions < 0")):
        yield f"daily participant {row[0]} {row[1]} is below zero"


def _consents(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM resident r WHERE r.status = 'active' "
            "AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.resident_id = r.id AND c.withdrawn_at IS NULL)"
        )
    )
    for row in rows:
        yield f"resident {row[0]} takes part without a standing consent"


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from tanpuhui.bureau import api as bureau_api, pages as bureau_pages
    from tanpuhui.web import operations, pages, staff_pages

    return (
        pages.blueprint,
        staff_pages.blueprint,
        operations.blueprint(house),
        bureau_pages.blueprint,
        bureau_api.blueprint(house),
    )


def _commands() -> Sequence["click.Command"]:
    return ()


room = Room(
    name="floor",
    tables=(
        audit.AuditEntry,
        divisions.Division,
        figures.DailyFigure,
        figures.DailyParticipant,
        idempotency.StoredAnswer,
        jobs.JobRun,
        login.LoginCode,
        outbox.LoggedEvent,
        outbox.SubscriberCursor,
        outbox.EventFailure,
        people.Resident,
        people.Consent,
        reference.ReferenceState,
        sessions.BrowserSession,
        sessions.ApiToken,
        staff.Organisation,
        staff.Staff,
        staff.RoleGrant,
        staff.Invitation,
        worker.Lease,
    ),
    blueprints=_blueprints,
    commands=_commands,
    jobs=(jobs.Job("housekeeping", timedelta(hours=1), _housekeeping),),
    reference=(divisions.DIVISIONS_FILE,),
    invariants=(
        Invariant("figures are never below zero", _negative_figures),
        Invariant("every resident has a standing consent", _consents),
    ),
)
