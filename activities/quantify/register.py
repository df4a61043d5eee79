"""The register of factors: every version ever published, with its kind and its methodology, searched by anybody."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session, col, select

from activities.catalogue import ActionKind
from activities.quantify.factors import (
    Confidence,
    FactorVersion,
    VersionState,
    all_versions,
    select_valid,
    version_state,
)
from activities.quantify.methodologies import (
    FilingStatus,
    Methodology,
    MethodologyKind,
    ScenarioKind,
    all_methodologies,
)
from activities.quantify.proposals import FactorProposal
from activities.quantify.traces import Trace, trace_of
from tanpuhui.errors import NotFound


@dataclass(frozen=True)
class Entry:
    """A published version. `methodology` is None where it follows none, `published_at` where it came as data."""

    version: FactorVersion
    kind: ActionKind
    methodology: Methodology | None
    published_at: datetime | None

    def example(self) -> Trace:
        """The sum for what the kind records unasked, or for one unit."""
        quantity = self.kind.quantity_default_milli or 1000
        return trace_of(self.kind, quantity, self.version, self.methodology)


@dataclass(frozen=True)
class Search:
    """What is looked for; None and an empty `q` ask for nothing.

    Every word of `q` must be in the id, the names, the source or the region.
    """

    q: str = ""
    kind: str | None = None
    category: str | None = None
    scenario_kind: ScenarioKind | None = None
    confidence: Confidence | None = None
    filing_status: FilingStatus | None = None
    city_credited: bool | None = None
    methodology: str | None = None
    on: date | None = None

    def finds(self, entry: Entry) -> bool:
        """Whether `entry` is what is looked for; `on` asks for versions valid on that day."""
        version, methodology = entry.version, entry.methodology
        wanted = (
            (self.kind, version.action_code),
            (self.category, entry.kind.category),
            (self.scenario_kind, version.scenario_kind),
            (self.confidence, version.confidence),
            (self.filing_status, methodology and methodology.filing_status),
            (self.city_credited, version.city_credited),
            (self.methodology, version.methodology),
        )
        if any(asked is not None and asked != there for asked, there in wanted):
            return False
        if self.on is not None and select_valid([version], self.on) is None:
            return False
        text = _plain(
            f"{entry.kind.name_zh} {entry.kind.name_en} {version.id} {version.source} {version.region}"
        )
        return all(word in text for word in _plain(self.q).split())


def _plain(text: str) -> str:
    """Full-width letters and capitals make no difference to who searches."""
    return unicodedata.normalize("NFKC", text).casefold()


def entries(session: Session) -> list[Entry]:
    """Every version ever published, by category, kind and number."""
    kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
    methodologies = {methodology.code: methodology for methodology in all_methodologies(session)}
    published = dict(
        session.exec(
            select(FactorProposal.id, FactorProposal.published_at).where(
                col(FactorProposal.published_at).is_not(None)
            )
        ).all()
    )
    found = [
        Entry(
            version,
            kinds[version.action_code],
            methodologies.get(version.methodology or ""),
            published.get(version.proposal_id) if version.proposal_id else None,
        )
        for version in all_versions(session)
    ]
    return sorted(found, key=lambda entry: (entry.kind.category, entry.kind.code, entry.version.version))


def of_kind(session: Session, version_id: str) -> list[Entry]:
    """A version and all others of its kind, by number. Raises NotFound."""
    everything = entries(session)
    kinds = [entry.kind.code for entry in everything if entry.version.id == version_id]
    if not kinds:
        raise NotFound
    return [entry for entry in everything if entry.kind.code == kinds[0]]


@dataclass(frozen=True)
class History:
    """The versions of a kind that were found: the one to show first, and the others, the newest first."""

    kind: ActionKind
    first: Entry
    others: tuple[Entry, ...]


def histories(found: Sequence[Entry], today: date) -> list[History]:
    """`found` by kind. First comes what is valid `today`, else the newest, rather one that was not cancelled."""
    by_kind: dict[str, list[Entry]] = {}
    for entry in found:
        by_kind.setdefault(entry.kind.code, []).insert(0, entry)
    shown = []
    for versions in by_kind.values():
        by_state = {version_state(one.version, today): one for one in reversed(versions)}
        first = by_state.get(VersionState.CURRENT) or next(
            (one for one in versions if one.version.cancelled_on is None), versions[0]
        )
        shown.append(History(first.kind, first, tuple(one for one in versions if one is not first)))
    return shown


# --- what follows a methodology -----------------------------------------------------------------------------


def kinds_of(session: Session, methodology: str) -> list[ActionKind]:
    """The kinds whose new factors follow a methodology, by category and code."""
    query = (
        select(ActionKind)
        .join(MethodologyKind, col(MethodologyKind.kind) == col(ActionKind.code))
        .where(MethodologyKind.methodology == methodology)
        .order_by(ActionKind.category, ActionKind.code)
    )
    return list(session.exec(query))


def followers(found: Sequence[Entry], methodology: str, today: date) -> list[Entry]:
    """Of the versions `found`, those valid `today` that follow a methodology."""
    return [
        entry
        for entry in found
        if entry.version.methodology == methodology and select_valid([entry.version], today)
    ]
