"""Seals of the ledger: what is kept of them, and how a transfer is written down in one.

A transfer is sealed with a tag in place of each account and reference, and hashed (`rewards.verify_ledger`, which everybody may run).
The hashes of a day are a Merkle tree; the day's root names the root before it. What leads from a tag back is a key that is kept with
the transfers and published nowhere. Who seals: `rewards.sealing`.
"""

from datetime import date, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from rewards.verify_ledger import NO_ROOT, tag_of
from tanpuhui.schema import Guard

#: Hashes in a tile: a proof reads one tile every four levels of the tree.
WIDTH = 16
LEVELS = 4

#: Accounts that are nobody's: their names stand in the seals as they are.
_PUBLIC = ("programme:", "pool:", "reserved:")


class SealedTransfer(SQLModel, table=True):
    """A transfer in its place for ever. `leaf`: its hash as it was when it was sealed; `resident_id`: whose points it moves."""

    __tablename__ = "sealed_transfer"
    __table_args__ = (sa.Index("ix_sealed_transfer_resident_id_position", "resident_id", "position"),)

    position: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    reference: str = Field(max_length=96, unique=True)
    leaf: str = Field(max_length=64)
    resident_id: UUID | None = None


class LedgerSeal(SQLModel, table=True):
    """A day that is sealed: `count` transfers from position `first` on, and what `rewards.verify_ledger` makes of them."""

    __tablename__ = "ledger_seal"
    __table_args__ = (sa.CheckConstraint("count >= 0", name="count"),)

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    day: date = Field(unique=True)
    first: int = Field(sa_type=sa.BigInteger)
    count: int = Field(sa_type=sa.BigInteger)
    merkle: str = Field(max_length=64)
    salt: str = Field(max_length=32)
    content: str = Field(max_length=64)
    previous: str = Field(max_length=64)
    root: str = Field(max_length=64)
    sealed_at: datetime


class LedgerTile(SQLModel, table=True):
    """Up to `WIDTH` hashes beside each other in the tree of a seal, `4 * level` levels above the transfers."""

    __tablename__ = "ledger_tile"

    seal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    level: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    ordinal: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    hashes: str = Field(sa_type=sa.Text)


class LedgerSealing(SQLModel, table=True):
    """The one row of whoever seals, there from the first: the key of the tags, how far the transfers are sealed, the day that is open."""

    __tablename__ = "ledger_sealing"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: str = Field(max_length=64)
    tx: int = Field(sa_type=sa.BigInteger)
    day: date | None = None


_FOLLOWS = (
    "NEW.number <> 1 + (SELECT count(*) FROM ledger_seal) OR NEW.first <> 1 + (SELECT COALESCE(SUM(count), 0) FROM ledger_seal) "
    f"OR NEW.previous <> COALESCE((SELECT root FROM ledger_seal WHERE number = NEW.number - 1), '{NO_ROOT}')"
)
GUARDS = (
    Guard("ledger_seal", "follows", "INSERT", _FOLLOWS, "a seal follows the one before it"),
    Guard("ledger_sealing", "key_stays", "UPDATE", "NEW.key <> OLD.key", "the key of the tags never changes"),
    Guard("ledger_sealing", "stays", "DELETE", "OLD.id = 1", "the key of the tags is never deleted"),
)

#: Tables whose rows are added and never changed.
APPEND_ONLY = ("sealed_transfer", "ledger_seal", "ledger_tile")


# --- how a transfer is written down ------------------------------------------------------------------------


class Tags:
    """What stands for accounts and references: hashes that only who has the salt can tell what of."""

    def __init__(self, key: str) -> None:
        """`key`: that of the ledger, in hexadecimal."""
        self._keyed = blake2b(key=bytes.fromhex(key), digest_size=16)

    def salt(self, what: str, text: str) -> str:
        """The salt of an `account`, a `reference` or a `seal`."""
        keyed = self._keyed.copy()
        keyed.update(f"{what} {text}".encode())
        return keyed.hexdigest()

    def account(self, path: str) -> str:
        """An account as it stands in the seals; what waits for a resident has the tag of the resident."""
        if path.startswith(_PUBLIC):
            return path
        kind, _, owner = path.partition(":")
        return f"{kind}:{tag_of(self.salt('account', owner), owner)}"

    def reference(self, reference: str) -> str:
        """A reference as it stands in the seals."""
        return f"{reference.partition(':')[0]}:{tag_of(self.salt('reference', reference), reference)}"

    def transfer(self, position: int, row: Any) -> tuple[str | int, ...]:
        """A transfer as it is sealed at `position`: the `FIELDS` of `rewards.verify_ledger`."""
        return (
            position,
            row.recorded_at.isoformat(timespec="microseconds")[:26] + "Z",
            self.reference(row.reference),
            self.account(row.source),
            self.account(row.destination),
            row.amount,
            row.balance_after,
            row.expires_on.isoformat() if row.expires_on else "",
        )


def tags(connection: Connection) -> Tags:
    """The tags of this ledger."""
    return Tags(connection.execute(sa.text("SELECT key FROM ledger_sealing")).scalar_one())


def owner_of(source: str, destination: str) -> str | None:
    """Whose points a transfer moves, if anybody's: the 32 digits of their id."""
    for path in (destination, source):
        if not path.startswith(_PUBLIC):
            owner = path.partition(":")[2].replace("-", "")
            if len(owner) == 32:
                return owner
    return None
