"""What a cell of a reference file may hold: functions from its text to a value, raising ValueError with a
reason for the person who wrote the file. Cells come stripped of surrounding blanks."""

import re
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Any, TypeVar

Convert = Callable[[str], Any]
Choice = TypeVar("Choice", bound=Enum)

_NUMBER = re.compile(r"(-?)([0-9]{1,30})(?:\.([0-9]{1,30}))?")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def text(cell: str) -> str:
    """Anything but nothing, at most 1000 characters."""
    if not cell:
        raise ValueError("must not be empty")
    if len(cell) > 1000:
        raise ValueError("longer than 1000 characters")
    if _CONTROL.search(cell):
        raise ValueError("holds a control character")
    return cell


def note(cell: str) -> str:
    """Text that may be empty."""
    return text(cell) if cell else ""


def name(cell: str) -> str:
    """Text of at most 64 characters."""
    if len(cell) > 64:
        raise ValueError("longer than 64 characters")
    return text(cell)


def code(cell: str) -> str:
    """A key: lower-case letters, digits and underscores, at most 32, a letter first."""
    if not _CODE.fullmatch(text(cell)):
        raise ValueError(f"{cell!r} is not a code (lower-case letters, digits, underscores; a letter first)")
    return cell


def optional(convert: Convert) -> Convert:
    """None for an empty cell, else what `convert` says."""
    return lambda cell: convert(cell) if cell else None


def scaled(decimals: int, *, largest: int, negative: bool = False) -> Convert:
    """A decimal number as an integer scaled by 10**decimals, exactly; `largest` is in the file's unit."""

    def convert(cell: str) -> int:
        match = _NUMBER.fullmatch(text(cell))
        if match is None:
            raise ValueError(f"{cell!r} is not a number")
        sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
        if len(fraction) > decimals:
            raise ValueError(f"{cell} has more than {decimals} decimals")
        value = int(whole + fraction.ljust(decimals, "0"))
        if value > largest * 10**decimals:
            raise ValueError(f"{cell} is larger than {largest}")
        if sign and value and not negative:
            raise ValueError(f"{cell} is negative")
        return -value if sign else value

    return convert


def whole(smallest: int, largest: int) -> Convert:
    """A whole number between `smallest` and `largest`."""
    number = scaled(0, largest=largest)

    def convert(cell: str) -> int:
        value: int = number(cell)
        if value < smallest:
            raise ValueError(f"{cell} is smaller than {smallest}")
        return value

    return convert


def yes_no(cell: str) -> bool:
    """`yes` or `no`."""
    if cell not in {"yes", "no"}:
        raise ValueError(f"{cell!r} is neither yes nor no")
    return cell == "yes"


def choice(enum: type[Choice]) -> Convert:
    """One of the values of `enum`."""

    def convert(cell: str) -> Choice:
        try:
            return enum(cell)
        except ValueError:
            listed = ", ".join(str(member.value) for member in enum)
            raise ValueError(f"{cell!r} is not one of: {listed}") from None

    return convert


def day(cell: str) -> date:
    """A calendar day written YYYY-MM-DD."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", cell):
        raise ValueError(f"{cell!r} is not a day written YYYY-MM-DD")
    try:
        return date.fromisoformat(cell)
    except ValueError:
        raise ValueError(f"{cell} is no day of the calendar") from None
