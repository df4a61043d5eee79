"""What the floor itself brings to the house: pages, the bureau, commands, housekeeping and its own rules."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui import (
    audit,
    audit_chain,
    displays,
    divisions,
    families,
    feedback,
    figures,
    idempotency,
    identities,
    inbox,
    jobs,
    login,
    outbox,
    participants,
    people,
    period_figures,
    privacy,
    quality,
    reference,
    sessions,
    site_figures,
    staff,
    worker,
)
from tanpuhui.bureau import populations, synergy, target_tasks, targets, withheld
from tanpuhui.floor_holdings import HOLDINGS
from tanpuhui.holdings import older
from tanpuhui.i18n import N_
from tanpuhui.rooms import House, Invariant, Room
from tanpuhui.trail_words import TRAIL

if TYPE_CHECKING:
    import click
    from flask import Blueprint

    from tanpuhui.identities import Provider

_JOB_RUNS_KEPT = timedelta(days=180)


def _housekeeping(house: House, connection: Connection, now: datetime) -> None:
    """Delete what is kept for a while only: of residents by the periods of their holdings, and old job runs."""
    privacy.keep_to_periods(house, connection, now)
    older("job_run", "slot")(connection, now - _JOB_RUNS_KEPT)


def _negative_figures(connection: Connection) -> Iterator[str]:
    for row in connection.execute(sa.text("SELECT day, kind, actions FROM daily_figure WHERE actions < 0")):
        yield f"daily figure {row[0]} {row[1]} counts {row[2]} actions"
    for row in connection.execute(sa.text("SELECT day, kind FROM daily_participant WHERE actions < 0")):
        yield f"daily participant {row[0]} {row[1]} is below zero"
    for row in connection.execute(
        sa.text("SELECT unit, first, site_id, kind FROM site_figure WHERE actions < 0")
    ):
        yield f"site {row[2]} counts fewer than no actions of {row[3]} in the {row[0]} from {row[1]}"
    below = "SELECT unit, area, first FROM participant_count WHERE participants < 0 OR newcomers < 0"
    for row in connection.execute(sa.text(below)):
        yield f"{row[1]} counts fewer than no participants in the {row[0]} from {row[2]}"


def _miscounted(connection: Connection) -> Iterator[str]:
    """The totals of campaigns count those who take part in them."""
    rows = connection.execute(
        sa.text(
            "SELECT t.campaign FROM campaign_total t WHERE t.participants <> (SELECT count(*) "
            "FROM campaign_participant p WHERE p.campaign = t.campaign AND p.actions > 0)"
        )
    )
    for row in rows:
        yield f"campaign {row[0]} counts other participants than it has"


def _years_miscounted(connection: Connection) -> Iterator[str]:
    """The district counts in each year those who took part in it."""
    rows = connection.execute(
        sa.text(
            "SELECT y.year, y.people, coalesce(c.people, 0) FROM (SELECT year, count(*) AS people FROM participant_year "
            "WHERE first_day IS NOT NULL GROUP BY year) y LEFT JOIN (SELECT substr(CAST(first AS text), 1, 4) AS year, "
            "sum(participants) AS people FROM participant_count WHERE unit = 'year' AND length(area) = 6 AND kind = '*' "
            "AND campaign = '*' GROUP BY substr(CAST(first AS text), 1, 4)) c ON c.year = CAST(y.year AS text) "
            "WHERE y.people <> coalesce(c.people, 0)"
        )
    )
    for row in rows:
        yield f"{row[0]} counts {row[2]} participants and has {row[1]}"


def _consents(connection: Connection) -> Iterator[str]:
    """Whoever takes part agreed to the privacy text; a class or a family, of which no person is known, need not."""
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM resident r WHERE r.status = 'active' AND r.account_kind = 'person' "
            "AND NOT EXISTS (SELECT 1 FROM consent c WHERE c.resident_id = r.id"
            " AND c.document = 'privacy' AND c.withdrawn_at IS NULL)"
        )
    )
    for row in rows:
        yield f"resident {row[0]} takes part without a standing consent"


def _unanswered(connection: Connection) -> Iterator[str]:
    """What counts as answered has an answer, and whoever wrote in did so with words."""
    rows = connection.execute(
        sa.text(
            "SELECT f.number FROM feedback f WHERE f.answered_at IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM feedback_entry e WHERE e.feedback_id = f.id AND e.staff_id IS NOT NULL)"
        )
    )
    for row in rows:
        yield f"{row[0]} counts as answered and has no answer"
    rows = connection.execute(
        sa.text(
            "SELECT f.number FROM feedback f WHERE NOT EXISTS "
            "(SELECT 1 FROM feedback_entry e WHERE e.feedback_id = f.id AND e.staff_id IS NULL)"
        )
    )
    for row in rows:
        yield f"{row[0]} says nothing"


def _crowded(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT resident_id, count(*) FROM feedback WHERE state = 'open' GROUP BY resident_id HAVING count(*) > :most"
        ),
        {"most": feedback.MOST_OPEN},
    )
    for row in rows:
        yield f"resident {row[0]} has {row[1]} that wait for an answer"


def _messages_of_the_gone(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT m.id FROM message m JOIN resident r ON r.id = m.resident_id WHERE r.status <> 'active'"
        )
    )
    for row in rows:
        yield f"message {row[0]} is for somebody who has left"


def _displays_of_nobody(connection: Connection) -> Iterator[str]:
    rows = connection.execute(
        sa.text(
            "SELECT d.resident_id FROM display_choice d JOIN resident r ON r.id = d.resident_id "
            "WHERE r.status <> 'active' OR r.account_kind <> 'person'"
        )
    )
    for row in rows:
        yield f"resident {row[0]}, who has left or is no person, has a display of their own"


def _ways_in(connection: Connection) -> Iterator[str]:
    """Whoever takes part can log in: by phone or by an identity elsewhere; a class has its link, a family its guardians, and
    who holds a printed card needs none."""
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM resident r WHERE r.status = 'active' AND length(r.phone_cipher) = 0 "
            "AND r.phone_index NOT LIKE 'card:%' AND r.account_kind = 'person' "
            "AND NOT EXISTS (SELECT 1 FROM identity i WHERE i.resident_id = r.id)"
        )
    )
    for row in rows:
        yield f"resident {row[0]} has no way to log in"


def _families(connection: Connection) -> Iterator[str]:
    """A family that takes part has guardians who do and who agreed; one that has ended has none."""
    rows = connection.execute(
        sa.text(
            "SELECT r.id FROM resident r WHERE r.account_kind = 'family' AND (r.status = 'active') <> EXISTS "
            "(SELECT 1 FROM family_guardian l WHERE l.family_id = r.id AND l.until IS NULL)"
        )
    )
    for row in rows:
        yield f"family {row[0]} takes part without a guardian, or has one after it ended"
    rows = connection.execute(
        sa.text(
            "SELECT l.id FROM family_guardian l JOIN resident r ON r.id = l.guardian_id WHERE NOT r.shares "
            "OR (l.until IS NULL AND (r.status <> 'active' OR NOT EXISTS (SELECT 1 FROM consent c "
            "WHERE c.resident_id = r.id AND c.document = 'family' AND c.withdrawn_at IS NULL)))"
        )
    )
    for row in rows:
        yield f"sharing {row[0]} is of a guardian who left, did not agree, or whose scans do not know of it"


def _providers(house: House) -> Sequence["Provider"]:
    """The phone, and what the settings name beside it."""
    phone = login.PhoneCode(house)
    if not house.settings.oidc_issuer:
        return (phone,)
    from tanpuhui.oidc import OpenIdConnect  # needs Authlib, which only this asks for

    return phone, OpenIdConnect(house)


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from tanpuhui.bureau import (
        api as bureau_api,
        feedback_desk,
        open_data_pages,
        pages as bureau_pages,
        population_pages,
        quality_pages,
        statistics_pages,
        synergy_pages,
        target_api,
        target_desk,
        target_sheet_desk,
        target_task_desk,
        traced_people_pages,
        tracing_pages,
        trail_pages,
    )
    from tanpuhui.web import (
        class_pages,
        family_pages,
        feedback_api,
        feedback_pages,
        help_pages,
        identity_pages,
        inbox_pages,
        offline,
        operations,
        pages,
        privacy_pages,
        staff_pages,
        views,
    )

    return (
        pages.blueprint,
        identity_pages.blueprint,
        views.blueprint,
        offline.blueprint,
        privacy_pages.blueprint,
        class_pages.blueprint,
        family_pages.blueprint,
        inbox_pages.blueprint,
        feedback_pages.blueprint,
        feedback_api.blueprint(house),
        help_pages.blueprint,
        staff_pages.blueprint,
        operations.blueprint(house),
        bureau_pages.blueprint,
        quality_pages.blueprint,
        quality_pages.api(house),
        trail_pages.blueprint,
        tracing_pages.blueprint,
        traced_people_pages.blueprint,
        synergy_pages.blueprint,
        population_pages.blueprint,
        feedback_desk.blueprint,
        open_data_pages.blueprint,
        statistics_pages.blueprint,
        bureau_api.blueprint(house),
        target_desk.blueprint,
        target_task_desk.blueprint,
        target_sheet_desk.blueprint,
        target_api.blueprint(house),
    )


def _commands() -> Sequence["click.Command"]:
    return ()


def _demo(house: House) -> None:
    from tanpuhui.bureau.target_demo import add_targets

    add_targets(house)


room = Room(
    name="floor",
    tables=(
        audit.AuditEntry,
        audit_chain.AuditLink,
        audit_chain.AuditHead,
        displays.DisplayChoice,
        divisions.Division,
        families.FamilyAccount,
        families.FamilyGuardian,
        feedback.Feedback,
        feedback.FeedbackEntry,
        feedback.FeedbackDay,
        figures.DailyFigure,
        figures.DailyParticipant,
        figures.CampaignParticipant,
        figures.CampaignTotal,
        participants.ParticipantYear,
        participants.ParticipantCount,
        period_figures.PeriodFigure,
        site_figures.SiteFigure,
        idempotency.StoredAnswer,
        identities.Identity,
        inbox.Message,
        jobs.JobRun,
        login.LoginCode,
        outbox.LoggedEvent,
        outbox.SubscriberCursor,
        outbox.EventFailure,
        people.Resident,
        people.Consent,
        people.ClassAccount,
        reference.ReferenceState,
        sessions.BrowserSession,
        sessions.ApiToken,
        staff.Organisation,
        staff.Staff,
        staff.RoleGrant,
        staff.Invitation,
        worker.Lease,
        synergy.EmissionTotal,
        withheld.WithheldCell,
        withheld.WithheldYear,
        targets.Target,
        targets.TargetProgress,
        target_tasks.TargetTask,
        target_tasks.TargetFollowUp,
        target_tasks.TargetReminder,
        populations.Population,
    ),
    blueprints=_blueprints,
    commands=_commands,
    same_transaction=(inbox.GREETING,),
    jobs=(
        jobs.Job("housekeeping", N_("删除过了保存期的数据"), timedelta(hours=1), _housekeeping),
        audit_chain.JOB,
        jobs.Job("feedback", N_("办结答复后没有回音的来信"), timedelta(days=1), feedback.close_answered),
        withheld.JOB,
        jobs.Job("target-reminders", N_("提醒目标和任务快到期了"), timedelta(hours=1), target_tasks.remind),
    ),
    reference=(divisions.DIVISIONS_FILE,),
    invariants=(
        Invariant("figures are never below zero", _negative_figures),
        Invariant("a campaign counts those who take part", _miscounted),
        Invariant("a year counts those who took part", _years_miscounted),
        Invariant("every resident has a standing consent", _consents),
        Invariant("what counts as answered has an answer", _unanswered),
        Invariant(f"nobody has more than {feedback.MOST_OPEN} that wait for an answer", _crowded),
        Invariant("whoever has left has no messages", _messages_of_the_gone),
        Invariant("only people who take part chose a display", _displays_of_nobody),
        Invariant("the audit trail is as it was sealed", audit_chain.broken),
        Invariant("every resident has a way in", _ways_in),
        Invariant("a family has guardians who agreed", _families),
    ),
    holdings=HOLDINGS,
    letters=(inbox.WELCOME, feedback.ANSWERED),
    providers=_providers,
    demo=_demo,
    trail=TRAIL,
    checks=quality.CHECKS,
)
