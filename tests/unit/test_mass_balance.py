"""The sums of the mass balance: plain, exact, and the same in whatever order things were entered and corrected."""

from collections import defaultdict
from datetime import date
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from hypothesis import given, strategies as st

from activities.mass_balance import AlarmKind, Flows, Key, Line, alarms, lines
from activities.materials import Material

HERE, THERE = UUID(int=1), UUID(int=2)
MONTHS = [date(2026, month, 1) for month in (9, 10, 11)]
GLASS = Material(
    code="glass",
    name_zh="玻璃",
    name_en="Glass",
    low_value=True,
    tolerance_permille=50,
    tolerance_floor_g=2000,
)


def balances(flows: dict[Key, Flows], counts: dict[Key, int] | None = None) -> list[Line]:
    return lines(flows, counts or {}, {"glass": GLASS}, MONTHS[-1])


def key(month: int, site: UUID = HERE) -> Key:
    return site, "glass", MONTHS[month]


def test_a_month_opens_with_what_the_last_one_left_and_none_is_passed_over() -> None:
    found = balances({key(0): Flows(10_000, 500, 4_000), key(2): Flows(0, 0, 6_500)})
    assert [(line.opening, line.book, line.closing) for line in found] == [
        (0, 6_500, 6_500),
        (6_500, 6_500, 6_500),
        (6_500, 0, 0),
    ]
    assert alarms(found, []) == []


def test_what_was_counted_holds_and_differs_within_the_tolerance_or_not() -> None:
    flows = {key(0): Flows(100_000)}
    assert [line.tolerance for line in balances(flows)][:1] == [5_000]
    for counted, alarmed in ((95_000, False), (94_999, True), (105_000, False), (105_001, True), (0, True)):
        found = balances(flows, {key(0): counted})
        assert found[1].opening == counted
        assert [(one.kind, one.difference) for one in alarms(found, [])] == (
            [(AlarmKind.COUNTED, counted - 100_000)] if alarmed else []
        )


def test_more_handed_on_than_there_was_is_told_in_its_month_and_not_again() -> None:
    """Little is what scales explain; little again adds up."""
    found = balances({key(0): Flows(1_000, 0, 3_000), key(1): Flows(0, 0, 1), key(2): Flows(9_000)})
    assert [(one.kind, one.month, one.difference) for one in alarms(found, [])] == [
        (AlarmKind.NEGATIVE, MONTHS[1], -1)
    ]
    assert [line.closing for line in found] == [-2_000, -2_001, 6_999]
    lasting = balances({key(0): Flows(0, 0, 9_000), key(2): Flows(1_000, 0, 0)})
    assert [one.month for one in alarms(lasting, [])] == [MONTHS[0]]


def test_an_answer_holds_for_the_very_difference() -> None:
    (alarm,) = alarms(balances({key(1): Flows(handed_on=9_000)}), [])
    answer: Any = SimpleNamespace(reason="有人没扫码")
    answered = {(alarm.key, alarm.difference): answer}
    (again,) = alarms(balances({key(1): Flows(handed_on=9_000)}), [], answered)
    assert again.answer is answer
    (changed,) = alarms(balances({key(1): Flows(handed_on=9_001)}), [], answered)
    assert changed.answer is None


#: What is entered: at which site, in which month, in which column, how much, and whether it is taken back later.
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([HERE, THERE]),
        st.integers(0, 2),
        st.sampled_from(["brought_in", "received", "handed_on"]),
        st.integers(1, 30_000_000),
        st.booleans(),
    ),
    max_size=30,
)


def added_up(entries: list[tuple[UUID, int, str, int, bool]]) -> dict[Key, Flows]:
    found: dict[Key, Flows] = defaultdict(Flows)
    for site, month, column, grams, taken_back in entries:
        if not taken_back:
            flow = found[key(month, site)]
            setattr(flow, column, getattr(flow, column) + grams)
    return dict(found)


@given(ENTRIES, st.randoms())
def test_in_whatever_order_the_balance_is_the_plain_sum(entries: list[Any], chance: Any) -> None:
    found = balances(added_up(entries))
    shuffled = list(entries)
    chance.shuffle(shuffled)
    assert balances(added_up(shuffled)) == found
    sign = {"brought_in": 1, "received": 1, "handed_on": -1}
    for site in (HERE, THERE):
        of_site = [line for line in found if line.site_id == site]
        plain = sum(
            sign[column] * grams for at, _m, column, grams, back in entries if at == site and not back
        )
        assert (of_site[-1].closing if of_site else 0) == plain
        for line in of_site:
            assert line.closing == line.opening + line.brought_in + line.received - line.handed_on


@given(ENTRIES, st.dictionaries(st.integers(0, 2), st.integers(0, 30_000_000), max_size=3))
def test_from_a_count_on_the_balance_is_the_count_and_the_plain_sum_since(
    entries: list[Any], counted: dict[int, int]
) -> None:
    flows = {which: flow for which, flow in added_up(entries).items() if which[0] == HERE}
    found = balances(flows, {key(month): grams for month, grams in counted.items()})
    last = max(counted, default=-1)
    since = sum(
        flow.brought_in + flow.received - flow.handed_on
        for (_site, _material, month), flow in flows.items()
        if last < 0 or month > MONTHS[last]
    )
    assert (found[-1].closing if found else 0) == counted.get(last, 0) + since
