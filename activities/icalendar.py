"""Days as an iCalendar file (RFC 5545), so that a phone's own calendar shows them. A pure function; no more of the format than needed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

#: A line is folded after so many octets at most, its end not counted (section 3.1).
LONGEST_LINE = 75


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """Whole days, `first` to `last`, both included. `sequence` counts how often they were changed; `uid` never does.

    `tentative`: not certain yet.
    """

    uid: str
    first: date
    last: date
    summary: str
    description: str
    url: str
    sequence: int
    tentative: bool = False


def icalendar(name: str, days: Iterable[CalendarDays], made_at: datetime) -> bytes:
    """A calendar called `name`, made at a moment; UTF-8, lines ended by CR LF and folded."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Tanpuhui//Observances//ZH",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        *(line for one in days for line in _event(one, made_at)),
        "END:VCALENDAR",
    ]
    return b"".join(folded for line in lines for folded in _folded(line))


def _event(days: CalendarDays, made_at: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(days.uid)}"
    yield f"DTSTAMP:{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    yield f"DTSTART;VALUE=DATE:{days.first:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{days.last + timedelta(days=1):%Y%m%d}"  # the first day that is no part of it
    yield f"SEQUENCE:{days.sequence}"
    yield f"STATUS:{'TENTATIVE' if days.tentative else 'CONFIRMED'}"
    yield f"SUMMARY:{_text(days.summary)}"
    yield f"DESCRIPTION:{_text(days.description)}"
    yield f"URL:{days.url}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _text(text: str) -> str:
    """A value of type TEXT (section 3.3.11)."""
    for sign, escaped in (
        ("\\", "\\\\"),
        (";", "\\;"),
        (",", "\\,"),
        ("\r\n", "\\n"),
        ("\n", "\\n"),
        ("\r", "\\n"),
    ):
        text = text.replace(sign, escaped)
    return text


def _folded(line: str) -> Iterator[bytes]:
    """A line in pieces of whole characters, each after the first beginning with a space."""
    piece = b""
    for character in line:
        octets = character.encode()
        if len(piece) + len(octets) > LONGEST_LINE:
            yield piece + b"\r\n"
            piece = b" "
        piece += octets
    yield piece + b"\r\n"
