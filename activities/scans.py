"""Scans: the one transaction in which a code becomes a credited action.

Everything that can be told without the database is told first. Then `Desk` records the scan together with
those that other threads bring at the same moment (see `tanpuhui.batching`):

    take the residents' turns -> same answer for a known key -> limits -> the sum -> action, event,
    same-transaction subscribers (crediting), stored answer -> commit

Each scan writes rows of its own resident only, besides appending to the event log.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from activities import limits
from activities.actions import INSERT_ACTIONS, READ_DAYS
from activities.catalogue import ActionKind
from activities.codes import read_token
from activities.events import ActionRecorded
from activities.known import Knowledge, Known, KnownCode
from activities.quantify.calculation import parse_quantity, quantify
from activities.sites import SiteStatus
from tanpuhui import clock, idempotency, ids
from tanpuhui.batching import Batcher
from tanpuhui.errors import (
    CodeExpired,
    CodeInvalid,
    CodeNotYetValid,
    CodeRevoked,
    EvidenceTooWeak,
    KeyReused,
    KindDisabled,
    KindNotHere,
    KindRequired,
    NoFactor,
    NotAllowed,
    NotAuthenticated,
    ResidentInactive,
    SiteClosed,
    TanpuhuiError,
    Unavailable,
    UnknownKind,
)
from tanpuhui.idempotency import Answer
from tanpuhui.people import ResidentStatus, take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import identify_machines

#: Under load a batch waits this long for company, in seconds; a lone scan never waits.
GATHER = 0.003


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


def read_request(
    house: House,
    *,
    who: UUID | str,
    key: str | None,
    code: str,
    kind: str | None = None,
    quantity: str | int | Decimal | None = None,
    occurred_at: datetime | None = None,
) -> ScanRequest:
    """A scan as asked for by a page or the API, checked as far as no database is needed.

    Raises the refusals of a bad key, token or quantity.
    """
    key = idempotency.check_key(key)
    code_id = read_token(house.settings, code)
    milli = None if quantity is None else parse_quantity(quantity)
    asked = {"code": code_id, "kind": kind, "quantity": milli, "occurred_at": occurred_at}
    return ScanRequest(
        who, key, code_id, kind, milli, occurred_at, idempotency.request_hash(asked)
    )


class Desk:
    """Records scans. One per process; `house.part(Desk)`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._knowledge = house.part(Knowledge)
        self._batcher: Batcher[ScanRequest, Answer] = Batcher(
            self._record_batch,
            turn=lambda request: request.who,
            gather=GATHER,
        )

    def record(self, request: ScanRequest) -> Answer:
        """Record a scan: the answer of `POST /api/v1/scans`, the same one again for the same key.

        Raises NotAuthenticated, NotAllowed, KeyReused, a Refused with its reason, or Unavailable; then nothing
        was recorded.
        """
        return self._batcher.submit(request)

    def _record_batch(self, requests: list[ScanRequest]) -> Sequence[Answer | BaseException]:
        try:
            return self._house.db.run(lambda connection: self._transact(connection, requests))
        except Unavailable as error:
            return [error] * len(requests)  # asking for each in turn would only wait for the same outage
        except Exception as error:
            if len(requests) == 1:
                return [error]
            return [self._record_batch([request])[0] for request in requests]

    def _transact(
        self, connection: Connection, requests: list[ScanRequest]
    ) -> Sequence[Answer | BaseException]:
        now = clock.now()
        answers: dict[int, Answer | BaseException] = {}
        asking = _identify(connection, requests, answers)
        residents = take_turn(connection, list(asking.values()))
        known = self._knowledge.at(connection)
        answered = idempotency.find(
            connection, [(resident_id, requests[index].key) for index, resident_id in asking.items()]
        )
        fresh: list[tuple[int, _Draft]] = []
        for index, resident_id in asking.items():
            request = requests[index]
            stored = answered.get((resident_id, request.key))
            if stored is not None:
                same = stored.request_hash == request.request_hash
                answers[index] = Answer(stored.answer, replayed=True) if same else KeyReused()
                continue
            try:
                draft = _draft(
                    connection,
                    known,
                    request,
                    residents.get(resident_id),
                    now,
                    self._house.settings.late_hours,
                )
                fresh.append((index, draft))
            except TanpuhuiError as refusal:
                answers[index] = refusal
        answers |= self._insert(connection, known, fresh)
        return [answers[index] for index in range(len(requests))]

    def _insert(
        self, connection: Connection, known: Known, drafts: list[tuple[int, "_Draft"]]
    ) -> dict[int, Answer | BaseException]:
        if not drafts:
            return {}
        days = _read_days(connection, [draft for _, draft in drafts])
        answers: dict[int, Answer | BaseException] = {}
        fitting: list[tuple[int, _Draft, int]] = []
        for index, draft in drafts:
            try:
                rows = days.get(draft.fields["resident_id"], [])
                fitting.append((index, draft, _fit(draft, known, rows)))
            except TanpuhuiError as refusal:
                answers[index] = refusal
        if not fitting:
            return answers
        INSERT_ACTIONS.run(connection, [draft.row() for _, draft, _ in fitting])
        additions = self._house.publish(connection, [draft.event() for _, draft, _ in fitting])
        stored = []
        for (index, draft, left), addition in zip(fitting, additions, strict=True):
            body = json.dumps({"action": draft.view(), **addition, "left_today": left}, ensure_ascii=False)
            answers[index] = Answer(body, replayed=False)
            stored.append(
                {
                    "owner_id": draft.fields["resident_id"],
                    "key": draft.request.key,
                    "request_hash": draft.request.request_hash,
                    "answer": body,
                    "stored_at": draft.now,
                }
            )
        idempotency.store(connection, stored)
        return answers


class _TwiceInABatch(Exception):
    """One resident under two names in one batch: each request is then recorded alone."""


def _identify(
    connection: Connection, requests: Sequence[ScanRequest], answers: dict[int, Answer | BaseException]
) -> dict[int, UUID]:
    """The resident of each request by its index; requests of nobody, or of staff, are answered at once."""
    tokens = [request.who for request in requests if isinstance(request.who, str)]
    principals = identify_machines(connection, tokens) if tokens else {}
    asking: dict[int, UUID] = {}
    for index, request in enumerate(requests):
        if isinstance(request.who, UUID):
            asking[index] = request.who
        elif (principal := principals.get(request.who)) is None:
            answers[index] = NotAuthenticated()
        elif principal.kind != "resident":
            answers[index] = NotAllowed()
        else:
            asking[index] = principal.id
    if len(set(asking.values())) < len(asking):
        raise _TwiceInABatch
    return asking


# --- from a request to a record ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
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


def _draft(
    connection: Connection,
    known: Known,
    request: ScanRequest,
    resident: sa.Row[Any] | None,
    now: datetime,
    late_hours: int,
) -> _Draft:
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
    return _Draft(request, kind, day, now, fields)


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
    if code.code.valid_until and occurred_at >= code.code.valid_until:
        raise CodeExpired


def _read_days(connection: Connection, drafts: Sequence[_Draft]) -> dict[UUID, list[sa.Row[Any]]]:
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


def _fit(draft: _Draft, known: Known, rows: Sequence[sa.Row[Any]]) -> int:
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


# --- before the scan ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What a scan would record, for the page that asks for confirmation. Nothing is written for it."""

    code: KnownCode
    kinds: tuple[ActionKind, ...]
    left: Mapping[str, int]


def preview(house: House, token: str, resident_id: UUID | None = None) -> Preview:
    """What the code of `token` would record for the resident (anybody, if not logged in).

    `left` tells by kind how many records the day still allows. Raises the refusals of an unusable code.
    """
    code_id = read_token(house.settings, token)
    now = clock.now()
    with house.db.reading() as connection:
        known = house.part(Knowledge).at(connection)
        code = known.code(connection, code_id)
        if code is None:
            raise CodeInvalid
        check_code(code, now, now)
        rank = known.tiers[code.code.evidence].rank
        kinds = tuple(known.kinds[kind] for kind in code.kinds if known.kinds[kind].enabled)
        kinds = tuple(kind for kind in kinds if known.tiers[kind.lowest_evidence].rank <= rank)
        if not kinds:
            raise EvidenceTooWeak if code.kinds else KindDisabled
        today = clock.day_of(now)
        rows = (
            READ_DAYS.run(connection, residents=[resident_id], days=[today.isoformat()]) if resident_id else []
        )
    done = [row.kind for row in rows if not row.voided]
    left = {kind.code: max(0, kind.records_per_day - done.count(kind.code)) for kind in kinds}
    return Preview(code, kinds, left)
