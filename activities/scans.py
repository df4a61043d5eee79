"""Scans: the one transaction in which a code becomes a credited action.

Everything that can be told without the database is told first. Then `Desk` records the scan together with
those that other threads bring at the same moment (see `tanpuhui.batching`):

    prove the tokens -> take the residents' turns -> same answer for a known key -> limits -> the sum -> action, event,
    same-transaction subscribers (crediting), stored answer -> commit

Each scan writes rows of its own resident only, besides appending to the event log.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.engine import Connection

from activities.actions import INSERT_ACTIONS, READ_DAYS
from activities.catalogue import ActionKind
from activities.codes import read_token
from activities.drafts import Draft, ScanRequest, check_code, draft_of, fit, read_days
from activities.known import Knowledge, Known, KnownCode
from activities.quantify.calculation import parse_quantity
from tanpuhui import clock, idempotency
from tanpuhui.batching import Batcher
from tanpuhui.errors import (
    CodeInvalid,
    EvidenceTooWeak,
    KeyReused,
    KindDisabled,
    NotAllowed,
    NotAuthenticated,
    TanpuhuiError,
    Unavailable,
)
from tanpuhui.idempotency import Answer
from tanpuhui.people import take_turn
from tanpuhui.rooms import House
from tanpuhui.sessions import identify_machines

#: Under load a batch waits for the company of the last one, at most this long, in seconds; a lone scan never waits.
GATHER = 0.007


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
    return ScanRequest(who, key, code_id, kind, milli, occurred_at, idempotency.request_hash(asked))


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
        fresh: list[tuple[int, Draft]] = []
        for index, resident_id in asking.items():
            request = requests[index]
            stored = answered.get((resident_id, request.key))
            if stored is not None:
                same = stored.request_hash == request.request_hash
                answers[index] = Answer(stored.answer, replayed=True) if same else KeyReused()
                continue
            try:
                draft = draft_of(
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
        self, connection: Connection, known: Known, drafts: list[tuple[int, "Draft"]]
    ) -> dict[int, Answer | BaseException]:
        if not drafts:
            return {}
        days = read_days(connection, [draft for _, draft in drafts])
        answers: dict[int, Answer | BaseException] = {}
        fitting: list[tuple[int, Draft, int]] = []
        for index, draft in drafts:
            try:
                rows = days.get(draft.fields["resident_id"], [])
                fitting.append((index, draft, fit(draft, known, rows)))
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
            READ_DAYS.run(connection, residents=[resident_id], days=[today.isoformat()])
            if resident_id
            else []
        )
    done = [row.kind for row in rows if not row.voided]
    left = {kind.code: max(0, kind.records_per_day - done.count(kind.code)) for kind in kinds}
    return Preview(code, kinds, left)
