"""Scans: the one transaction in which a code becomes a credited action.

Everything that can be told without the database is told first. Then `Desk` records the scan together with
those that other threads bring at the same moment (see `tanpuhui.batching`):

    prove the tokens -> take the residents' turns -> same answer for a known key -> limits -> the sum -> action, event,
    same-transaction subscribers (crediting), stored answer -> commit

A scan of a kind that is credited by yearly checks of planted trees writes its check beside its action. One that has to wait
writes its review; one that proves a standing record's deed better takes that one back, in a savepoint of its own.
Self-reports (`activities.self_reports`) and helpers' records come the same way.
Each scan writes rows of its own resident only, besides appending to the event log. A scan for an account whose deeds count
together with others' (`tanpuhui.families`) is found out by the row of its turn, and recorded in a transaction of its own that
takes the turns of all of them; any other scan runs no statement more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from activities import attempts, photos, place_hints
from activities.actions import INSERT_ACTIONS
from activities.bands import Reading
from activities.catalogue import ActionKind
from activities.codes import INSERT_USES, READ_USES, check_token, fixed_quantity, read_token, serial_of
from activities.drafts import Draft, ScanRequest, beside, check_code, draft_of, fit, read_days
from activities.known import Knowledge, Known, KnownCode
from activities.limits import left_of_day
from activities.quantify.calculation import parse_quantity
from activities.records import counted_days
from activities.replacing import replace
from activities.reviews import INSERT_REVIEWS, review_row
from activities.trees import INSERT_CHECKS
from tanpuhui import clock, families, idempotency
from tanpuhui.batching import Batcher
from tanpuhui.errors import (
    CannotReplace,
    CodeInvalid,
    EvidenceTooWeak,
    KeyReused,
    KindDisabled,
    NotAllowed,
    NotAuthenticated,
    PhotoSeenBefore,
    Refused,
    SlipUsed,
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
    planting: UUID | None = None,
    opened_at: datetime | None = None,
    position: Reading | None = None,
    for_family: bool = False,
) -> ScanRequest:
    """A scan as asked for by a page or the API, checked as far as no database is needed.

    `planting`: which one to check, where several of the resident's are due. `opened_at`: when the code was opened, as far
    as the caller can vouch for it. `position` is no part of the fingerprint: nothing is to be
    left of it. `for_family`: for the family that the resident of a token shares. Raises the refusals of a bad key, token or quantity.
    """
    key = idempotency.check_key(key)
    token = read_token(house.settings, code)
    milli = None if quantity is None else parse_quantity(quantity)
    asked: dict[str, Any] = {
        "code": token.number,
        "kind": kind,
        "quantity": milli,
        "occurred_at": occurred_at,
    }
    if planting is not None:  # only then: the fingerprint of any other scan stays what it always was
        asked["planting"] = planting
    if token.more:
        asked["more"] = token.more
    asked_for = idempotency.request_hash(asked)
    return ScanRequest(
        who,
        key,
        token,
        kind,
        milli,
        occurred_at,
        asked_for,
        planting,
        opened_at,
        position=position,
        for_family=for_family,
    )


class Desk:
    """Records scans. One per process; `house.part(Desk)`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._knowledge = house.part(Knowledge)
        self._batcher: Batcher[ScanRequest, Answer | None] = Batcher(
            self._record_batch,
            turn=lambda request: request.who,
            gather=GATHER,
        )

    def record(self, request: ScanRequest) -> Answer:
        """Record a scan: the answer of `POST /api/v1/scans`, the same one again for the same key.

        Raises NotAuthenticated, NotAllowed, KeyReused, a Refused with its reason, or Unavailable; then nothing
        was recorded.
        """
        answer = None if request.for_family else self._batcher.submit(request)
        return answer or self._record_sharing(request)

    def _record_sharing(self, request: ScanRequest) -> Answer:
        """Record for an account whose deeds count together with others'."""
        (answer,) = families.again(
            lambda: self._house.db.run(lambda connection: self._transact(connection, [request], sharing=True))
        )
        if isinstance(answer, BaseException):
            raise answer
        assert answer is not None
        return answer

    def _record_batch(self, requests: list[ScanRequest]) -> Sequence[Answer | BaseException | None]:
        try:
            return self._house.db.run(lambda connection: self._transact(connection, requests))
        except Unavailable as error:
            return [error] * len(requests)  # asking for each in turn would only wait for the same outage
        except Exception as error:
            if len(requests) == 1:
                return [error]
            return [self._record_batch([request])[0] for request in requests]

    def _transact(
        self, connection: Connection, requests: list[ScanRequest], *, sharing: bool = False
    ) -> Sequence[Answer | BaseException | None]:
        """Record what is asked; None for who counts together with others, unless `sharing`: then it is one, and they do."""
        now = clock.now()
        answers: dict[int, Answer | BaseException | None] = {}
        asking = _identify(connection, requests, answers)
        beside: Sequence[families.Together] = ()
        if sharing and asking:
            residents, beside = families.take_turns(connection, asking[0])
        else:
            residents = take_turn(connection, list(asking.values()))
            for index in [index for index, who in asking.items() if _shares(residents.get(who))]:
                answers[index] = None
                del asking[index]
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
        answers |= self._insert(connection, known, fresh, beside)
        refused = [
            (asking[index], requests[index], answer)
            for index, answer in answers.items()
            if isinstance(answer, Refused) and index in asking
        ]
        if refused:
            attempts.keep(connection, known, refused, now)
        return [answers[index] for index in range(len(requests))]

    def _insert(
        self,
        connection: Connection,
        known: Known,
        drafts: list[tuple[int, "Draft"]],
        beside: Sequence[families.Together],
    ) -> dict[int, Answer | BaseException]:
        if not drafts:
            return {}
        days = read_days(connection, [draft for _, draft in drafts], beside)
        theirs = [(account, days.get(account.id, [])) for account in beside]
        used = _used(connection, [draft for _, draft in drafts])
        answers: dict[int, Answer | BaseException] = {}
        fitting: list[tuple[int, Draft, int]] = []
        for index, draft in drafts:
            try:
                if (draft.fields["code_id"], draft.serial) in used:
                    raise SlipUsed
                left = fit(draft, known, days.get(draft.fields["resident_id"], []), theirs)
                if not draft.replaces:
                    _remember_photo(connection, draft)
                fitting.append((index, draft, left))
            except TanpuhuiError as refusal:
                answers[index] = refusal
        if plain := [one for one in fitting if not one[1].replaces]:
            answers |= self._write(connection, known, plain)
        for one in fitting:
            if one[1].replaces:
                try:
                    with connection.begin_nested():  # nothing is replaced if a weaker one has to stay
                        _remember_photo(connection, one[1])
                        answers |= self._write(connection, known, [one])
                except (CannotReplace, PhotoSeenBefore) as refusal:
                    answers[one[0]] = refusal
        return answers

    def _write(
        self, connection: Connection, known: Known, fitting: list[tuple[int, "Draft", int]]
    ) -> dict[int, Answer | BaseException]:
        answers: dict[int, Answer | BaseException] = {}
        INSERT_ACTIONS.run(connection, [draft.row() for _, draft, _ in fitting])
        if checks := [draft.check_row() for _, draft, _ in fitting if draft.tree_check]:
            INSERT_CHECKS.run(connection, checks)
        if uses := [draft.use_row() for _, draft, _ in fitting if draft.serial]:
            INSERT_USES.run(connection, uses)
        place_hints.keep(connection, known, [draft for _, draft, _ in fitting])
        if taken := [
            (draft.fields["id"], photo) for _, draft, _ in fitting if (photo := draft.request.photo)
        ]:
            photos.keep(connection, taken, fitting[0][1].now)
        days_to_review = self._house.settings.review_days
        if waiting := [
            review_row(draft.fields["id"], draft.waits, draft.now, days_to_review)
            for _, draft, _ in fitting
            if draft.waits
        ]:
            INSERT_REVIEWS.run(connection, waiting)
        additions = self._house.publish(connection, [draft.event() for _, draft, _ in fitting])
        stored = []
        for (index, draft, left), addition in zip(fitting, additions, strict=True):
            told = {"action": draft.view(), **addition, "left_today": left}
            if draft.replaces:  # after the new credit, so that points spent meanwhile do not stand in its way
                told |= self._replace(connection, draft, addition)
            body = json.dumps(told, ensure_ascii=False)
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

    def _replace(self, connection: Connection, draft: "Draft", addition: Mapping[str, Any]) -> dict[str, Any]:
        """Take the weaker records back: what that changes in the answer."""
        told = dict(addition)
        for change in replace(self._house, connection, draft.replaces, draft.fields["id"], draft.now):
            told |= {name: told.get(name, {}) | value for name, value in change.items()}
        return {**told, "replaced": [str(action_id) for action_id in draft.replaces]}


def _shares(row: Any) -> bool:
    """Whether the deeds of the account of this row of `take_turn` count together with others'."""
    return row is not None and row.shares


def _remember_photo(connection: Connection, draft: Draft) -> None:
    """Know the photo of a record that is to be written, if it has one, from now on. Raises PhotoSeenBefore."""
    if draft.request.photo:
        photos.remember(connection, draft.request.photo, clock.day_of(draft.now))


def _used(connection: Connection, drafts: Sequence[Draft]) -> set[tuple[int, int]]:
    """The slips and receipts among those of `drafts` that were used before."""
    serials = [
        {"code_id": draft.fields["code_id"], "serial": draft.serial} for draft in drafts if draft.serial
    ]
    return {(row.code_id, row.serial) for row in READ_USES.run(connection, serials)} if serials else set()


class _TwiceInABatch(Exception):
    """One resident under two names in one batch: each request is then recorded alone."""


def _identify(
    connection: Connection, requests: Sequence[ScanRequest], answers: dict[int, Answer | BaseException | None]
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
        elif request.for_family:
            asking[index] = families.family_id_of(connection, principal.id)
        else:
            asking[index] = principal.id
    if len(set(asking.values())) < len(asking):
        raise _TwiceInABatch
    return asking


# --- before the scan ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What a scan would record, for the page that asks for confirmation. Nothing is written for it.

    `left` tells by kind how many records the day still allows; `fixed` is the quantity in thousandths, where the code
    says it.
    """

    code: KnownCode
    kinds: tuple[ActionKind, ...]
    left: Mapping[str, int]
    fixed: int | None = None


def preview(
    house: House,
    token: str,
    resident_id: UUID | None = None,
    opened_at: datetime | None = None,
    *,
    shares: bool = False,
) -> Preview:
    """What the code of `token` would record for the resident (anybody, if not logged in).

    `opened_at`: when this browser opened it first. `shares`: what others did counts together with the resident's deeds. Raises the refusals of an unusable code.
    """
    read = read_token(house.settings, token)
    now = clock.now()
    with house.db.reading() as connection:
        known = house.part(Knowledge).at(connection)
        code = known.code(connection, read.number)
        if code is None:
            raise CodeInvalid
        check_code(code, now, now)
        check_token(code.code, read, opened_at or now)
        serial = serial_of(code.code, read)
        if serial and READ_USES.run(connection, [{"code_id": read.number, "serial": serial}]):
            raise SlipUsed
        rank = known.tiers[code.code.evidence].rank
        kinds = tuple(known.kinds[kind] for kind in code.kinds if known.kinds[kind].enabled)
        kinds = tuple(kind for kind in kinds if known.tiers[kind.lowest_evidence].rank <= rank)
        if not kinds:
            raise EvidenceTooWeak if code.kinds else KindDisabled
        today = clock.day_of(now)
        rows, theirs = counted_days(connection, resident_id, [today], shares=shares)
    left = {
        kind.code: left_of_day(kind, [*beside(known, kind, rank, now, rows), *theirs], now) for kind in kinds
    }
    return Preview(code, kinds, left, fixed_quantity(code.code, read))
