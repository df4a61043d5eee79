"""The iCalendar file, read back by the rules of RFC 5545."""

import re
from datetime import UTC, date, datetime, timedelta

from hypothesis import given, strategies as st

from activities.icalendar import LONGEST_LINE, CalendarDays, icalendar

MADE = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)


def day(**changes: object) -> CalendarDays:
    values = {
        "uid": "low_carbon_day-2027@example.org",
        "first": date(2027, 6, 16),
        "last": date(2027, 6, 16),
        "summary": "全国低碳日",
        "description": "来源：年度通知",
        "url": "https://example.org/calendar",
        "sequence": 0,
    }
    return CalendarDays(**{**values, **changes})  # type: ignore[arg-type]


def read(body: bytes) -> list[tuple[str, str]]:
    """The properties, unfolded and unescaped; whatever is not a content line fails."""
    assert body.endswith(b"\r\n")
    lines = body[:-2].split(b"\r\n")
    assert all(len(line) <= LONGEST_LINE for line in lines)
    assert all(b"\n" not in line and b"\r" not in line for line in lines)
    unfolded: list[bytes] = []
    for line in lines:
        line.decode()  # a fold never parts a character
        if line.startswith(b" "):
            unfolded[-1] += line[1:]
        else:
            unfolded.append(line)
    found = [re.fullmatch(r"([A-Z-]+)((?:;[A-Z]+=[A-Z]+)*):(.*)", line.decode(), re.S) for line in unfolded]
    assert all(found)
    return [(one[1] + one[2], re.sub(r"\\(.)", _unescaped, one[3])) for one in found if one]


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] in "nN" else match[1]


def test_a_calendar_holds_what_the_standard_asks_for() -> None:
    week = day(uid="week", first=date(2027, 12, 25), last=date(2027, 12, 31), sequence=3, tentative=True)
    found = read(icalendar("日历", [day(), week], MADE))
    assert found[0] == ("BEGIN", "VCALENDAR")
    assert found[-1] == ("END", "VCALENDAR")
    assert [name for name, _ in found].count("VERSION") == [name for name, _ in found].count("PRODID") == 1
    assert ("VERSION", "2.0") in found
    starts = [index for index, line in enumerate(found) if line == ("BEGIN", "VEVENT")]
    events = [dict(found[start + 1 : found.index(("END", "VEVENT"), start)]) for start in starts]
    assert [event["UID"] for event in events] == ["low_carbon_day-2027@example.org", "week"]
    assert all(re.fullmatch(r"\d{8}T\d{6}Z", event["DTSTAMP"]) for event in events)
    assert (events[0]["DTSTART;VALUE=DATE"], events[0]["DTEND;VALUE=DATE"]) == ("20270616", "20270617")
    assert (events[1]["DTSTART;VALUE=DATE"], events[1]["DTEND;VALUE=DATE"]) == ("20271225", "20280101")
    assert events[1]["SEQUENCE"] == "3"
    assert [event["STATUS"] for event in events] == ["CONFIRMED", "TENTATIVE"]
    assert events[0]["SUMMARY"] == "全国低碳日"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=200))
def test_any_words_come_back_as_they_were(words: str) -> None:
    found = dict(read(icalendar("日历", [day(summary=words, description=words)], MADE)))
    assert found["SUMMARY"] == found["DESCRIPTION"] == words


def test_a_moment_is_written_in_utc() -> None:
    local = MADE.astimezone(tz=None) + timedelta(0)
    assert dict(read(icalendar("日历", [day()], local)))["DTSTAMP"] == "20261128T040000Z"
