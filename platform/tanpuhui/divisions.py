"""Divisions: the district, its 街镇 and their communities, by their statistical codes.

A code contains its parents': 6 digits for the district, 9 for the street, 12 for the community.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.db import enum_type
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, store


class DivisionLevel(StrEnum):
    """How large a division is."""

    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"


_DIGITS = {DivisionLevel.DISTRICT: 6, DivisionLevel.STREET: 9, DivisionLevel.COMMUNITY: 12}


class Division(SQLModel, table=True):
    """A district, 街镇 or community."""

    __tablename__ = "division"
    __table_args__ = (
        sa.CheckConstraint(
            "(level = 'district' AND length(code) = 6 AND parent_code IS NULL)"
            " OR (level = 'street' AND length(code) = 9 AND parent_code IS NOT NULL"
            " AND parent_code = substr(code, 1, 6))"
            " OR (level = 'community' AND length(code) = 12 AND parent_code IS NOT NULL"
            " AND parent_code = substr(code, 1, 9))",
            name="nesting",
        ),
        sa.CheckConstraint("name <> ''", name="name"),
    )

    code: str = Field(primary_key=True, max_length=12)
    name: str = Field(max_length=64)
    level: DivisionLevel = Field(sa_type=enum_type(DivisionLevel))
    parent_code: str | None = Field(default=None, foreign_key="division.code", index=True, max_length=12)


def district_of(code: str) -> str:
    """The district in which division `code` lies."""
    return code[:6]


def street_of(code: str) -> str:
    """The 街镇 in which community `code` lies; a shorter code comes back as it is."""
    return code[:9]


def children(session: Session, code: str) -> list[Division]:
    """The divisions right below `code`, by code."""
    return list(
        session.exec(select(Division).where(Division.parent_code == code).order_by(col(Division.code)))
    )


def community_exists(session: Session, code: str) -> bool:
    """Whether `code` is a community."""
    found = session.get(Division, code)
    return found is not None and found.level is DivisionLevel.COMMUNITY


# --- reference file -----------------------------------------------------------------------------------------


def _code(cell: str) -> str:
    if not re.fullmatch(r"[0-9]{6}|[0-9]{9}|[0-9]{12}", cells.text(cell)):
        raise ValueError(f"{cell!r} is not a statistical code of 6, 9 or 12 digits")
    return cell


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    rows = reading.rows(DIVISIONS_FILE)
    known = {row.get("code") for row in rows}
    known.update(connection.scalars(sa.select(col(Division.code))))
    for row in rows:
        code, level, parent = row.get("code"), row.get("level"), row.get("parent_code")
        if code and level and len(code) != _DIGITS[level]:
            yield row.bad("code", f"the code of a {level} has {_DIGITS[level]} digits")
        if level is DivisionLevel.DISTRICT and parent:
            yield row.bad("parent_code", "a district has no parent here")
        elif level and level is not DivisionLevel.DISTRICT and "parent_code" in row.values:
            if not parent:
                yield row.bad("parent_code", "must not be empty")
            elif parent not in known:
                yield row.bad("parent_code", f"unknown parent {parent}")
            elif code and code[:-3] != parent:
                yield row.bad("parent_code", f"{code} does not lie in {parent}")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    rows = sorted(reading.rows(DIVISIONS_FILE), key=lambda row: (len(row.values["code"]), row.values["code"]))
    return store(connection, "division", [row.values for row in rows])


DIVISIONS_FILE = ReferenceFile(
    what="division",
    pattern="divisions_*.csv",
    columns=(
        Column("code", _code),
        Column("name", cells.name),
        Column("level", cells.choice(DivisionLevel)),
        Column("parent_code", cells.optional(_code)),
    ),
    key=("code",),
    home=Path(__file__).parent / "data",
    check=_check,
    write=_write,
)
