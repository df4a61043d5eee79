"""Load: residents' phones as threads, each with a connection that it keeps, retrying with the same key."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from tanpuhui import ids
from tanpuhui.people import CONSENT_VERSION, Consent, Resident, ResidentJoined
from tanpuhui.sessions import ApiToken, fingerprint
from tests.world import COMMUNITY, World

#: Kinds that one resident may have recorded side by side, with a quantity where the kind asks for one.
KINDS: dict[str, str | None] = {
    "own_cup": None,
    "no_cutlery": None,
    "clean_plate": None,
    "clothing_reuse": "1.5",
    "parcel_box_return": "1",
    "recycle_paper": "2",
    "recycle_plastic_pet": "0.5",
    "recycle_plastic_hdpe": "0.5",
    "recycle_glass": "1",
    "recycle_metal_aluminium": "0.2",
    "recycle_metal_steel": "0.8",
    "bike_trip": "3",
}


@dataclass(frozen=True)
class Member:
    """A resident with an API token."""

    id: UUID
    token: str


@dataclass(frozen=True)
class Scan:
    """A scan to be posted, under one key however often."""

    member: Member
    key: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came back, and when (monotonic seconds)."""

    scan: Scan
    status: int
    headers: dict[str, str]
    body: bytes
    at: float


def crowd(world: World, count: int) -> list[Member]:
    """`count` residents who joined, each with a token, in one transaction."""
    members = [Member(ids.new_id(), f"token-of-a-test-{ids.new_id().hex}") for _ in range(count)]
    with world.house.db.session() as session:
        residents = [
            Resident(id=one.id, phone_index=one.id.hex, phone_cipher=b"-", division_code=COMMUNITY)
            for one in members
        ]
        session.add_all(residents)
        session.flush()
        for one in members:
            session.add(
                Consent(resident_id=one.id, document="privacy", version=CONSENT_VERSION, text_sha256="0" * 64)
            )
            session.add(ApiToken(token_hash=fingerprint(one.token), kind="resident", subject_id=one.id))
        joined = [
            ResidentJoined(
                subject_id=one.id,
                resident_id=one.id,
                recorded_at=one.joined_at,
                division_code=COMMUNITY,
                consent_version=CONSENT_VERSION,
            )
            for one in residents
        ]
        world.house.publish(session.connection(), joined)
    return members


def scan(
    member: Member, code: str, kind: str = "own_cup", *, key: str = "", quantity: str | None = None
) -> Scan:
    """A scan of `code` by `member`."""
    body: dict[str, Any] = {"code": code, "kind": kind}
    if quantity or KINDS[kind]:
        body["quantity"] = quantity or KINDS[kind]
    return Scan(member, key or f"{member.id.hex}.{kind}", json.dumps(body).encode())


def scans_of(members: Sequence[Member], code: str) -> Iterator[Scan]:
    """Every member's scans: one of each kind."""
    return (scan(member, code, kind) for kind in KINDS for member in members)


def post(connection: http.client.HTTPConnection, scan: Scan) -> Answer:
    """Post once. Raises OSError, HTTPException when the answer is lost."""
    headers = {
        "Authorization": f"Bearer {scan.member.token}",
        "Idempotency-Key": scan.key,
        "Content-Type": "application/json",
    }
    connection.request("POST", "/api/v1/scans", scan.body, headers)
    response = connection.getresponse()
    body = response.read()
    return Answer(
        scan, response.status, {k.lower(): v for k, v in response.getheaders()}, body, time.monotonic()
    )


def at_once(port: int, scans: Sequence[Scan]) -> list[Answer]:
    """Post all of `scans` at the same moment, each from a phone that keeps its connection meanwhile."""
    start, done = threading.Barrier(len(scans)), threading.Barrier(len(scans))
    answers: list[Answer | BaseException | None] = [None] * len(scans)

    def phone(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=45)
        start.wait()
        try:
            answers[index] = post(connection, scans[index])
        except (OSError, http.client.HTTPException) as error:
            answers[index] = error
        done.wait()
        connection.close()

    _together(phone, len(scans))
    failed = [answer for answer in answers if not isinstance(answer, Answer)]
    assert not failed, f"{len(failed)} of {len(scans)} were not answered: {failed[:3]}"
    return [answer for answer in answers if isinstance(answer, Answer)]


def _together(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class Load:
    """Posts scans from `threads` phones between `with` and `finish`; a scan is repeated until it is credited."""

    port: int
    scans: Iterable[Scan]
    threads: int = 8
    pause: float = 0.004
    acknowledged: list[Answer] = field(default_factory=list)
    others: list[Answer] = field(default_factory=list)
    cut: int = 0

    def __enter__(self) -> Self:
        self._queue, self._lock, self._stopping = iter(self.scans), threading.Lock(), threading.Event()
        self._give_up = float("inf")
        self._phones = [threading.Thread(target=self._phone, daemon=True) for _ in range(self.threads)]
        for phone in self._phones:
            phone.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.finish(0)

    def finish(self, patience: float = 20.0) -> None:
        """Begin no new scan, bring those under way to their answer (for `patience` seconds), and stop."""
        self._give_up = time.monotonic() + patience
        self._stopping.set()
        for phone in self._phones:
            phone.join()

    def wait_for(self, count: int, timeout: float = 30.0) -> None:
        """Wait until `count` more scans are acknowledged, and a moment more, to be out of step with them."""
        target, deadline = len(self.acknowledged) + count, time.monotonic() + timeout
        while len(self.acknowledged) < target:
            assert time.monotonic() < deadline, f"no {count} more acknowledged; others: {self.others[-3:]}"
            assert any(phone.is_alive() for phone in self._phones), "the scans ran out"
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.06))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The phones finish what they are sending and keep still, with their connections open."""
        with self._lock:
            yield

    def surprises(self) -> list[Answer]:
        """Answers that are neither a credit nor an honest "not now": 503, problem+json, with Retry-After."""
        return [answer for answer in self.others if not _not_now(answer)]

    def _phone(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            while not self._stopping.is_set() and (scan := self._next()):
                while not self._post(connection, scan):
                    if time.monotonic() > self._give_up:
                        return
                    time.sleep(0.05)
                time.sleep(self.pause)
        finally:
            connection.close()

    def _next(self) -> Scan | None:
        with self._lock:
            return next(self._queue, None)

    def _post(self, connection: http.client.HTTPConnection, scan: Scan) -> bool:
        """Whether the scan needs no further attempt."""
        try:
            answer = post(connection, scan)
        except (OSError, http.client.HTTPException):
            connection.close()
            with self._lock:
                self.cut += 1
            return False
        (self.acknowledged if answer.status == 201 else self.others).append(answer)
        return answer.status != 503


def _not_now(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.headers.get("content-type", "").startswith("application/problem+json")
        and answer.headers.get("retry-after", "").isdigit()
    )
