"""Targets: what may be counted, how parts sum to the whole, what is expected by a day, and when somebody is reminded."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tanpuhui.bureau.participation import NUMBERS
from tanpuhui.bureau.target_forms import amount_milli
from tanpuhui.bureau.target_measures import MEASURES, UNIT_NAMES, Counted, Measure, is_formal
from tanpuhui.bureau.target_progress import expected_milli
from tanpuhui.bureau.target_sheets import CODE, read_table
from tanpuhui.bureau.target_tasks import Step, step_of
from tanpuhui.bureau.targets import Target, Way, divided, in_order
from tanpuhui.ids import new_id
from tests.world import DISTRICT, STREET

OTHER_STREET = "310106011"

#: Of all numbers of the statistics, those that are outcomes. `actions` alone counts what is self-declared, too.
OUTCOMES = {"co2e_mg", "verified_actions", "participants", "quantity_milli"}


def a_target(amount: int = 100, **more: object) -> Target:
    said = {
        "year": 2026, "code": "1", "measure": Counted.CO2E, "unit": "kg", "amount_milli": amount * 1000,
        "division_code": DISTRICT, "answerer_id": new_id(), "basis": "方案", "due_on": date(2026, 12, 31), "created_by": new_id(),
    }  # fmt: skip
    return Target(**{**said, **more})


# --- what may be counted ------------------------------------------------------------------------------------


def is_of_activity(code: str, measure: Measure) -> bool:
    """Whether a measure counts what people do with a screen."""
    words = (code.replace("_", " "), measure.name, measure.unit, measure.number.replace("_", " "))
    outcome = measure.number in OUTCOMES or (measure.number == "" and code in {"venues", "free"})
    return not outcome or any(is_formal(word) for word in words)


def test_every_measure_is_an_outcome_and_none_is_of_activity_in_the_app() -> None:
    assert set(MEASURES) == set(Counted)
    assert [code for code, measure in MEASURES.items() if is_of_activity(code.value, measure)] == []
    assert {*NUMBERS, "participants"} >= OUTCOMES
    assert {one.unit for one in MEASURES.values()} <= {"", "kg", *UNIT_NAMES}


@pytest.mark.parametrize(
    ("code", "name", "number"),
    [
        ("log_ins", "登录次数", "log_ins"),
        ("installs", "小程序安装量", "installs"),
        ("clicks", "点击", "clicks"),
        ("shares", "转发", "shares"),
        ("minutes", "在线时长", "minutes_online"),
        ("actions", "全部记录", "actions"),
        ("points", "积分", "points"),
        ("co2e", "活跃用户", "co2e_mg"),
    ],
)
def test_the_guard_refuses_such_a_measure(code: str, name: str, number: str) -> None:
    """The negative control."""
    assert is_of_activity(code, replace(MEASURES[Counted.CO2E], name=name, number=number))


@pytest.mark.parametrize(
    "words",
    ["APP 安装数", "ＡＰＰ下载量", "小程序打开次数", "日活跃用户", "转发量", "分享次数", "人均在线时长", "点击率", "注册用户数",
     "扫码次数", "平台访问量", "log-ins", "clicks per day", "shares", "app installs", "time online", "page views"],
)  # fmt: skip
def test_words_of_activity_are_known(words: str) -> None:
    assert is_formal(words)


@pytest.mark.parametrize(
    "words",
    ["安装光伏板", "充电桩安装数", "更换的节能灯", "开设的回收点", "培训的管理人员", "节水器具", "分享会上认领的旧衣",
     "bicycles shared out", "solar panels installed", "trees", "kg of glass"],
)  # fmt: skip
def test_words_of_outcomes_are_not(words: str) -> None:
    assert not is_formal(words)


# --- sums ---------------------------------------------------------------------------------------------------


def test_each_way_of_dividing_is_summed_by_itself() -> None:
    """The whole amount to departments and the whole amount to 街镇 is no doubling; what is missing or too much is said."""
    whole = a_target(100)
    streets = [a_target(60, division_code=STREET), a_target(30, division_code=OTHER_STREET)]
    departments = [
        a_target(80, department="区绿化市容局", kind="recycle_glass"),
        a_target(40, department="区商务委", kind="clothing_reuse"),
    ]
    by = {one.way: one for one in divided(whole, [*streets, *departments])}
    assert (by[Way.DIVISIONS].sum_milli, by[Way.DIVISIONS].gap_milli) == (90_000, 10_000)
    assert (by[Way.DEPARTMENTS].sum_milli, by[Way.DEPARTMENTS].gap_milli) == (120_000, -20_000)
    assert by[Way.DIVISIONS].overlapping == by[Way.DEPARTMENTS].overlapping == ()
    equal = divided(whole, [a_target(100, division_code=STREET)])
    assert [one.gap_milli for one in equal] == [0]
    assert divided(whole, []) == []


def test_what_cannot_be_summed_says_so() -> None:
    people = a_target(100, measure=Counted.PARTICIPANTS, unit="person")
    part = a_target(100, measure=Counted.PARTICIPANTS, unit="person", division_code=STREET)
    assert divided(people, [part])[0].gap_milli is None
    venues = a_target(10, measure=Counted.VENUES, unit="venue")
    here = a_target(4, measure=Counted.VENUES, unit="venue", division_code=STREET)
    glass = a_target(4, measure=Counted.VENUES, unit="venue", department="区绿化市容局", kind="recycle_glass")
    assert [one.gap_milli for one in divided(venues, [here, glass])] == [None, 6_000]
    others = divided(a_target(100), [part, a_target(70, division_code=STREET)])[0]
    assert (others.sum_milli, others.gap_milli, others.others) == (70_000, 30_000, (part,))
    alone = divided(a_target(100), [part])[0]
    assert (alone.gap_milli, alone.others) == (None, (part,))
    weights = a_target(100, measure=Counted.QUANTITY, kind="recycle_glass")
    boxes = a_target(100, measure=Counted.QUANTITY, kind="parcel_box_return", unit="box", department="邮政")
    assert divided(weights, [boxes])[0].others == (boxes,)


def test_parts_that_count_the_same_records_are_told() -> None:
    both = [a_target(50, department="区商务委"), a_target(50, department="区教育局")]
    apart = [a_target(50, department="区机管局", kind="own_cup"), a_target(50, department="区房管局", kind="clean_plate")]  # fmt: skip
    assert divided(a_target(100), both)[0].overlapping == tuple(both)
    assert divided(a_target(100), apart)[0].overlapping == ()
    by_hand = [
        a_target(5, measure=Counted.FREE, subject="灯", unit="盏", department=name) for name in ("甲", "乙")
    ]
    assert divided(a_target(10, measure=Counted.FREE, subject="灯", unit="盏"), by_hand)[0].overlapping == ()


def test_targets_stand_behind_their_parents_in_the_order_in_which_people_count() -> None:
    root, other = a_target(code="1", id=new_id()), a_target(code="2", id=new_id())
    parts = [a_target(code=code, id=new_id(), parent_id=root.id) for code in ("1.10", "1.2", "1.1")]
    deep = a_target(code="1.2.1", id=new_id(), parent_id=parts[1].id)
    lost = a_target(code="0.3", id=new_id(), parent_id=new_id())
    found = [one.code for one in in_order([other, deep, *parts, root, lost])]
    assert found == ["0.3", "1", "1.1", "1.2", "1.2.1", "1.10", "2"]


# --- days and numbers ---------------------------------------------------------------------------------------


def test_what_is_expected_is_even_over_the_days_until_the_deadline() -> None:
    end, half = date(2026, 12, 31), date(2026, 6, 30)
    assert expected_milli(365_000, 2026, end, date(2026, 1, 1)) == 1_000
    assert expected_milli(365_000, 2026, end, date(2026, 1, 31)) == 31_000
    assert expected_milli(365_000, 2026, end, date(2025, 12, 31)) == 0
    assert (
        expected_milli(365_000, 2026, end, end)
        == expected_milli(365_000, 2026, end, end + timedelta(1))
        == 365_000
    )
    assert expected_milli(181_000, 2026, half, date(2026, 1, 1)) == 1_000
    assert expected_milli(366_000, 2028, date(2028, 12, 31), date(2028, 2, 29)) == 60_000
    assert expected_milli(1_000, 2026, end, date(2026, 1, 1)) == 2  # cut


def test_a_reminder_is_the_last_step_that_has_come() -> None:
    due, before = date(2026, 6, 30), timedelta(days=1)
    steps = [step_of(due, due - days * before) for days in (31, 30, 8, 7, 0, -1, -400)]
    assert steps == [None, Step.MONTH, Step.MONTH, Step.WEEK, Step.WEEK, Step.OVERDUE, Step.OVERDUE]


@pytest.mark.parametrize(
    ("text", "milli"),
    [("1200", 1_200_000), ("1,200.5", 1_200_500), (" 12 345 ", 12_345_000), ("１２．５", 12_500), ("0.001", 1), ("5.", 5_000)],
)  # fmt: skip
def test_amounts_are_read_as_they_are_typed_or_pasted(text: str, milli: int) -> None:
    assert amount_milli(text) == milli


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "0.0001", "1e9", "abc", "1.2.3", "=1+1", "99999999999999999", "NaN", "1" * 40]
)
def test_absurd_amounts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"。$"):
        amount_milli(text)
    with pytest.raises(ValueError, match="整数"):
        amount_milli("1.5", whole=True)
    assert amount_milli("0", zero=True) == 0


def test_codes_and_files_that_are_none() -> None:
    assert all(CODE.fullmatch(code) for code in ("1", "1.2", "A-3.12"))
    assert not any(CODE.fullmatch(code) for code in ("", "1.", ".1", "1 2", "=1", "一", "1..2"))
    for name, content in (
        ("a.xlsx", b"PK\x03\x04nonsense"),
        ("a.xlsx", b""),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.csv", b"a,b\n1,2\n"),
    ):
        table = read_table(name, content)
        assert (bool(table.problems), table.lines) == (True, []), name
