"""Units: read, multiplied and converted exactly; what does not cancel to a mass is refused, and so is a bare ton."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import assume, given, strategies as st

from activities.commands import quantify_command
from activities.quantify.by_hand import sum_by_hand
from activities.quantify.units import (
    GRAMS,
    Measure,
    difference,
    grams,
    in_largest_mass,
    insist_on_one_ton,
    product,
    read_measure,
    written,
)

# --- reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number", "up", "down"),
    [
        ("93 g", 93, "g", ""),
        ("93g", 93, "g", ""),
        ("4.83 kg/kg", "4.83", "kg", "kg"),
        ("0.42 t / MWh", "0.42", "t", "MWh"),
        ("7250", 7250, "", ""),
        ("7,250 steps", 7250, "step", ""),
        ("1,234,567.5 g", "1234567.5", "g", ""),
        ("+2 kg", 2, "kg", ""),
        ("-2 kg", -2, "kg", ""),
        ("50%", "0.5", "", ""),
        ("50 % ", "0.5", "", ""),
        ("12 g/(person·km)", 12, "g", "person km"),
        ("12 g/person/km", 12, "g", "person km"),
        ("3 person*km", 3, "person km", ""),
        ("2 1/meal", 2, "", "meal"),
        ("1400 g/tree-year", 1400, "g", "tree-year"),
        ("5 meals", 5, "meal", ""),
        ("1 metric ton", 1, "t", ""),
        ("1 tonne", 1, "t", ""),
        ("93 克", 93, "g", ""),
        ("９３ 克", 93, "g", ""),
        ("4.83 千克/千克", "4.83", "kg", "kg"),
        ("2 公斤", 2, "kg", ""),
        ("1.5 吨/兆瓦时", "1.5", "t", "MWh"),
        ("0.997 千克/千瓦时", "0.997", "kg", "kWh"),
        ("3 度", 3, "kWh", ""),
        ("22 公里", 22, "km", ""),
        ("7250 步", 7250, "step", ""),
        ("3 棵·年", 3, "tree-year", ""),
        ("1400 克/棵·年", 1400, "g", "tree-year"),
        ("2 微克", 2, "µg", ""),
        ("2 μg", 2, "µg", ""),
        ("3 盆", 3, "盆", ""),
    ],
)
def test_a_measure_is_read(text: str, number: Any, up: str, down: str) -> None:
    read = read_measure(text)
    assert read.number == Fraction(number)
    assert (list(read.up), list(read.down)) == (up.split(), down.split())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin with a number"),
        ("many g", "does not begin with a number"),
        ("NaN g", "does not begin with a number"),
        ("Infinity", "does not begin with a number"),
        (".5 g", "does not begin with a number"),
        ("--1 g", "does not begin with a number"),
        ("1e3 g", "is to be written like"),
        ("1,5 g", "is to be written like"),
        ("38,5526 kWh", "is to be written like"),
        ("1.2.3 g", "is to be written like"),
        ("1_000 g", "'_000 g' is no unit"),
        ("5. g", "is to be written like"),
        ("9" * 31, "is not a number"),
        ("9" * 200, "longer than 120"),
        ("1 g/", "a unit is missing"),
        ("1 /g", "nothing stands before the stroke"),
        ("1 g//m", "a unit is missing"),
        ("1 g·", "a unit is missing"),
        ("1 big plate", "'big plate' is no unit"),
        ("1 g/KM", "'KM' is no unit: is km meant"),
        ("1 mWh", "'mWh' is no unit: is MWh meant"),
        ("1 Meal", "'Meal' is no unit: is meal meant"),
        ("1 ton", "ton is ambiguous: write t"),
        ("1 tons", "ton is ambiguous"),
        ("1 Ton", "ton is ambiguous"),
        ("0.42 ton/MWh", "or short ton"),
        ("3.55 t/ton", "ton is ambiguous"),
    ],
)
def test_what_is_no_measure_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_measure(text)


def test_a_ton_must_say_which_and_words_that_hold_it_may_stay() -> None:
    for text in ("ton", "tons", "TON", "kg per ton", "ton-km"):
        with pytest.raises(ValueError, match="1,000 kg"):
            insist_on_one_ton(text)
    for text in (
        "t",
        "tonne",
        "short ton",
        "short  tons",
        "long ton",
        "metric ton",
        "button",
        "carton",
        "kg",
    ):
        assert insist_on_one_ton(text) == text


# --- conversion ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 t", "1000 kg"),
        ("1 kg", "1000 g"),
        ("1 short ton", "907.18474 kg"),
        ("1 long ton", "1016.0469088 kg"),
        ("1 lb", "453.59237 g"),
        ("1 斤", "500 g"),
        ("1 两", "50 g"),
        ("1 公斤", "2 斤"),
        ("1 kWh", "3600 kJ"),
        ("1 GJ", "1000 MJ"),
        ("1 TWh", "1000000 MWh"),
        ("1 MW·h", "1 MWh"),
        ("1 kWh/h", "1 kW"),
        ("1 J/s", "1 W"),
        ("1 day", "24 h"),
        ("1 year", "8760 h"),
        ("1 h", "60 min"),
        ("1 km", "1000 m"),
        ("100%", "1"),
        ("1 kg/kg", "1"),
    ],
)
def test_units_convert_exactly(one: str, other: str) -> None:
    left, right = read_measure(one), read_measure(other)
    assert (left.size, left.dimension) == (right.size, right.dimension)


def test_a_unit_of_its_own_converts_into_nothing() -> None:
    kinds = ["meal", "step", "tree-year", "g", "km", "kWh", "kW", "h"]
    dimensions = [tuple(sorted(read_measure(f"1 {kind}").dimension.items())) for kind in kinds]
    assert len(set(dimensions)) == len(kinds)


# --- sums by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "factors", "mg"),
    [
        ("93 g", ["4.83 kg/kg"], 449_190),
        ("1 MW", ["1100 h", "0.42 t/MWh"], 462 * 10**9),
        ("38552.6 kWh", ["0.997 kg/kWh"], 38_436_942_200),
        ("7250 step", ["0.02 g/step"], 145_000),
        ("3 meal", ["144"], 432_000),
        ("7250", ["0.02"], 145_000),
        ("2 kg", ["3.6 kg/kg", "50%"], 3_600_000),
        ("1000 J", ["0.42 t/MWh"], 116),
        ("1 day", ["1 kg/year"], 2_739),
    ],
)
def test_a_sum_by_hand(quantity: str, factors: list[str], mg: int) -> None:
    assert sum_by_hand(quantity, factors).co2e_mg == mg


def test_a_difference_by_hand_may_be_an_added_emission_rounded_away_from_zero() -> None:
    assert sum_by_hand("1 day", [], "5.98 kg/day", "1350 g/day").co2e_mg == 4_630_000
    assert sum_by_hand("1 km", [], "1 g/km", "1.0000001 g/km").co2e_mg == -1
    assert sum_by_hand("2 kg", ["50%"], "3", "1").co2e_mg == 2_000


@pytest.mark.parametrize(
    ("quantity", "factors", "rest", "reason"),
    [
        ("10 km", ["0.42 t/MWh"], {}, "km and MWh do not cancel: the product is in t·km/MWh"),
        ("7250", ["0.02 g/step"], {}, "step does not cancel"),
        ("93", ["4.83 kg/kg"], {}, "the product has no unit and is no mass"),
        ("2 g", ["1 g"], {}, "the product is in g·g"),
        ("1 meal", ["2", "3"], {}, "meal does not cancel"),
        ("0 g", ["1 kg/kg"], {}, "must be larger than 0"),
        ("-1 g", ["1 kg/kg"], {}, "must be larger than 0"),
        ("1 g", ["-1 kg/kg"], {}, "'-1 kg/kg' is negative"),
        ("1 g", [], {}, "a factor is needed"),
        ("1 g", ["1 kg/ton"], {}, "factor '1 kg/ton': ton is ambiguous"),
        ("x", ["1"], {}, "quantity 'x': does not begin with a number"),
        ("1 km", [], {"baseline": "1 g/km"}, "baseline and project are given together"),
        ("1 km", [], {"project": "1 g/km"}, "baseline and project are given together"),
        ("1 km", [], {"baseline": "1 g/km", "project": "1 g/day"}, "g/km and g/day do not convert"),
        ("1 km", [], {"baseline": "1 g/km", "project": "x"}, "project 'x'"),
    ],
)
def test_a_sum_that_cannot_be_is_refused(
    quantity: str, factors: list[str], rest: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        sum_by_hand(quantity, factors, **rest)


# --- properties ---------------------------------------------------------------------------------------------

numbers = st.integers(1, 10**12).flatmap(
    lambda scaled: st.integers(0, 9).map(lambda places: Fraction(scaled, 10**places))
)
words = st.sampled_from(
    ["g", "kg", "t", "short ton", "km", "kWh", "MW", "h", "year", "meal", "step", "tree-year"]
)
units = st.lists(words, max_size=3).map(tuple)
measures = st.builds(Measure, numbers, units, units)


@given(measures)
def test_a_measure_is_read_as_it_is_written(measure: Measure) -> None:
    assert read_measure(str(measure)) == measure


@given(st.lists(measures, max_size=4), st.randoms())
def test_the_order_of_the_factors_does_not_matter(terms: list[Measure], random: Any) -> None:
    shuffled = list(terms)
    random.shuffle(shuffled)
    one, other = product(terms), product(shuffled)
    assert (one.size, one.dimension) == (other.size, other.dimension)


@given(st.lists(measures, max_size=4))
def test_what_cancels_changes_neither_size_nor_dimension(terms: list[Measure]) -> None:
    size = Fraction(1)
    for term in terms:
        size *= term.size
    assert product(terms).size == size


@given(numbers, numbers, words, words)
def test_a_factor_for_another_unit_is_refused(one: Fraction, other: Fraction, per: str, unit: str) -> None:
    rate, amount = Measure(one, ("g",), (per,)), Measure(other, (unit,))
    same = amount.dimension == Measure(one, (per,)).dimension
    if same:
        assert grams(product([rate, amount])) == rate.size * amount.size
    else:
        with pytest.raises(ValueError, match="no mass of CO2e"):
            grams(product([rate, amount]))


@given(measures, measures)
def test_a_difference_needs_one_dimension(one: Measure, other: Measure) -> None:
    if one.dimension == other.dimension:
        assert difference(one, other).size == one.size - other.size
    else:
        with pytest.raises(ValueError, match="do not convert"):
            difference(one, other)


@given(numbers, numbers, numbers)
def test_more_by_hand_is_never_less(rate: Fraction, one: Fraction, other: Fraction) -> None:
    less, more = sorted((one, other))
    sums = [
        sum_by_hand(f"{amount_text(amount)} km", [f"{amount_text(rate)} g/km"]) for amount in (less, more)
    ]
    assert sums[0].grams <= sums[1].grams
    assert sums[0].co2e_mg <= sums[0].grams * 1000 < sums[0].co2e_mg + 1


def amount_text(number: Fraction) -> str:
    return written(number).replace(",", "")


@given(st.integers(-(10**15), 10**15), st.integers(0, 9))
def test_a_decimal_is_written_to_the_last_digit(scaled: int, places: int) -> None:
    assert Decimal(amount_text(Fraction(scaled, 10**places))) == Decimal(scaled).scaleb(-places)


def test_a_number_that_never_ends_says_so() -> None:
    assert written(Fraction(2, 3)) == "0.666666666666…"
    assert written(Fraction(-10_000, 3)) == "-3,333.333333333333…"


@given(st.integers(-(10**18), 10**18).map(lambda ng: Fraction(ng, 10**9)))
def test_a_mass_in_a_handy_unit_is_the_same_mass_or_a_little_less(value: Fraction) -> None:
    exact, unit = in_largest_mass(value)
    assert Fraction(exact.replace(",", "")) * GRAMS[unit] == value
    cut, unit = in_largest_mass(value, digits=3)
    shown = Fraction(cut.replace(",", "")) * GRAMS[unit]
    assert value - abs(value) / 99 <= shown <= value


def test_masses_are_read_with_three_digits() -> None:
    shown = {
        "449.19": "449 g",
        "38436942.2": "38.4 t",
        "4630": "4.63 kg",
        "0.0164": "16.4 mg",
        "0": "0 g",
        "0.0000000001": "0.1 ng",
        "-1999": "-2 kg",
    }
    for value, text in shown.items():
        assert " ".join(in_largest_mass(Fraction(value), digits=3)) == text


# --- the command --------------------------------------------------------------------------------------------


def run(*words: str) -> Result:
    """`tanpuhui quantify` without any house: a sum by hand needs none."""
    return CliRunner().invoke(quantify_command, words, obj=None)


def test_the_command_prints_the_sum_and_what_would_be_recorded() -> None:
    result = run("--factor", "4.83 kg/kg", "93 g")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "公式 formula: 93 g × 4.83 kg/kg = 449.19 g ≈ 449 g",
        "记录 recorded: 449190 毫克 mg，向下取整 rounded down",
    ]


def test_a_word_for_the_kind_may_stand_before_the_quantity() -> None:
    assert (
        run("clean_plate", "93 g", "--factor", "4.83 kg/kg").output
        == run("93 g", "--factor", "4.83 kg/kg").output
    )


def test_the_command_says_what_an_unusual_unit_is_worth() -> None:
    shown = run("--factor", "1 kg/year", "--factor", "1 t/short ton", "1 day")
    assert "换算 conversion: 1 year = 365 day" in shown.stdout
    assert "换算 conversion: 1 short ton = 907.18474 kg" in shown.stdout


def test_the_command_prints_json_with_exact_numbers_as_text() -> None:
    told = json.loads(run("--factor", "0.997 kg/kWh", "38552.6 kWh", "--json").stdout)
    assert told == {
        "formula": "38,552.6 kWh × 0.997 kg/kWh = 38,436.9422 kg",
        "result": "38436.9422",
        "unit": "kg",
        "co2e_g": "38436942.2",
        "co2e_mg": 38_436_942_200,
        "glance": "38.4 t",
        "remarks": [],
    }


@pytest.mark.parametrize(
    ("words_", "told"),
    [
        (["--factor", "0.42 t/MWh", "10 km"], "km and MWh do not cancel"),
        (["--factor", "0.42 ton/MWh", "10 MWh"], "write t (1,000 kg) or short ton (907.18474 kg)"),
        (["--factor", "", "1 g"], "factor '': does not begin with a number"),
        (["--factor", "1 g", ""], "quantity ''"),
        (["--baseline", "1 g/km", "1 km"], "baseline and project are given together"),
        (["--baseline", "", "--project", "1 g", "1"], "baseline ''"),
        (["--factor", "1"], "Missing argument 'QUANTITY'"),
        (["a", "b", "c", "--factor", "1"], "extra argument 'c'; quote a quantity"),
        (["--factor", "1 g/km", "1 km", "--on", "2026-01-01"], "--on chooses the factor of a KIND"),
        ([], "Missing argument 'KIND'"),
        (["walk"], "Missing argument 'QUANTITY'"),
    ],
)
def test_the_command_refuses_in_a_sentence(words_: list[str], told: str) -> None:
    result = run(*words_)
    assert result.exit_code in {1, 2}
    assert isinstance(result.exception, SystemExit)
    assert told in result.stderr


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_at_all_makes_the_command_stumble(factor: str, quantity: str) -> None:
    assume(not factor.startswith("-"))
    assume(not quantity.startswith("-"))
    result = run(f"--factor={factor}", "kind", quantity)
    assert result.exit_code in {0, 1}
    assert result.exception is None or isinstance(result.exception, SystemExit)
