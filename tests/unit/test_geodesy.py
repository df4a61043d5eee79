"""Datums, distances and bands; what is no position is read as none."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies

from activities.bands import FAR_M, HERE_M, Band, band_of, read_json, read_text
from activities.geodesy import Datum, Point, distance, in_gcj02

latitudes = strategies.floats(-90, 90)
longitudes = strategies.floats(-180, 180)
points = strategies.builds(Point, latitudes, longitudes, strategies.sampled_from(Datum))

#: The pairs by which the implementations of the published way are compared (googollee/eviltransform): WGS-84, GCJ-02.
KNOWN = [
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),  # Shanghai
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),  # Shenzhen
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),  # Beijing
]


@pytest.mark.parametrize(("wgs84", "gcj02"), KNOWN)
def test_known_pairs(wgs84: tuple[float, float], gcj02: tuple[float, float]) -> None:
    found = in_gcj02(Point(*wgs84, Datum.WGS84))
    assert (found.latitude, found.longitude) == pytest.approx(gcj02, abs=1e-9)
    assert found.datum is Datum.GCJ02
    assert distance(Point(*wgs84, Datum.WGS84), Point(*gcj02, Datum.GCJ02)) == 0  # one place in two datums
    assert (
        400 < distance(Point(*wgs84, Datum.GCJ02), Point(*gcj02, Datum.GCJ02)) < 650
    )  # and what mixing them costs


def test_known_distances() -> None:
    shanghai, beijing = (Point(*KNOWN[index][1], Datum.GCJ02) for index in (0, 2))
    assert distance(shanghai, beijing) == pytest.approx(
        1_078_164 * 6_371_000 / 6_378_137, abs=1
    )  # published with the equator's radius
    pole, equator = Point(90, 0, Datum.GCJ02), Point(0, 0, Datum.GCJ02)
    assert distance(pole, equator) == 10_007_543  # a quarter of the circumference
    here = Point(31.228, 121.448, Datum.WGS84)
    there = in_gcj02(here)
    assert distance(here, Point(there.latitude, there.longitude, Datum.WGS84)) == 485  # at Jing'an


@given(points, points)
def test_distances_are_whole_symmetric_and_nothing_to_oneself(one: Point, other: Point) -> None:
    there, back = distance(one, other), distance(other, one)
    assert isinstance(there, int)
    assert there == back
    assert 0 <= there <= 20_015_087
    assert distance(one, one) == 0


@given(latitudes, longitudes)
def test_outside_of_china_both_datums_are_one(latitude: float, longitude: float) -> None:
    moved = in_gcj02(Point(latitude, longitude, Datum.WGS84))
    if not (0.8293 <= latitude <= 55.8271 and 72.004 <= longitude <= 137.8347):
        assert (moved.latitude, moved.longitude) == (latitude, longitude)


@pytest.mark.parametrize(
    ("metres", "accuracy", "band"),
    [
        (0, 0, Band.HERE),
        (HERE_M - 1, HERE_M, Band.HERE),
        (HERE_M, 20, Band.NEAR),
        (FAR_M - 1, 20, Band.NEAR),
        (FAR_M, 0, Band.FAR),
        (FAR_M + 100, 100, Band.FAR),
        (FAR_M + 100, 101, Band.UNSURE),  # it may have been nearer
        (20, HERE_M + 1, Band.UNSURE),
        (500, 501, Band.UNSURE),
        (10_000_000, 1e300, Band.UNSURE),
    ],
)
def test_bands(metres: int, accuracy: float, band: Band) -> None:
    assert band_of(metres, accuracy) is band


@given(strategies.integers(0, 20_000_000), strategies.floats(0, 1e9))
def test_nobody_is_far_who_may_have_been_nearer(metres: int, accuracy: float) -> None:
    assert (band_of(metres, accuracy) is Band.FAR) == (metres - accuracy >= FAR_M)


BROKEN: list[Any] = [
    None,
    "",
    "here",
    [],
    [31.2, 121.4, 20],
    {},
    7,
    True,
    {"latitude": 31.2, "longitude": 121.4},
    {"latitude": 31.2, "accuracy_m": 20},
    {"latitude": "31.2", "longitude": 121.4, "accuracy_m": 20},
    {"latitude": 91, "longitude": 121.4, "accuracy_m": 20},
    {"latitude": 31.2, "longitude": -180.1, "accuracy_m": 20},
    {"latitude": Decimal("NaN"), "longitude": 121.4, "accuracy_m": 20},
    {"latitude": Decimal("sNaN"), "longitude": 121.4, "accuracy_m": 20},
    {"latitude": 31.2, "longitude": 121.4, "accuracy_m": Decimal("Infinity")},
    {"latitude": 31.2, "longitude": 121.4, "accuracy_m": -1},
    {"latitude": True, "longitude": 121.4, "accuracy_m": 20},
    {"latitude": 31.2, "longitude": [121.4], "accuracy_m": 20},
    {"latitude": 10**400, "longitude": 121.4, "accuracy_m": 20},
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_position_is_none(broken: Any) -> None:
    assert read_json(broken) is None


@pytest.mark.parametrize(
    "text",
    [None, "", "nan nan 1", "31.2 121.4", "91 121.4 20", "31.2,121.4,20", "1e1 2 3", "31.2 121.4 20 " * 9],
)
def test_nor_is_such_a_text(text: str | None) -> None:
    assert read_text(text) is None


@given(
    strategies.text()
    | strategies.dictionaries(
        strategies.sampled_from(["latitude", "longitude", "accuracy_m"]),
        strategies.none()
        | strategies.floats()
        | strategies.decimals()
        | strategies.text()
        | strategies.integers(),
    )
)
def test_reading_never_fails(sent: Any) -> None:
    read_json(sent)
    read_text(sent if isinstance(sent, str) else None)


def test_a_reading_is_not_shown() -> None:
    reading = read_text("31.2283 121.4491 35")
    assert reading is not None
    assert "31" not in repr(reading).partition(" at 0x")[0]
