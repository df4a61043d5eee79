"""The sum: rounding, parsing, and what must hold for any factor."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from activities.quantify.calculation import Reduction, decimal_text, parse_quantity, quantify
from activities.quantify.factors import FactorVersion, overlap, select_valid
from rewards.rules import PointsRule, points_for, rule_on
from tanpuhui import cells
from tanpuhui.errors import QuantityNotANumber, QuantityTooPrecise


def factor(low: int, mid: int | None = None, high: int | None = None, **more: object) -> FactorVersion:
    mid = low if mid is None else mid
    high = mid if high is None else high
    return FactorVersion(id="kind@1", co2e_low_ng=low, co2e_mid_ng=mid, co2e_high_ng=high, **more)


BIKE = factor(48_700_000_000, nox_ng=48_748_700, pm25_ng=2_464_220, voc_ng=66_037_200, co_ng=570_277_000)
WALK = factor(16_400_000, 16_400_000, 20_000_000)


# --- sums -------------------------------------------------------------------------------------------------


def test_one_step_of_0_0164_grams_is_16_milligrams() -> None:
    assert quantify(parse_quantity(1), WALK).co2e_mg == 16
    assert quantify(parse_quantity(500), WALK).co2e_mg == 8_200
    assert quantify(parse_quantity(500), WALK).co2e_high_mg == 10_000


def test_bike_ride_carries_its_pollutants_and_not_those_without_a_factor() -> None:
    assert quantify(parse_quantity("2.5"), BIKE) == Reduction(
        co2e_mg=121_750,
        co2e_mid_mg=121_750,
        co2e_high_mg=121_750,
        nox_ug=121_871,  # 121.87175 mg
        pm25_ug=6_160,  # 6.16055 mg
        voc_ug=165_093,
        so2_ug=None,
        co_ug=1_425_692,  # 1425.6925 mg
        factor_version="kind@1",
    )


def test_rounding_is_down_once_also_below_zero() -> None:
    assert quantify(999, factor(1_000_000)).co2e_mg == 0
    assert quantify(1000, factor(1_000_000)).co2e_mg == 1
    assert quantify(1999, factor(1_000_000)).co2e_mg == 1
    assert quantify(1, factor(0, nox_ng=-1)).nox_ug == -1
    assert quantify(1, factor(0, nox_ng=0)).nox_ug == 0


def test_the_largest_quantity_and_factor_stay_within_64_bits() -> None:
    largest = quantify(999_999_999_999, factor(9 * 10**15, nox_ng=9 * 10**12))
    assert largest.co2e_mg < 2**63
    assert largest.nox_ug is not None
    assert largest.nox_ug < 2**63


# --- properties ---------------------------------------------------------------------------------------------

quantities = st.integers(0, 999_999_999_999)
amounts = st.integers(0, 9 * 10**15)
pollutants = st.none() | st.integers(-9 * 10**12, 9 * 10**12)
factors = st.builds(
    lambda three, nox: factor(*sorted(three), nox_ng=nox),
    st.lists(amounts, min_size=3, max_size=3),
    pollutants,
)


@given(st.lists(quantities, min_size=1, max_size=9), factors)
def test_splitting_never_gains_and_loses_less_than_a_step_for_each_cut(
    parts: list[int], version: FactorVersion
) -> None:
    whole, split = quantify(sum(parts), version), [quantify(part, version) for part in parts]
    lost = whole.co2e_mg - sum(part.co2e_mg for part in split)
    assert 0 <= lost < len(parts)
    if whole.nox_ug is not None:
        assert 0 <= whole.nox_ug - sum(part.nox_ug or 0 for part in split) < len(parts)


@given(quantities, quantities, factors)
def test_more_is_never_less(one: int, other: int, version: FactorVersion) -> None:
    less, more = (quantify(amount, version) for amount in sorted((one, other)))
    for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg"):
        assert getattr(less, name) <= getattr(more, name)
    if version.nox_ng is not None and version.nox_ng >= 0:
        assert (less.nox_ug or 0) <= (more.nox_ug or 0)


@given(quantities, factors)
def test_low_is_not_above_mid_nor_mid_above_high(quantity: int, version: FactorVersion) -> None:
    result = quantify(quantity, version)
    assert 0 <= result.co2e_mg <= result.co2e_mid_mg <= result.co2e_high_mg
    assert (result.nox_ug is None) == (version.nox_ng is None)


@given(quantities, amounts)
def test_the_sum_is_the_exact_product_rounded_down(quantity: int, per_unit: int) -> None:
    exact = Decimal(quantity).scaleb(-3) * Decimal(per_unit).scaleb(-9) * 1000
    result = quantify(quantity, factor(per_unit)).co2e_mg
    assert result <= exact < result + 1


# --- validity -----------------------------------------------------------------------------------------------

days = st.dates(date(2020, 1, 1), date(2030, 12, 31))


@given(st.lists(days, min_size=1, max_size=6, unique=True), st.randoms(), days)
def test_the_order_of_publication_does_not_matter(starts: list[date], random: object, day: date) -> None:
    starts = sorted(starts)
    ends = [date.fromordinal(start.toordinal() - 1) for start in starts[1:]]
    versions = [
        FactorVersion(id=f"kind@{number}", valid_from=start, valid_to=end)
        for number, (start, end) in enumerate(zip(starts, [*ends, None], strict=True))
    ]
    shuffled = list(versions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = select_valid(shuffled, day)
    assert found is select_valid(versions, day)
    assert (found is None) == (day < starts[0])
    if found is not None:
        assert found.valid_from == max(start for start in starts if start <= day)


def test_validity_is_inclusive_at_both_ends_and_open_when_empty() -> None:
    first, last, after = date(2026, 1, 1), date(2026, 6, 30), date(2026, 7, 1)
    version = FactorVersion(valid_from=first, valid_to=last)
    assert select_valid([version], first) is version
    assert select_valid([version], last) is version
    assert select_valid([version], after) is None
    assert not overlap((first, last), (after, None))
    assert overlap((first, last), (last, None))
    assert overlap((None, None), (first, first))


# --- quantities in and out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "milli"),
    [
        ("2.5", 2500),
        (" 2.500000 ", 2500),
        ("+3", 3000),
        ("-1.5", -1500),
        ("２．５", 2500),
        ("000000000000002", 2000),
        ("0", 0),
        (Decimal("0.001"), 1),
        (Decimal("1E+3"), 1_000_000),
        (Decimal("-0"), 0),
        (Decimal("0E+999999"), 0),
        (7, 7000),
        (999_999_999, 999_999_999_000),
        ("999999999.999", 999_999_999_999),
    ],
)
def test_a_quantity_is_read_exactly(given_: str | int | Decimal, milli: int) -> None:
    assert parse_quantity(given_) == milli


NO_NUMBERS = (
    *(
        "",
        "abc",
        "1e400",
        "1e3",
        "NaN",
        "Infinity",
        "1,5",
        "1_000",
        "1.",
        "0x10",
        "--1",
        "1 2",
        "x" * 1_000_000,
    ),
    *(True, False, 2.5, None, b"1"),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
)
TOO_PRECISE = (
    *("0.0001", "1234567890", "9" * 5000, "0." + "0" * 100 + "1", "999999999.9999"),
    *(1_000_000_000, -(10**5000)),
    *(Decimal("1e400"), Decimal("1E-400"), Decimal("1E+9"), Decimal("0.0005"), Decimal("1." + "0" * 1000)),
)


@pytest.mark.parametrize("index", range(len(NO_NUMBERS)))
def test_what_is_no_number_is_refused(index: int) -> None:
    with pytest.raises(QuantityNotANumber):
        parse_quantity(NO_NUMBERS[index])  # type: ignore[arg-type]


@pytest.mark.parametrize("index", range(len(TOO_PRECISE)))
def test_what_cannot_be_recorded_exactly_is_refused(index: int) -> None:
    with pytest.raises(QuantityTooPrecise):
        parse_quantity(TOO_PRECISE[index])


@given(quantities)
def test_a_quantity_survives_being_written_and_read(quantity: int) -> None:
    assert parse_quantity(decimal_text(quantity, 3)) == quantity
    assert parse_quantity(Decimal(quantity).scaleb(-3)) == quantity


def test_decimals_are_written_without_superfluous_zeros() -> None:
    assert [decimal_text(value, 3) for value in (2500, 1, 0, -1, 1000, -1050)] == [
        "2.5",
        "0.001",
        "0",
        "-0.001",
        "1",
        "-1.05",
    ]


# --- points -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("micro", "percent", "quantity_milli", "points"),
    [
        (10_000_000, 50, 1_000, 5),
        (10_000_000, 100, 1_000, 10),
        (1_000, 50, 7_250_000, 3),  # 7,250 steps: 3.625
        (1_000, 50, 1_999_000, 0),
        (3_000_000, 50, 1_000, 1),
        (5_000_000, 70, 12_340, 43),  # 43.19
        (0, 100, 5_000, 0),
    ],
)
def test_points_are_whole_and_rounded_down_once(
    micro: int, percent: int, quantity_milli: int, points: int
) -> None:
    assert points_for(PointsRule(micro_points_per_unit=micro), percent, quantity_milli) == points


def test_the_rule_of_a_day_is_the_newest_that_has_begun() -> None:
    old = PointsRule(id="walk@1", version=1)
    new = PointsRule(id="walk@2", version=2, valid_from=date(2026, 3, 1))
    assert rule_on([new, old], date(2026, 2, 28)) is old
    assert rule_on([new, old], date(2026, 3, 1)) is new
    assert rule_on([], date(2026, 3, 1)) is None


# --- cells of reference files -------------------------------------------------------------------------------


@given(st.integers(0, 10**15))
def test_scaled_cells_are_exact(value: int) -> None:
    assert cells.scaled(9, largest=10**6)(decimal_text(value, 9)) == value


@pytest.mark.parametrize("cell", ["", "x", "1e3", "NaN", "1.0000000001", "1000001", "-1", "１", "1,5", "."])
def test_cells_that_are_no_such_number_are_refused(cell: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        cells.scaled(9, largest=10**6)(cell)
