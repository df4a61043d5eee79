"""The crowd: residents by the thousand, each good for one scan, and the requests they send.

Residents are written in bulk, as joining writes them: number sealed and indexed, consent bound to its text, an
account, and a token kept as a hash. Sites, codes and campaigns are made through their services.
"""

import hashlib
import json
import random
import secrets
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import SQLModel, select

from rewards.ledger import account_of
from tanpuhui import clock, ids, people, sessions
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.rooms import House
from tests.world import World

KIND = "clean_plate"
SITES = 40

#: Residents for pgbench have ids and token hashes that end in twelve digits, so that a script can name them.
NUMBERED_ID = "01970000-0000-7000-8000-"
NUMBERED_HASH = "b" * 52
FIRST_NUMBER = 100_000_000_000

_CHUNK = 2000


def numbered_id(number: int) -> UUID:
    """The id of numbered resident `number` (from FIRST_NUMBER on)."""
    return UUID(f"{NUMBERED_ID}{number:012d}")


class Crowd:
    """The residents, sites and codes of one house."""

    def __init__(self, house: House) -> None:
        """Make the places: many sites without a campaign, and one site whose campaign is open."""
        self._house = house
        self.world = World(house)
        self._phones = 13_000_000_000
        self._numbers = FIRST_NUMBER
        self._waiting: list[str] = []
        self._called: list[str] = []
        self._chance = random.Random(2026)
        self._communities = self._read_communities()
        places = self._chance.sample(self._communities, SITES)
        self.spread = [self.world.code(KIND, community=community) for community in places]
        site = self.world.site(KIND, community=places[0])
        self.world.campaign(site, hours=12)
        self.campaign = [self.world.code_at(site)]

    def _read_communities(self) -> list[str]:
        query = select(Division.code).where(Division.level == DivisionLevel.COMMUNITY).order_by(Division.code)
        with self._house.db.reading_session() as session:
            return list(session.exec(query))

    # --- people -------------------------------------------------------------------------------------------

    def gather(self, count: int) -> None:
        """`count` more residents with tokens, in an order that is not the order of joining."""
        tokens = [f"tph_{secrets.token_urlsafe(32)}" for _ in range(count)]
        self._join([ids.new_id() for _ in tokens], [sessions.fingerprint(token) for token in tokens])
        self._chance.shuffle(tokens)
        self._waiting.extend(tokens)

    def gather_numbered(self, count: int) -> int:
        """`count` more residents for pgbench; the number of the first."""
        first = self._numbers
        self._numbers += count
        numbers = range(first, self._numbers)
        self._join([numbered_id(number) for number in numbers], [f"{NUMBERED_HASH}{n}" for n in numbers])
        return first

    def _join(self, resident_ids: Sequence[UUID], hashes: Sequence[str]) -> None:
        for at in range(0, len(resident_ids), _CHUNK):
            rows = list(zip(resident_ids[at : at + _CHUNK], hashes[at : at + _CHUNK], strict=True))
            with self._house.db.transaction() as connection:
                for table, values in self._rows(rows).items():
                    connection.execute(sa.insert(SQLModel.metadata.tables[table]), values)

    def _rows(self, joining: Sequence[tuple[UUID, str]]) -> dict[str, list[dict[str, Any]]]:
        """The rows of some residents, by table."""
        settings, now = self._house.settings, clock.now()
        text = hashlib.sha256(people.consent_text().encode()).hexdigest()
        rows: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("resident", "consent", "account", "api_token")
        }
        for resident_id, token_hash in joining:
            self._phones += 1
            phone = f"+86{self._phones}"
            rows["resident"].append(
                {
                    "id": resident_id,
                    "phone_index": people.blind_index(settings, phone),
                    "phone_cipher": people.seal_phone(settings, phone),
                    "division_code": self._communities[self._phones % len(self._communities)],
                    "status": people.ResidentStatus.ACTIVE,
                    "joined_at": now,
                }
            )
            rows["consent"].append(
                {
                    "id": ids.new_id(),
                    "resident_id": resident_id,
                    "document": "privacy",
                    "version": people.CONSENT_VERSION,
                    "text_sha256": text,
                    "given_at": now,
                }
            )
            rows["account"].append({"path": account_of(resident_id), "balance": 0})
            rows["api_token"].append(
                {
                    "id": ids.new_id(),
                    "token_hash": token_hash,
                    "kind": "resident",
                    "subject_id": resident_id,
                    "issued_at": now,
                }
            )
        return rows

    # --- requests -----------------------------------------------------------------------------------------

    def scans(self, count: int, codes: Sequence[str]) -> list[bytes]:
        """Requests of `count` residents who have not scanned yet, each with a key of its own."""
        if len(self._waiting) < count:
            self.gather(count - len(self._waiting))
        self._called, self._waiting = self._waiting[:count], self._waiting[count:]
        return [
            scan_request(token, ids.new_id().hex, codes[at % len(codes)])
            for at, token in enumerate(self._called)
        ]

    def give_back(self, sent: int) -> None:
        """Only the first `sent` requests of the last `scans` were sent: the other residents wait again."""
        self._waiting += self._called[sent:]


def scan_request(token: str, key: str, code: str) -> bytes:
    """The bytes of one scan as a client sends it."""
    body = json.dumps({"code": code})
    head = (
        "POST /api/v1/scans HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return f"{head}{body}".encode()


def hello_request() -> bytes:
    """The bytes of a request that the app answers without a database."""
    return b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
