"""Drafts: from what is asked to what would be recorded. Rules and the sum, nothing written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities import limits
from activities.actions import READ_DAYS
from activities.catalogue import ActionKind
from activities.events import ActionRecorded
from activities.known import Known, KnownCode
from activities.quantify.calculation import quantify
from activities.sites import SiteStatus
from tanpuhui import clock, ids
from tanpuhui.errors import (
    CodeExpired,
    CodeInvalid,
    CodeNotYetValid,
    CodeRevoked,
    EvidenceTooWeak,
    KindDisabled,
    KindNotHere,
    KindRequired,
    NoFactor,
    ResidentInactive,
    SiteClosed,
    UnknownKind,
)
from tanpuhui.people import ResidentStatus


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a resident asks to have recorded; quantities in thousandths, times aware.

    `who` is the resident, or the fingerprint of the API token that is to prove it: the desk then looks the
    token up in the scan's own transaction.
    """

    who: UUID | str
    key: str
    code_id: int
    kind: str | None
    quantity_milli: int | None
    occurred_at: datetime | None
    request_hash: str


@dataclass(slots=True)
class Draft:
    """A scan that may be recorded if the day's limits allow."""

    request: ScanRequest
    kind: ActionKind
    day: date
    now: datetime
    fields: dict[str, Any]
    ordinal: int = 0

    def row(self) -> dict[str, Any]:
        """The action's row."""
        row = {name: value for name, value in self.fields.items() if name not in {"unit", "verified"}}
        return row | {"ordinal": self.ordinal}

    def event(self) -> ActionRecorded:
        """The fact. Every value was checked on the way here, so it is not validated again."""
        fields = {name: value for name, value in self.fields.items() if name != "id"}
        return ActionRecorded.model_construct(subject_id=self.fields["id"], **fields)

    def view(self) -> dict[str, Any]:
        """The action as the API shows it."""
        return action_view(self.fields)


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
    code = known.code(connection, request.code_id)
    kind = choose_kind(known, code, request.kind)
    assert code is not None
    occurred_at = limits.check_time(request.occurred_at, now, late_hours)
    check_code(code, occurred_at, now)
    if known.tiers[code.code.evidence].rank < known.tiers[kind.lowest_evidence].rank:
        raise EvidenceTooWeak
    quantity = limits.check_quantity(kind, request.quantity_milli)
    day = clock.day_of(occurred_at)
    factor = known.factor_on(kind.code, day)
    if factor is None:
        raise NoFactor
    campaign = code.campaign_at(occurred_at)
    reduction = quantify(quantity, factor)
    fields = {
        "id": ids.new_id(),
        "resident_id": resident.id,
        "day": day,
        "kind": kind.code,
        "unit": kind.unit,
        "quantity_milli": quantity,
        "occurred_at": occurred_at,
        "recorded_at": now,
        "evidence": code.code.evidence,
        "verified": known.tiers[code.code.evidence].counts_as_verified,
        "site_id": code.site.id,
        "code_id": code.code.id,
        "division_code": resident.division_code,
        "campaign_id": campaign.id if campaign else None,
        "factor_version": factor.id,
        "city_credited": factor.city_credited,
        **{name: getattr(reduction, name) for name in _REDUCTION},
    }
    return Draft(request, kind, day, now, fields)


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
    good_from = max(code.code.issued_at, code.code.valid_from or code.code.issued_at)
    slow = limits.SKEW if good_from <= now < good_from + limits.SKEW else timedelta(0)  # a phone's clock lags
    if occurred_at < good_from - slow:
        raise CodeNotYetValid
    if code.code.valid_until and now >= code.code.valid_until:
        raise CodeExpired  # whenever it is said to have happened: a photo of a staffed code must not live on


def read_days(connection: Connection, drafts: Sequence[Draft]) -> dict[UUID, list[sa.Row[Any]]]:
    """Each resident's records of the days concerned and their neighbours (intervals cross midnight)."""
    days = {draft.day + timedelta(days=apart) for draft in drafts for apart in (-1, 0, 1)}
    rows = READ_DAYS.run(
        connection,
        residents=[draft.fields["resident_id"] for draft in drafts],
        days=[day.isoformat() for day in sorted(days)],
    )
    found: dict[UUID, list[sa.Row[Any]]] = {}
    for row in rows:
        found.setdefault(row.resident_id, []).append(row)
    return found


def fit(draft: Draft, known: Known, rows: Sequence[sa.Row[Any]]) -> int:
    """Check the day's limits and number the record; how many more of its kind fit on that day."""
    standing = [
        limits.Recorded(
            row.kind,
            known.kinds[row.kind].name_zh,
            known.kinds[row.kind].name_en,
            known.kinds[row.kind].clash_group,
            row.day,
            row.occurred_at,
            row.quantity_milli,
            known.kinds[row.kind].min_interval_minutes,
        )
        for row in rows
        if not row.voided
    ]
    fields = draft.fields
    left = limits.check_day(draft.kind, fields["quantity_milli"], fields["occurred_at"], draft.day, standing)
    numbers = [row.ordinal for row in rows if row.kind == draft.kind.code and row.day == draft.day]
    draft.ordinal = max(numbers, default=0) + 1
    return left
