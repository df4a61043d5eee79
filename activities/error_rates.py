"""Error rates: how many of the records that were looked into are wrong, and how far chance may have moved that number."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col

from activities.actions import Action
from activities.campaigns import Campaign
from activities.catalogue import EvidenceTier
from activities.sites import Site
from activities.spot_checks import WRONG, Outcome, SpotCheck, SpotCheckItem

#: The quantile of the normal distribution for 95 %, both sides.
_Z = Decimal("1.959964")


def wilson(wrong: int, judged: int) -> tuple[int, int]:
    """The Wilson score interval of 95 % for a share, in permille; its ends are rounded outwards.

    (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n), with p = wrong/n, n = judged, z = 1.959964. From E. B. Wilson,
    Probable inference, the law of succession, and statistical inference, Journal of the American Statistical
    Association 22 (1927), pages 209 to 212. It fits few records and shares near 0 as well, where p ± z·√(p(1-p)/n) fails.
    Nothing judged says nothing: 0 to 1000.
    """
    if not 0 <= wrong <= judged:
        raise ValueError(f"{wrong} of {judged}")
    if not judged:
        return 0, 1000
    n, p, z2 = Decimal(judged), Decimal(wrong) / judged, _Z * _Z
    centre = p + z2 / (2 * n)
    half = _Z * (p * (1 - p) / n + z2 / (4 * n * n)).sqrt()
    low, high = ((centre + side) / (1 + z2 / n) * 1000 for side in (-half, half))
    lowest = 0 if not wrong else int(low.to_integral_value(ROUND_FLOOR))
    highest = 1000 if wrong == judged else int(high.to_integral_value(ROUND_CEILING))
    return lowest, highest


@dataclass(frozen=True, slots=True)
class Rate:
    """What was found of the records of a sample, or of several."""

    right: int = 0
    wrong: int = 0
    cannot_tell: int = 0
    open: int = 0

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(
            self.right + other.right,
            self.wrong + other.wrong,
            self.cannot_tell + other.cannot_tell,
            self.open + other.open,
        )

    @property
    def judged(self) -> int:
        """How many are known to be right or wrong: what the rate is a share of."""
        return self.right + self.wrong

    @property
    def permille(self) -> int | None:
        """The share of the judged that is wrong; None where nothing is judged."""
        if not self.judged:
            return None
        return int((Decimal(1000 * self.wrong) / self.judged).to_integral_value(ROUND_HALF_UP))

    @property
    def interval(self) -> tuple[int, int]:
        """The Wilson interval of the share, in permille."""
        return wilson(self.wrong, self.judged)


def rate_of(outcomes: Mapping[Outcome | None, int]) -> Rate:
    """The rate of so many of each outcome; None: not looked into yet."""
    return Rate(
        right=outcomes.get(Outcome.RIGHT, 0),
        wrong=sum(number for outcome, number in outcomes.items() if outcome in WRONG),
        cannot_tell=outcomes.get(Outcome.CANNOT_TELL, 0),
        open=outcomes.get(None, 0),
    )


@dataclass(frozen=True, slots=True)
class Line:
    """The rate of one scope, of its verified or of its self-declared records."""

    name: str
    verified: bool
    rate: Rate


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Of a period. A record may be in the sample of its site and of its campaign: the district's are those of the sites."""

    district: Mapping[bool, Rate]
    sites: tuple[Line, ...]
    campaigns: tuple[Line, ...]


def error_rates(connection: Connection, first: date, last: date, kind: str | None = None) -> ErrorRates:
    """The error rates of the samples of the months from `first` to `last`; verified and self-declared records apart.

    `kind`: of the records of one kind only.
    """
    keys: tuple[Any, ...] = (
        col(SpotCheck.site_id),
        col(SpotCheck.campaign_id),
        col(EvidenceTier.counts_as_verified),
        col(SpotCheckItem.outcome),
    )
    query = (
        sa.select(*keys, sa.func.count().label("items_found"))
        .join_from(SpotCheck, SpotCheckItem, col(SpotCheckItem.spot_check_id) == col(SpotCheck.id))
        .join(Action, col(Action.id) == col(SpotCheckItem.action_id))
        .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
        .where(col(SpotCheck.month).between(first, last), *([col(Action.kind) == kind] if kind else []))
        .group_by(*keys)
    )
    sites: dict[tuple[UUID, bool], Counter[Outcome | None]] = {}
    campaigns: dict[tuple[UUID, bool], Counter[Outcome | None]] = {}
    for row in connection.execute(query):
        found = sites if row.site_id else campaigns
        key = (row.site_id or row.campaign_id, bool(row.counts_as_verified))
        found.setdefault(key, Counter())[row.outcome] += row.items_found
    district = {True: Rate(), False: Rate()}
    for (_site, verified), outcomes in sites.items():
        district[verified] += rate_of(outcomes)
    return ErrorRates(
        district,
        _lines(connection, sites, col(Site.id), col(Site.name)),
        _lines(connection, campaigns, col(Campaign.id), col(Campaign.title)),
    )


def campaign_rates(connection: Connection, campaign_id: UUID) -> dict[bool, Rate]:
    """The error rates of the samples of a campaign: of its verified and of its self-declared records, where some were drawn."""
    return _rates(connection, col(SpotCheck.campaign_id) == campaign_id)


def rates_at(connection: Connection, sites: Collection[UUID], first: date, last: date) -> dict[bool, Rate]:
    """The same of the samples of some sites in the months from `first` to `last`."""
    return _rates(connection, col(SpotCheck.site_id).in_(sites), col(SpotCheck.month).between(first, last))


def _rates(connection: Connection, *where: Any) -> dict[bool, Rate]:
    keys: tuple[Any, ...] = (col(EvidenceTier.counts_as_verified), col(SpotCheckItem.outcome))
    query = (
        sa.select(*keys, sa.func.count().label("items_found"))
        .join_from(SpotCheck, SpotCheckItem, col(SpotCheckItem.spot_check_id) == col(SpotCheck.id))
        .join(Action, col(Action.id) == col(SpotCheckItem.action_id))
        .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
        .where(*where)
        .group_by(*keys)
    )
    found: dict[bool, Counter[Outcome | None]] = {}
    for row in connection.execute(query):
        found.setdefault(bool(row.counts_as_verified), Counter())[row.outcome] += row.items_found
    return {verified: rate_of(found[verified]) for verified in (True, False) if verified in found}


def _lines(
    connection: Connection, found: Mapping[tuple[UUID, bool], Counter[Outcome | None]], key: Any, name: Any
) -> tuple[Line, ...]:
    """By name; the verified records of a scope first."""
    wanted = sa.select(key, name).where(key.in_({scope for scope, _verified in found}))
    names = {row[0]: row[1] for row in connection.execute(wanted)}
    lines = (Line(names[scope], verified, rate_of(outcomes)) for (scope, verified), outcomes in found.items())
    return tuple(sorted(lines, key=lambda line: (line.name, not line.verified)))
