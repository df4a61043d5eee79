"""Idempotency: the same key with the same request gets the same answer, however often it is sent.

The answer is stored in the transaction of the deed itself, so that there is never the one without the other.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from tanpuhui.db import Statement, insert_statement
from tanpuhui.errors import InvalidIdempotencyKey, MissingIdempotencyKey

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


class StoredAnswer(SQLModel, table=True):
    """What was answered to a key of one owner, and the fingerprint of the request it answered."""

    __tablename__ = "stored_answer"

    owner_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=128)
    request_hash: str = Field(max_length=64)
    answer: str = Field(sa_type=sa.Text)
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON text of an answer, and whether it was given before."""

    body: str
    replayed: bool


def check_key(key: str | None) -> str:
    """`key` if it can serve. Raises MissingIdempotencyKey, InvalidIdempotencyKey."""
    if not key:
        raise MissingIdempotencyKey
    if not _KEY.fullmatch(key):
        raise InvalidIdempotencyKey
    return key


def request_hash(request: Mapping[str, Any]) -> str:
    """A fingerprint of what is asked, whatever the order or spelling it came in."""
    text = json.dumps(request, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_FIND = Statement(
    "SELECT owner_id, key, request_hash, answer FROM stored_answer "
    "WHERE owner_id {in:owners:uuid} AND key {in:keys:text}",
    owner_id="uuid",
    key="text",
    request_hash="text",
    answer="text",
)

_STORE = insert_statement(
    SQLModel.metadata.tables["stored_answer"],
    {"owner_id": "uuid", "key": "text", "request_hash": "text", "answer": "text", "stored_at": "time"},
)


def find(connection: Connection, pairs: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], sa.Row[Any]]:
    """The stored answers among (owner, key) `pairs`. Call after taking the owners' turn."""
    rows = _FIND.run(connection, owners=[owner for owner, _ in pairs], keys=[key for _, key in pairs])
    return {(row.owner_id, row.key): row for row in rows}


def store(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep answers: rows of owner_id, key, request_hash, answer, stored_at."""
    _STORE.run(connection, rows)


def purge(connection: Connection, before: datetime) -> None:
    """Forget answers stored before `before`."""
    table = SQLModel.metadata.tables["stored_answer"]
    connection.execute(sa.delete(table).where(table.c.stored_at < before))
