"""What a scan needs to know of kinds, factors, codes, sites and campaigns, kept in memory.

Every change to any of these raises one version number in its own transaction (`tanpuhui.reference.bump`). A
scan reads that number in its transaction: as long as it stands, what is in memory is what is in the database,
so a revoked code is refused at once by every process, and a scan reads one row instead of a dozen.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.campaigns import Campaign, CampaignSite
from activities.catalogue import ActionKind, EvidenceTier
from activities.clashes import ClashRule
from activities.codes import Code
from activities.quantify.factors import FactorVersion, select_valid, versions_by_kind
from activities.quantify.forms import Form
from activities.quantify.methodologies import methodology_of
from activities.schedules import Schedule, read_schedule
from activities.sites import Site, SiteCredits, limits_of
from tanpuhui import reference
from tanpuhui.db import session_on
from tanpuhui.rooms import House


@dataclass(frozen=True)
class KnownCode:
    """A code with the site it hangs at, the kinds credited there and the campaigns the site takes part in.

    `schedule`: the hours in which it credits, None for always; `per_day`: by kind, where the site has a limit of its own.
    `campaigns`: each with the weekly hours in which it runs.
    """

    code: Code
    site: Site
    kinds: tuple[str, ...]
    campaigns: tuple[tuple[Campaign, Schedule | None], ...]
    schedule: Schedule | None = None
    per_day: Mapping[str, int] = field(default_factory=dict)

    def campaign_at(
        self, moment: datetime, kind: str | None = None, who: tuple[str, str] | None = None
    ) -> Campaign | None:
        """The campaign open at `moment` for a kind and for `who` (a community, a kind of account); of several, the one that
        started last.

        None for either: whatever the campaign counts, whoever may take part.
        """
        for campaign, hours in self.campaigns:
            assert campaign.starts_at is not None
            assert campaign.until is not None
            if not campaign.starts_at <= moment < campaign.until or (hours and not hours.open_at(moment)):
                continue
            counts = kind is None or campaign.kinds is None or kind in campaign.kinds
            if counts and (who is None or campaign.lets_in(*who)):
                return campaign
        return None


@dataclass
class Known:
    """One version of it all. Codes are added as they are met.

    `survival`: the kinds that are credited by yearly checks of what was planted (see `activities.trees`).
    """

    version: int
    kinds: dict[str, ActionKind] = field(default_factory=dict)
    survival: frozenset[str] = frozenset()
    tiers: dict[str, EvidenceTier] = field(default_factory=dict)
    clashes: dict[str, ClashRule] = field(default_factory=dict)
    factors: dict[str, list[FactorVersion]] = field(default_factory=dict)
    codes: dict[int, KnownCode | None] = field(default_factory=dict)

    def factor_on(self, kind: str, day: date) -> FactorVersion | None:
        """The factor version of `kind` valid on `day`."""
        return select_valid(self.factors.get(kind, []), day)

    def code(self, connection: Connection, code_id: int) -> KnownCode | None:
        """The code with this number, read on first sight."""
        if code_id not in self.codes:
            self.codes[code_id] = _read_code(connection, code_id)
        return self.codes[code_id]


class Knowledge:
    """The `Known` of this process, renewed when the version in the database has moved."""

    def __init__(self, _house: House) -> None:
        self._known = Known(-1)
        self._lock = threading.Lock()

    def at(self, connection: Connection) -> Known:
        """What holds in the transaction of `connection`."""
        version = reference.current_version(connection)
        known = self._known
        if known.version != version:
            with self._lock:
                known = self._known
                if known.version != version:
                    known = self._known = _read(connection, version)
        return known


def _read(connection: Connection, version: int) -> Known:
    known = Known(version)
    with session_on(connection) as session:
        known.kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
        known.tiers = {tier.code: tier for tier in session.exec(select(EvidenceTier))}
        known.clashes = {rule.clash_group: rule for rule in session.exec(select(ClashRule))}
        session.expunge_all()
    known.survival = frozenset(
        kind for kind, methodology in methodology_of(connection).items() if methodology.form is Form.SURVIVAL
    )
    known.factors = versions_by_kind(connection)
    return known


def _read_code(connection: Connection, code_id: int) -> KnownCode | None:
    with Session(bind=connection, expire_on_commit=False) as session:
        code = session.get(Code, code_id)
        if code is None:
            return None
        site = session.get_one(Site, code.site_id)
        kinds = (code.action_kind,) if code.action_kind else _kinds(session, site.id)
        campaigns = session.exec(
            select(Campaign)
            .join(CampaignSite, col(CampaignSite.campaign_id) == col(Campaign.id))
            .where(CampaignSite.site_id == site.id, col(Campaign.starts_at).is_not(None))
            .order_by(sa.desc(col(Campaign.starts_at)), col(Campaign.id))
        ).all()
        per_day = limits_of(session, site.id)
        session.expunge_all()
        running = tuple((campaign, read_schedule(campaign.schedule)) for campaign in campaigns)
        return KnownCode(code, site, kinds, running, read_schedule(site.schedule), per_day)


def _kinds(session: Session, site_id: UUID) -> tuple[str, ...]:
    query = select(SiteCredits.kind).where(SiteCredits.site_id == site_id).order_by(SiteCredits.kind)
    return tuple(session.exec(query).all())
