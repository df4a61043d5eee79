"""Drafts: from what is asked to what would be recorded. Rules and the sum, nothing written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities import codes, limits, trees
from activities.actions import READ_DAYS
from activities.bands import Reading
from activities.catalogue import ActionKind
from activities.events import ActionRecorded
from activities.known import Known, KnownCode
from activities.photos import Photo
from activities.quantify.calculation import quantify
from activities.reviews import Waits
from activities.sites import SiteStatus
from tanpuhui import clock, ids
from tanpuhui.errors import (
    CodeExpired,
    CodeInvalid,
    CodeNotYetValid,
    CodeRevoked,
    CountedTogether,
    DeedOfFamily,
    DeedOfGuardian,
    EvidenceTooWeak,
    KindDisabled,
    KindNotHere,
    KindRequired,
    NoFactor,
    NoPhotoHere,
    NoPlantingHere,
    ProvenBetter,
    Refused,
    ResidentInactive,
    RotatingCodeExpired,
    SiteClosed,
    SiteNotOpen,
    UnknownKind,
)
from tanpuhui.families import Together
from tanpuhui.people import AccountKind, ResidentStatus
from tanpuhui.signing import Token

#: The tier of what a photo shows and a reviewer confirms.
PHOTO = "photo"


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a resident asks to have recorded; quantities in thousandths, times aware.

    `who` is the resident, or the fingerprint of the API token that is to prove it: the desk then looks the
    token up in the scan's own transaction. `planting` is which of several plantings is checked. `opened_at`: when this
    browser opened the code, if that was shown to have been in time. `recorded_by`: the helper who scanned a member's code
    at the desk of the site. `position`: where the phone says it is, for the band alone (`activities.place_hints`).
    `self_reported`: no code was scanned, the resident says so; with a `photo` or without. `for_family`: not for the
    resident of the token, but for the family that they share.
    """

    who: UUID | str
    key: str
    token: Token
    kind: str | None
    quantity_milli: int | None
    occurred_at: datetime | None
    request_hash: str
    planting: UUID | None = None
    opened_at: datetime | None = None
    recorded_by: UUID | None = None
    position: Reading | None = field(default=None, repr=False, compare=False)
    self_reported: bool = False
    photo: Photo | None = None
    for_family: bool = False


@dataclass(slots=True)
class Draft:
    """A scan that may be recorded if the day's limits allow; `tree_check` is what it found, if it checks trees.

    `serial`: of the slip or receipt that it uses up. `at_site`: the site and its own limit of a day, if it has one.
    `waits`: why the record waits for a person to look at it, if it does.
    `replaces`: the weaker records of the same deed.
    """

    request: ScanRequest
    kind: ActionKind
    day: date
    now: datetime
    fields: dict[str, Any]
    tree_check: dict[str, Any] | None = None
    serial: int | None = None
    at_site: tuple[UUID, int] | None = None
    waits: Waits | None = None
    ordinal: int = 0
    replaces: tuple[UUID, ...] = ()

    def row(self) -> dict[str, Any]:
        """The action's row."""
        row = {name: value for name, value in self.fields.items() if name not in _OF_THE_EVENT_ONLY}
        return row | {"ordinal": self.ordinal}

    def check_row(self) -> dict[str, Any]:
        """The row of the check of trees that this record comes from."""
        return {"action_id": self.fields["id"], **(self.tree_check or {})}

    def use_row(self) -> dict[str, Any]:
        """The row by which a slip or receipt is used up."""
        return {"code_id": self.fields["code_id"], "serial": self.serial, "action_id": self.fields["id"]}

    def event(self) -> ActionRecorded:
        """The fact. Every value was checked on the way here, so it is not validated again."""
        fields = {name: value for name, value in self.fields.items() if name not in _OF_THE_ROW_ONLY}
        return ActionRecorded.model_construct(
            subject_id=self.fields["id"], pending=self.waits is not None, **fields
        )

    def view(self) -> dict[str, Any]:
        """The action as the API shows it."""
        return action_view(self.fields)


_OF_THE_EVENT_ONLY = {"unit", "verified", "with_points"}
_OF_THE_ROW_ONLY = {"id", "recorded_by"}
_REDUCTION = ("co2e_mg", "co2e_mid_mg", "co2e_high_mg", "nox_ug", "pm25_ug", "voc_ug", "so2_ug", "co_ug")


def action_view(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An action as the API shows it, from the fields of its row and the unit of its kind."""
    return {
        "id": str(fields["id"]),
        "kind": fields["kind"],
        "quantity": number(fields["quantity_milli"]),
        "unit": fields["unit"],
        "occurred_at": fields["occurred_at"].isoformat().replace("+00:00", "Z"),
        "evidence": fields["evidence"],
        "site_id": str(fields["site_id"]),
        "campaign_id": str(fields["campaign_id"]) if fields["campaign_id"] else None,
        "reduction": {
            **{name: fields[name] for name in _REDUCTION},
            "factor_version": fields["factor_version"],
            "city_credited": fields["city_credited"],
        },
    }


def number(milli: int) -> int | float:
    """Thousandths as a JSON number: 2500 -> 2.5. Exact up to the nine digits a quantity may have."""
    return milli // 1000 if milli % 1000 == 0 else float(Decimal(milli) / 1000)


def draft_of(
    connection: Connection,
    known: Known,
    request: ScanRequest,
    resident: sa.Row[Any] | None,
    now: datetime,
    late_hours: int,
) -> Draft:
    """The record that `request` asks for, as far as its code, kind, time and quantity allow.

    `resident` is the row of `tanpuhui.people.take_turn`. Raises the refusals.
    """
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise ResidentInactive
    if request.photo and resident.account_kind != AccountKind.PERSON:
        raise NoPhotoHere
    code = known.code(connection, request.token.number)
    kind = choose_kind(known, code, request.kind)
    assert code is not None
    occurred_at = limits.check_time(request.occurred_at, now, late_hours)
    check_code(code, occurred_at, now)
    if request.recorded_by is None and not request.self_reported:
        codes.check_token(code.code, request.token, request.opened_at or now)
    if code.code.kind is codes.CodeKind.ROTATING and now - occurred_at > codes.OPENED_FOR:
        raise RotatingCodeExpired  # what only a screen proves is not recorded afterwards
    check_evidence(known, code, kind)
    day = clock.day_of(occurred_at)
    quantity, tree_check = _how_much(connection, known, request, resident.id, code, kind, day)
    factor = known.factor_on(kind.code, day)
    if factor is None:
        raise NoFactor
    campaign = code.campaign_at(occurred_at, kind.code, (resident.division_code, resident.account_kind))
    reduction = quantify(quantity, factor)
    evidence = PHOTO if request.photo else code.code.evidence
    fields = {
        "id": ids.new_id(),
        "resident_id": resident.id,
        "day": day,
        "kind": kind.code,
        "unit": kind.unit,
        "quantity_milli": quantity,
        "occurred_at": occurred_at,
        "recorded_at": now,
        "evidence": evidence,
        "verified": known.tiers[evidence].counts_as_verified,
        "site_id": code.site.id,
        "code_id": code.code.id,
        "division_code": resident.division_code,
        "with_points": resident.with_points,
        "campaign_id": campaign.id if campaign else None,
        "factor_version": factor.id,
        "city_credited": factor.city_credited,
        "recorded_by": request.recorded_by,
        **{name: getattr(reduction, name) for name in _REDUCTION},
    }
    serial = codes.serial_of(code.code, request.token)
    per_day = code.per_day.get(kind.code)
    at_site = (code.site.id, per_day) if per_day is not None else None
    waits = Waits.PHOTO if request.photo else None
    return Draft(request, kind, day, now, fields, tree_check, serial, at_site, waits)


def _how_much(
    connection: Connection,
    known: Known,
    request: ScanRequest,
    resident_id: UUID,
    code: KnownCode,
    kind: ActionKind,
    day: date,
) -> tuple[int, dict[str, Any] | None]:
    """The quantity to record, in thousandths, and the check of trees that it comes from, if it does."""
    if kind.code not in known.survival:
        if request.planting is not None:
            raise NoPlantingHere
        fixed = codes.fixed_quantity(code.code, request.token)
        return limits.check_quantity(kind, fixed or request.quantity_milli), None
    check = trees.check_of(
        connection,
        resident_id,
        code.site.id,
        kind,
        alive_milli=request.quantity_milli,
        day=day,
        planting_id=request.planting,
    )
    return trees.quantity_of(check["alive"]), check


def choose_kind(known: Known, code: KnownCode | None, wanted: str | None) -> ActionKind:
    """The kind of action to record at this code's site.

    Raises CodeInvalid for a code that does not exist, UnknownKind, KindNotHere, KindDisabled, KindRequired.
    """
    if code is None:
        raise CodeInvalid
    if wanted is None:
        if len(code.kinds) != 1:
            raise KindRequired(kinds=list(code.kinds))
        wanted = code.kinds[0]
    kind = known.kinds.get(wanted)
    if kind is None:
        raise UnknownKind
    if wanted not in code.kinds:
        raise KindNotHere
    if not kind.enabled:
        raise KindDisabled
    return kind


def check_code(code: KnownCode, occurred_at: datetime, now: datetime) -> None:
    """Refuse a code that is revoked, closed, or was not good when it happened."""
    if code.code.revoked_at is not None:
        raise CodeRevoked
    if code.site.status != SiteStatus.OPEN:
        raise SiteClosed
    if code.schedule is not None and not code.schedule.open_at(occurred_at):
        raise SiteNotOpen
    if code.code.kind in codes.NEVER_SHOWN:
        return  # its age proves nothing: what was scanned at a desk, or done, before it was made counts
    good_from = max(code.code.issued_at, code.code.valid_from or code.code.issued_at)
    slow = limits.SKEW if good_from <= now < good_from + limits.SKEW else timedelta(0)  # a phone's clock lags
    if occurred_at < good_from - slow:
        raise CodeNotYetValid
    if code.code.valid_until and now >= code.code.valid_until:
        raise CodeExpired  # whenever it is said to have happened: a photo of a staffed code must not live on


def check_evidence(known: Known, code: KnownCode, kind: ActionKind) -> None:
    """Refuse a code that proves less than `kind` asks for."""
    if known.tiers[code.code.evidence].rank < known.tiers[kind.lowest_evidence].rank:
        raise EvidenceTooWeak


def read_days(
    connection: Connection, drafts: Sequence[Draft], beside: Sequence[Together] = ()
) -> dict[UUID, list[sa.Row[Any]]]:
    """Each resident's records of the days concerned and their neighbours (intervals cross midnight), or of their week.

    Also those of the accounts `beside`.
    """
    days = {draft.day + timedelta(days=apart) for draft in drafts for apart in _apart(draft)}
    rows = READ_DAYS.run(
        connection,
        residents=[*(draft.fields["resident_id"] for draft in drafts), *(one.id for one in beside)],
        days=[day.isoformat() for day in sorted(days)],
    )
    found: dict[UUID, list[sa.Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.resident_id, []).append(row)
    return found


def _apart(draft: Draft) -> Iterable[int]:
    weekly = draft.kind.records_per_week is not None or draft.kind.quantity_per_week_milli is not None
    monday = -draft.day.weekday()
    return range(min(-1, monday), max(2, monday + 7)) if weekly else (-1, 0, 1)


def _standing(known: Known, rows: Iterable[sa.Row[Any]]) -> list[limits.Recorded]:
    """The rows of `activities.actions.READ_DAYS` as the limits look at them, without what was voided."""
    return [
        limits.Recorded(
            row.kind,
            known.kinds[row.kind].name_zh,
            known.kinds[row.kind].name_en,
            known.kinds[row.kind].clash_group,
            row.day,
            row.occurred_at,
            row.quantity_milli,
            known.kinds[row.kind].min_interval_minutes,
            row.site_id,
            row.id,
            known.tiers[row.evidence].rank,
            row.kind in known.survival,
        )
        for row in rows
        if not row.voided
    ]


def beside(
    known: Known, kind: ActionKind, rank: int, moment: datetime, rows: Sequence[sa.Row[Any]]
) -> Sequence[sa.Row[Any]]:
    """Those of `rows` that a record of `kind` with evidence of `rank` would not replace."""
    try:
        replaced = {
            one.id for one in limits.weaker(kind, rank, moment, _standing(known, rows), known.clashes)
        }
    except ProvenBetter:
        return rows
    return [row for row in rows if row.id not in replaced]


def fit(
    draft: Draft,
    known: Known,
    rows: Sequence[sa.Row[Any]],
    beside: Sequence[tuple[Together, Sequence[sa.Row[Any]]]] = (),
) -> int:
    """Check the day's limits and number the record; how many more of its kind fit on that day.

    What it replaces counts for no limit. A record that waits takes nobody's place: it may yet be rejected. `beside`: the
    records of accounts that count together with this one. Whichever is proven better, none of theirs is replaced:
    whoever wants that scans for that account.
    """
    standing, fields = _standing(known, rows), draft.fields
    rank = known.tiers[fields["evidence"]].rank
    replaced = limits.weaker(draft.kind, rank, fields["occurred_at"], standing, known.clashes)
    if draft.waits:
        replaced = []
    mine = [record for record in standing if record not in replaced]
    left = _check_day(draft, known, mine)
    if beside and draft.tree_check is None:  # trees are told apart by their planting
        left = _fit_beside(draft, known, mine, beside)
    draft.replaces = tuple(record.id for record in replaced if record.id)
    numbers = [row.ordinal for row in rows if row.kind == draft.kind.code and row.day == draft.day]
    draft.ordinal = max(numbers, default=0) + 1
    return left


def _check_day(draft: Draft, known: Known, records: Sequence[limits.Recorded]) -> int:
    fields = draft.fields
    return limits.check_day(
        draft.kind,
        fields["quantity_milli"],
        fields["occurred_at"],
        draft.day,
        records,
        draft.at_site,
        known.clashes,
    )


def _fit_beside(
    draft: Draft,
    known: Known,
    mine: Sequence[limits.Recorded],
    beside: Sequence[tuple[Together, Sequence[sa.Row[Any]]]],
) -> int:
    """The limits again, with what was done by those who count together. Raises DeedOfFamily, DeedOfGuardian, CountedTogether."""
    kind, theirs = draft.kind, []
    for account, rows in beside:
        records = _standing(known, (row for row in rows if account.counts(row.occurred_at)))
        if limits.deeds(kind, draft.fields["occurred_at"], records, known.clashes):
            raise DeedOfGuardian if account.label is None else DeedOfFamily(label=account.label)
        theirs += records
    try:
        return _check_day(draft, known, [*mine, *theirs])
    except Refused as refusal:
        raise CountedTogether(kind=kind.name_zh, kind_en=kind.name_en) from refusal
