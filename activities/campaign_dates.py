"""From what a campaign is anchored to, to its window; and moving it when an observance is dated anew.

A date that is not announced is never guessed: the campaign then has no window and waits. Once a campaign has begun it stays
where it is, and its organisers are told that the day moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.campaign_notices import NoticeKind, notify
from activities.campaign_rules import ByDates, ByObservance, Rules, Weekly
from activities.campaigns import Campaign, rules_of
from activities.events import ObservanceDated
from activities.observances import EVERY_YEAR, Observance
from tanpuhui import clock, reference
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.subscribers import SameTransaction


@dataclass(frozen=True, slots=True)
class Window:
    """From when (included) to when (not included), in UTC."""

    starts_at: datetime
    ends_at: datetime


def window_of(session: Session, rules: Rules) -> Window | None:
    """When a campaign of these rules is; None as long as a day that it is anchored to is not announced.

    Raises InvalidField (``when``) for an observance that nobody knows, and for anchors that leave no day between them.
    """
    when = rules.when
    if isinstance(when, ByDates):
        return Window(when.starts_at.astimezone(UTC), when.ends_at.astimezone(UTC))
    if isinstance(when, Weekly):
        return _days(when.first, when.last)
    return _anchored(session, when)


def _anchored(session: Session, when: ByObservance) -> Window | None:
    begin, end = (span_in(session, key, when.year) for key in (when.key, when.last_key))
    if begin is None or end is None:
        return None
    first = begin[0] + timedelta(days=when.from_offset)
    last = end[1] + timedelta(days=when.until_offset)
    if last < first:
        raise InvalidField(
            errors=[{"field": "when", "reason": N_("按这两个日子算，结束早于开始，请改一改。")}]
        )
    return _days(first, last)


def span_in(session: Session, key: str, year: int) -> tuple[date, date] | None:
    """First and last day of an observance in a year; None if it is not announced.

    Raises InvalidField (``when``) if nobody knows it.
    """
    found = session.exec(select(Observance).where(Observance.key == key)).all()
    if not found:
        raise InvalidField(errors=[{"field": "when", "reason": N_("没有这个节日。")}])
    spans = (one.span(year) for one in found if one.year in {EVERY_YEAR, year})
    return next((span for span in spans if span), None)


def _days(first: date, last: date) -> Window:
    """Whole days in Asia/Shanghai."""
    return Window(clock.day_bounds(first)[0], clock.day_bounds(last)[1])


def place(campaign: Campaign, rules: Rules, window: Window | None) -> None:
    """Put a campaign into its window, or take it out of any; the caller's session writes it.

    What is approved or moved later than it should have been told is told at once: nobody was late with it.
    """
    campaign.starts_at = window.starts_at if window else None
    campaign.ends_at = window.ends_at if window else None
    planned = window.starts_at - timedelta(days=rules.announce_days) if window else None
    campaign.announces_at = max(planned, clock.now()) if planned else None


# --- moving --------------------------------------------------------------------------------------------------


def follow(connection: Connection, events: Sequence[ObservanceDated]) -> None:
    """Move the campaigns that are anchored to what was dated anew, and tell their organisers."""
    dated = {(event.key, event.year) for event in events}
    with session_on(connection) as session:
        moved = [_move(session, campaign, rules) for campaign, rules in _anchored_to(session, dated)]
        session.flush()
        if any(moved):
            reference.bump(connection)


def _anchored_to(session: Session, dated: set[tuple[str, int]]) -> Iterator[tuple[Campaign, Rules]]:
    """The approved campaigns that hang on one of these days and are not over, locked in the order of their ids."""
    query = select(Campaign).where(
        col(Campaign.version).is_not(None),
        col(Campaign.cancelled_at).is_(None),
        col(Campaign.settled_at).is_(None),
    )
    for campaign in session.exec(query.order_by(col(Campaign.id)).with_for_update()).all():
        rules = rules_of(session, campaign)
        if rules is None or not isinstance(rules.when, ByObservance):
            continue
        keys = {rules.when.key, rules.when.last_key}
        if any((key, rules.when.year) in dated for key in keys):
            yield campaign, rules


def _move(session: Session, campaign: Campaign, rules: Rules) -> bool:
    """Move one campaign; whether its window changed."""
    connection, now = session.connection(), clock.now()
    before = (campaign.starts_at, campaign.ends_at)
    try:
        window = window_of(session, rules)
        fits = window is None or window.ends_at > now  # not announced for days that are past
    except InvalidField:
        window, fits = None, False
    if not fits:
        window = None
        notify(connection, campaign.id, NoticeKind.NO_DAYS)
    if before == ((window.starts_at, window.ends_at) if window else (None, None)):
        return False
    if campaign.starts_at and campaign.starts_at <= now:
        notify(connection, campaign.id, NoticeKind.NOT_MOVED)
        return False
    place(campaign, rules, window)
    session.add(campaign)
    if window:
        days = [clock.day_of(window.starts_at), clock.day_of(window.ends_at - timedelta(seconds=1))]
        notify(
            connection,
            campaign.id,
            NoticeKind.MOVED,
            first=days[0].isoformat(),
            last=days[1].isoformat(),
            **({"was": clock.day_of(before[0]).isoformat()} if before[0] else {}),
        )
    elif before[0] and fits:
        notify(connection, campaign.id, NoticeKind.AWAITING, was=clock.day_of(before[0]).isoformat())
    return True


FOLLOWING = SameTransaction("campaign dates", (ObservanceDated,), follow)


def undated(session: Session) -> Sequence[Campaign]:
    """Approved campaigns whose days are not announced yet, by title."""
    query = select(Campaign).where(
        col(Campaign.version).is_not(None),
        col(Campaign.starts_at).is_(None),
        col(Campaign.cancelled_at).is_(None),
    )
    return session.exec(query.order_by(sa.asc(Campaign.title), col(Campaign.id))).all()
