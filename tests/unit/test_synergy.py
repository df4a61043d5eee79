"""Co-control: pollution equivalents, cross-elasticity and quadrant are exact, and undefined is never 0."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, strategies as st

from tanpuhui.bureau.cocontrol import (
    QUADRANTS,
    READINGS,
    Basis,
    Equivalents,
    Pair,
    Quadrant,
    Reading,
    cross_elasticity,
    equivalents,
    indicator,
    lawful_total,
    pairs,
    quadrant,
    rounded,
)
from tanpuhui.measures import POLLUTANTS

amounts = st.integers(-(10**15), 10**15)
emitted = st.integers(1, 10**15)
ratios = st.fractions(max_denominator=10**12).filter(bool)

#: Who falls (1), rises (-1) or stays (0): the pollutant, CO2e.
SIGNS = [(pollutant, co2e) for pollutant in (1, -1, 0) for co2e in (1, -1, 0)]

TOTALS = {"co2e": 5_000_000, "nox": 4_000, "so2": 1_000}


@dataclass(frozen=True)
class Saved:
    """What one action saved."""

    co2e_mg: int
    nox_ug: int | None = None
    pm25_ug: int | None = None
    voc_ug: int | None = None
    so2_ug: int | None = None
    co_ug: int | None = None


# --- pollution equivalents ---------------------------------------------------------------------------------


def test_five_tonnes_of_nox_are_5263_16_equivalents() -> None:
    """The published example, to its printed digits; what is computed is exact."""
    found = equivalents("nox", 5000)
    assert found == Equivalents(Fraction(100_000, 19), Basis.LAW)
    assert found.value is not None
    assert str(rounded(found.value)) == "5263.16"


@pytest.mark.parametrize(
    ("pollutant", "kilograms"),
    [("so2", "0.95"), ("nox", "0.95"), ("co", "16.7")],
)
def test_the_annex_of_the_law_says_how_many_kilograms_are_one(pollutant: str, kilograms: str) -> None:
    assert equivalents(pollutant, Decimal(kilograms)) == Equivalents(Fraction(1), Basis.LAW)


def test_pm25_is_counted_as_soot_and_says_so() -> None:
    assert equivalents("pm25", Decimal("2.18")) == Equivalents(Fraction(1), Basis.SOOT)


def test_vocs_have_no_value_and_an_unknown_amount_has_none_either() -> None:
    assert equivalents("voc", 1) == Equivalents(None, Basis.NO_VALUE)
    for pollutant in POLLUTANTS:
        assert equivalents(pollutant, None) == Equivalents(None, Basis.NO_FACTOR)


def test_nothing_saved_is_zero_and_not_undefined() -> None:
    assert equivalents("nox", 0) == Equivalents(Fraction(0), Basis.LAW)


def test_the_total_is_of_what_the_law_has_a_value_for_and_names_it() -> None:
    found = {name: equivalents(name, 19) for name in ("nox", "pm25", "voc", "co")}
    assert lawful_total(found) == (Fraction(20) + Fraction(190, 167), ("nox", "co"))
    assert lawful_total({name: equivalents(name, 1) for name in ("pm25", "voc")}) == (None, ())
    assert lawful_total({name: equivalents(name, None) for name in POLLUTANTS}) == (None, ())


@given(st.sampled_from(["nox", "so2", "co", "pm25"]), amounts, amounts)
def test_equivalents_add_up(pollutant: str, one: int, other: int) -> None:
    parts = [equivalents(pollutant, kilograms).value for kilograms in (one, other)]
    assert sum(part or Fraction() for part in parts) == equivalents(pollutant, one + other).value


# --- cross-elasticity --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pollutant", "co2e", "value", "reading"),
    [
        (2, 1, "2", Reading.POLLUTANT_FALLS_MORE),
        (1, 1, "1", Reading.BOTH_FALL_ALIKE),
        (1, 2, "1/2", Reading.CARBON_FALLS_MORE),
        (-2, -1, "2", Reading.BOTH_RISE),
        (-1, -1, "1", Reading.BOTH_RISE),
        (-1, -2, "1/2", Reading.BOTH_RISE),
        (2, -1, "-2", Reading.CARBON_RISES),
        (-2, 1, "-2", Reading.POLLUTANT_RISES),
        (0, 1, "0", Reading.POLLUTANT_STILL_CARBON_FALLS),
        (0, -1, "0", Reading.POLLUTANT_STILL_CARBON_RISES),
        (1, 0, None, Reading.CARBON_STILL_POLLUTANT_FALLS),
        (-1, 0, None, Reading.CARBON_STILL_POLLUTANT_RISES),
        (0, 0, None, Reading.NOTHING_CHANGES),
    ],
)
def test_every_sign_case_has_its_value_and_its_reading(
    pollutant: int, co2e: int, value: str | None, reading: Reading
) -> None:
    found = cross_elasticity(pollutant=pollutant, pollutant_total=100, co2e=co2e, co2e_total=100)
    assert found.value == (None if value is None else Fraction(value))
    assert found.reading is reading


def test_it_is_the_ratio_of_the_shares_of_the_totals() -> None:
    """2 % of the pollutant beside 0.5 % of the carbon is 4."""
    found = cross_elasticity(pollutant=20, pollutant_total=1_000, co2e=5_000, co2e_total=1_000_000)
    assert (found.value, found.reading) == (Fraction(4), Reading.POLLUTANT_FALLS_MORE)


@pytest.mark.parametrize("pollutant_total", [None, 0, -1, 10])
@pytest.mark.parametrize("co2e_total", [None, 0, -1, 10])
def test_without_both_totals_it_is_undefined(pollutant_total: int | None, co2e_total: int | None) -> None:
    found = cross_elasticity(pollutant=1, pollutant_total=pollutant_total, co2e=1, co2e_total=co2e_total)
    if pollutant_total == co2e_total == 10:
        assert found.value == 1
    else:
        assert (found.value, found.reading) == (None, Reading.NO_TOTAL)


@given(amounts, emitted, amounts, emitted)
def test_the_reading_follows_from_the_signs(
    pollutant: int, pollutant_total: int, co2e: int, co2e_total: int
) -> None:
    found = cross_elasticity(
        pollutant=pollutant, pollutant_total=pollutant_total, co2e=co2e, co2e_total=co2e_total
    )
    assert (found.value is None) == (co2e == 0)
    if found.value is None:
        return
    assert (found.value == 0) == (pollutant == 0)  # undefined is never 0, and 0 is never undefined
    assert (found.value > 0) == (pollutant * co2e > 0)
    share, carbon_share = Fraction(pollutant, pollutant_total), Fraction(co2e, co2e_total)
    more = {
        Reading.POLLUTANT_FALLS_MORE: share > carbon_share > 0,
        Reading.BOTH_FALL_ALIKE: share == carbon_share > 0,
        Reading.CARBON_FALLS_MORE: 0 < share < carbon_share,
        Reading.BOTH_RISE: share < 0 and carbon_share < 0,
        Reading.CARBON_RISES: share > 0 > carbon_share,
        Reading.POLLUTANT_RISES: carbon_share > 0 > share,
        Reading.POLLUTANT_STILL_CARBON_FALLS: share == 0 < carbon_share,
        Reading.POLLUTANT_STILL_CARBON_RISES: share == 0 > carbon_share,
    }
    assert [reading for reading, holds in more.items() if holds] == [found.reading]


@given(amounts, emitted, amounts, emitted, st.integers(1, 10**6), st.integers(1, 10**6))
def test_neither_the_length_of_the_period_nor_the_unit_changes_it(
    pollutant: int, pollutant_total: int, co2e: int, co2e_total: int, scale: int, unit: int
) -> None:
    """Both totals of a part of the year, or one substance in another unit throughout: the same number."""
    plain = cross_elasticity(
        pollutant=pollutant, pollutant_total=pollutant_total, co2e=co2e, co2e_total=co2e_total
    )
    assert plain == cross_elasticity(
        pollutant=pollutant,
        pollutant_total=Fraction(pollutant_total, scale),
        co2e=co2e,
        co2e_total=Fraction(co2e_total, scale),
    )
    assert plain == cross_elasticity(
        pollutant=pollutant * unit,
        pollutant_total=pollutant_total * unit,
        co2e=co2e,
        co2e_total=co2e_total,
    )


@given(amounts.filter(bool), emitted, amounts.filter(bool), emitted)
def test_turned_around_it_is_the_inverse(
    pollutant: int, pollutant_total: int, co2e: int, co2e_total: int
) -> None:
    there = cross_elasticity(
        pollutant=pollutant, pollutant_total=pollutant_total, co2e=co2e, co2e_total=co2e_total
    )
    back = cross_elasticity(
        pollutant=co2e, pollutant_total=co2e_total, co2e=pollutant, co2e_total=pollutant_total
    )
    assert there.value is not None
    assert back.value is not None
    assert there.value * back.value == 1


# --- the quadrant ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pollutant", "co2e"), SIGNS)
def test_every_pair_of_signs_has_a_place_of_its_own(pollutant: int, co2e: int) -> None:
    here = quadrant(co2e * 7, pollutant * 3)
    assert [quadrant(x, y) for y, x in SIGNS].count(here) == 1
    assert {quadrant(x, y) for y, x in SIGNS} == set(Quadrant)


@given(amounts.filter(bool), amounts, emitted, emitted)
def test_quadrant_and_elasticity_agree(
    co2e: int, pollutant: int, pollutant_total: int, co2e_total: int
) -> None:
    place = quadrant(co2e, pollutant)
    found = cross_elasticity(
        pollutant=pollutant, pollutant_total=pollutant_total, co2e=co2e, co2e_total=co2e_total
    )
    assert found.value is not None
    assert (place in {Quadrant.BOTH_FALL, Quadrant.BOTH_RISE}) == (found.value > 0)
    assert (place in {Quadrant.POLLUTANT_FALLS, Quadrant.CARBON_FALLS}) == (found.value < 0)


def test_every_reading_and_every_place_has_its_sentence() -> None:
    assert set(READINGS) == set(Reading)
    assert set(QUADRANTS) == set(Quadrant)
    for texts in (READINGS, QUADRANTS):
        assert len(set(texts.values())) == len(texts)


# --- a set of actions --------------------------------------------------------------------------------------


def test_pollution_and_carbon_are_compared_over_the_same_actions() -> None:
    """The carbon of actions without a factor for the pollutant says nothing about it."""
    known = [Saved(1_000_000, nox_ug=2_000_000_000), Saved(3_000_000, nox_ug=-500_000_000)]
    unknown = [Saved(96_000_000)]
    pair = pairs([*known, *unknown])["nox"]
    assert pair == Pair(3, 2, 1_500_000_000, 2, 1_500_000_000, 4_000_000)
    both, alone = (indicator("nox", pairs(records)["nox"], TOTALS) for records in ([*known, *unknown], known))
    assert both.elasticity == alone.elasticity
    assert both.elasticity.value == (Fraction(3, 2) / 4_000) / (Fraction(4) / 5_000_000)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.none() | amounts, st.none() | amounts), max_size=12),
    st.integers(0, 12),
)
def test_two_sets_together_are_the_sum_of_each(
    saved: list[tuple[int, int | None, int | None]], cut: int
) -> None:
    records = [Saved(co2e, nox_ug=nox, so2_ug=so2) for co2e, nox, so2 in saved]
    whole, first, second = pairs(records), pairs(records[:cut]), pairs(records[cut:])
    assert whole == {name: first[name] + second[name] for name in POLLUTANTS}
    for pollutant, pair in whole.items():
        assert 0 <= pair.compared <= pair.known <= pair.actions == len(records)
        assert (pair.saved_ug is None) == (pair.known == 0)
        found = indicator(pollutant, pair, TOTALS)
        assert (found.quadrant is None) == (pair.known == 0)
        assert (found.equivalents.value is None) == (pair.known == 0 or pollutant == "voc")


@pytest.mark.parametrize(
    ("pair", "totals", "reading"),
    [
        (Pair(), TOTALS, Reading.NO_RECORDS),
        (Pair(5), TOTALS, Reading.NO_FACTOR),
        (Pair(5, 3, 10), TOTALS, Reading.NOT_SEPARABLE),
        (Pair(5, 5, 10, 5, 10, 10), None, Reading.SEVERAL_YEARS),
        (Pair(5, 5, 10, 5, 10, 10), {}, Reading.NO_TOTAL),
        (Pair(5, 5, 10, 5, 10, 10), {"nox": 1}, Reading.NO_TOTAL),
        (Pair(5, 5, 10, 5, 10, 10), {"co2e": 1}, Reading.NO_TOTAL),
        (Pair(5, 5, 0, 5, 0, 0), TOTALS, Reading.NOTHING_CHANGES),
    ],
)
def test_what_is_missing_is_said_and_the_elasticity_is_undefined(
    pair: Pair, totals: dict[str, int] | None, reading: Reading
) -> None:
    found = indicator("nox", pair, totals)
    assert (found.elasticity.value, found.elasticity.reading) == (None, reading)


# --- on paper ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0.00"),
        ("12", "12.00"),
        ("0.005", "0.005000"),
        ("-2.0015", "-2.002"),
        ("99999.995", "100000.00"),
        ("0.00012345678", "0.0001235"),
        ("9.99996", "10.000"),
        (f"{10**40}", f"{10**40}.00"),
    ],
)
def test_numbers_are_rounded_half_away_from_zero_and_small_ones_keep_their_digits(
    value: str, shown: str
) -> None:
    assert f"{rounded(Fraction(value)):f}" == shown


@given(ratios, st.integers(0, 8), st.integers(1, 8))
def test_what_is_shown_is_close_and_never_zero(value: Fraction, places: int, significant: int) -> None:
    shown = rounded(value, places=places, significant=significant)
    exponent = shown.as_tuple().exponent
    assert isinstance(exponent, int)
    assert abs(Fraction(shown) - value) <= Fraction(10) ** exponent / 2
    assert abs(Fraction(shown) - value) <= abs(value) * 5 / 10**significant
    assert shown != 0
    assert rounded(-value, places=places, significant=significant) == shown.copy_negate()


@given(ratios, ratios)
def test_rounding_keeps_the_order(one: Fraction, other: Fraction) -> None:
    assume(one < other)
    assert rounded(one) <= rounded(other)
