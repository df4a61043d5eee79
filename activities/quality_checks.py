"""What this room asks at the quality desk: records that come late, sites that fell silent, factors, campaigns that ran late."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import col, select

from activities.campaign_life import STEP_NAMES, CampaignStep
from activities.campaign_report_words import POLLUTANTS
from activities.campaigns import Campaign
from activities.catalogue import ActionKind
from activities.quantify.factors import FactorVersion, VersionState, version_state
from tanpuhui import clock
from tanpuhui.db import Statement, session_on
from tanpuhui.i18n import N_
from tanpuhui.quality import Check, Named, Row, Severity, Text
from tanpuhui.rooms import House

#: Records that arrive more than a day after they occurred are late; those of so many days are looked at.
LATE_DAYS = timedelta(days=14)

#: A site that had records in the four weeks before and none for two is silent.
BEFORE, SILENT = timedelta(days=28), timedelta(days=14)

#: A factor that ends within so many days wants another.
ENDS_WITHIN = timedelta(days=60)

#: The same condition as that of the index `ix_action_late`, so that it is used.
_LATE = Statement(
    "SELECT s.id, s.name, q.late FROM (SELECT a.site_id, count(*) AS late FROM action a WHERE a.recorded_at >= :since AND "
    "{pg:a.recorded_at - a.occurred_at > interval '24 hours'}{sqlite:julianday(a.recorded_at) - julianday(a.occurred_at) > 1} "
    "GROUP BY a.site_id) q JOIN site s ON s.id = q.site_id ORDER BY q.late DESC, s.name",
    id="uuid",
    name="text",
    late="int",
)
_SILENT = Statement(
    "SELECT q.id, q.name, q.last FROM (SELECT s.id, s.name, "
    "(SELECT MAX(a.day) FROM action a WHERE a.site_id = s.id AND a.day <= :today) AS last "
    "FROM site s WHERE s.status = 'open') q WHERE q.last < :silent AND q.last >= :before ORDER BY q.last, q.name",
    id="uuid",
    name="text",
    last="date",
)


def _late_records(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads the partial index of late records, of the last two weeks."""
    words = N_("%(site)s：近 14 天有 %(late)s 条记录晚到一天以上")
    return [
        Row(words, {"site": one.name, "late": one.late}, "console.site", {"site_id": one.id})
        for one in _LATE.run(connection, since=now - LATE_DAYS)
    ]


def _silent_sites(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads the last day of each open site, by the index on site and day."""
    today = clock.day_of(now)
    words = N_("%(site)s：%(last)s 以后没有记录")
    found = _SILENT.run(connection, today=today, silent=today - SILENT, before=today - SILENT - BEFORE)
    return [
        Row(words, {"site": one.name, "last": one.last}, "console.site", {"site_id": one.id}) for one in found
    ]


def _current(connection: Connection, today: date) -> Iterator[tuple[ActionKind, list[FactorVersion], bool]]:
    """Each kind that is credited, its valid versions, the latest last, and whether another is to come: some dozens of rows."""
    with session_on(connection) as session:
        kinds = select(ActionKind).where(col(ActionKind.enabled).is_(True)).order_by(col(ActionKind.code))
        versions = session.exec(select(FactorVersion).order_by(col(FactorVersion.version))).all()
        for kind in session.exec(kinds):
            own = [(one, version_state(one, today)) for one in versions if one.action_code == kind.code]
            valid = [one for one, state in own if state is VersionState.CURRENT]
            yield kind, valid, any(state is VersionState.UPCOMING for _, state in own)


def _without_factor(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads kinds and factor versions."""
    return [
        _of_kind(N_("%(kind)s：今天没有有效的因子"), kind)
        for kind, valid, _ in _current(connection, clock.day_of(now))
        if not valid
    ]


def _ending(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads kinds and factor versions."""
    today = clock.day_of(now)
    words = N_("%(kind)s：因子有效到 %(end)s，之后还没有")
    return [
        _of_kind(words, kind, end=valid[-1].valid_to)
        for kind, valid, follows in _current(connection, today)
        if valid and not follows and (end := valid[-1].valid_to) is not None and end <= today + ENDS_WITHIN
    ]


def _without_pollutants(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads kinds and factor versions."""
    words = N_("%(kind)s：缺 %(missing)s")
    rows = []
    for kind, valid, _ in _current(connection, clock.day_of(now)):
        missing = [
            name for field, name in POLLUTANTS.items() if valid and getattr(valid[-1], f"{field}_ng") is None
        ]
        if missing:
            rows.append(_of_kind(words, kind, missing=tuple(missing)))
    return rows


def _of_kind(words: str, kind: ActionKind, **values: Any) -> Row:
    return Row(
        words, {"kind": Named(kind.name_zh, kind.name_en), **values}, "factor_desk.kind", {"code": kind.code}
    )


def _late_steps(_house: House, connection: Connection, now: datetime) -> Sequence[Row]:
    """Reads the steps that campaigns took, some for each campaign."""
    with session_on(connection) as session:
        late = session.exec(
            select(CampaignStep, Campaign.title)
            .join(Campaign, col(Campaign.id) == col(CampaignStep.campaign_id))
            .where(col(CampaignStep.late).is_(True), CampaignStep.taken_at >= now - LATE_DAYS)
            .order_by(col(CampaignStep.taken_at).desc())
        ).all()
        words = N_("%(campaign)s：“%(step)s”应在 %(due)s，%(taken)s 才完成")
        return [
            Row(
                words,
                {
                    "campaign": title,
                    "step": Text(STEP_NAMES[one.step]),
                    "due": one.due_at,
                    "taken": one.taken_at,
                },
                "campaigns.one",
                {"campaign_id": one.campaign_id},
            )
            for one, title in late
        ]


CHECKS = (
    Check(
        "no_factor",
        N_("每种行为今天都有有效的因子吗？"),
        Severity.NOW,
        "factor_desk.factors",
        _without_factor,
    ),
    Check(
        "silent_sites", N_("有没有开放的点位突然没了记录？"), Severity.SOON, "console.sites", _silent_sites
    ),
    Check("late_records", N_("有没有记录晚到？"), Severity.SOON, "console.sites", _late_records),
    Check("factor_ends", N_("有没有因子 60 天内到期？"), Severity.SOON, "factor_desk.factors", _ending),
    Check(
        "pollutants",
        N_("哪些因子还缺污染物的数值？"),
        Severity.SOON,
        "factor_desk.factors",
        _without_pollutants,
    ),
    Check("late_steps", N_("活动的步骤都按时完成了吗？"), Severity.SOON, "campaigns.listed", _late_steps),
)
