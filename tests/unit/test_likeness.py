"""What grams are like: the arithmetic, its ends, and that it never claims more than was saved."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from activities.likeness import DURATIONS, MOST_LAMPS, light

G, KG = 1000, 1_000_000  # milligrams


def grid(grams: int = 420, unit: str = "kWh") -> Any:
    """A factor version that says what a kilowatt-hour emits."""
    return SimpleNamespace(unit=unit, co2e_high_ng=grams * 10**9)


def said(co2e_mg: int) -> tuple[float, str, int, int]:
    """The number and its duration, the lamps of the picture and what each stands for."""
    found = light(co2e_mg, grid())
    assert found is not None
    return found.tenths / 10, found.unit, found.lamps, found.each


@pytest.mark.parametrize(
    ("co2e_mg", "expected"),
    [
        # 144 g / 420 g/kWh = 0.342857 kWh; / 0.01 kW = 34.2857 h
        (144 * G, (34, "hour", 34, 1)),
        # 40 g / 420 g/kWh / 0.01 kW = 9.5238 h: below ten, a tenth is said
        (40 * G, (9.5, "hour", 9, 1)),
        # 8.2 g (500 steps) / 420 g/kWh / 0.01 kW = 1.952 h: more than 60 minutes, so hours
        (8200, (1.9, "hour", 1, 1)),
        # 4.2 g are 0.01 kWh: exactly an hour, said as its 60 minutes
        (4200, (60, "minute", 60, 1)),
        # 1.28 kg / 0.42 kg/kWh / 0.01 kW / 24 = 12.698 days
        (1280 * G, (12, "day", 12, 1)),
        # 10 kg: 99.2 days, 3 lamps of 30 days
        (10 * KG, (99, "day", 3, 30)),
        # 100 kg: 992 days, 33 lamps of 30 days
        (100 * KG, (992, "day", 33, 30)),
        # 840 kg, the most of one record: 8333 days, 22 lamps of 365 days
        (840 * KG, (8333, "day", 22, 365)),
        # 1 mg: 0.857 s, less than a second and no lamp
        (1, (0, "second", 0, 1)),
        # 2 mg: 1.714 s
        (2, (1, "second", 1, 1)),
    ],
)
def test_the_arithmetic_is_spelled_out(co2e_mg: int, expected: tuple[float, str, int, int]) -> None:
    assert said(co2e_mg) == expected


def test_without_grams_or_a_factor_of_electricity_there_is_nothing_to_say() -> None:
    assert light(0, grid()) is None
    assert light(-5, grid()) is None
    assert light(144 * G, None) is None
    assert light(144 * G, grid(0)) is None
    assert light(144 * G, grid(unit="km")) is None


def test_dirtier_electricity_burns_the_lamp_for_less() -> None:
    clean, dirty = light(144 * G, grid(300)), light(144 * G, grid(800))
    assert clean
    assert dirty
    assert clean.seconds > dirty.seconds


@given(st.integers(1, 10**16), st.integers(1, 5000))
def test_it_never_claims_more_than_was_saved(co2e_mg: int, grams: int) -> None:
    found = light(co2e_mg, grid(grams))
    assert found is not None
    seconds = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[found.unit]
    truth = Fraction(co2e_mg, 1000) / grams * 360_000  # seconds: grams / (g/kWh) x 3.6 MJ / 10 W
    assert truth - 1 < found.seconds <= truth
    assert Fraction(found.tenths, 10) * seconds <= truth
    assert found.lamps * found.each * seconds <= truth
    assert found.lamps <= MOST_LAMPS
    assert found.unit in DURATIONS
    assert (found.lamps >= 1) == (found.seconds >= 1)


@given(st.integers(1, 10**15), st.integers(0, 10**15))
def test_more_grams_never_burn_for_less(co2e_mg: int, more: int) -> None:
    one, other = light(co2e_mg, grid()), light(co2e_mg + more, grid())
    assert one
    assert other
    assert one.seconds <= other.seconds
    size = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
    assert one.tenths * size[one.unit] <= other.tenths * size[other.unit]  # nor is less said
