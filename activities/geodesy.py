"""Geodesy: the datums that coordinates here are given in, and the distance between two points. Pure arithmetic.

Phones give WGS-84. Maps published in mainland China give GCJ-02, which differs from it by some hundred metres (485 m at
Jing'an), more than what tells "here" from "near". So no coordinate goes without its datum, and two are compared in one.
The way from WGS-84 to GCJ-02 is the published one (Krasovsky 1940 ellipsoid and a series of sines); outside the rectangle
it is made for, both are the same.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import asin, cos, pi, radians, sin, sqrt

from tanpuhui.i18n import N_


class Datum(StrEnum):
    """What the numbers of a coordinate are measured against."""

    GCJ02 = "gcj02"
    WGS84 = "wgs84"


DATUM_NAMES = {
    Datum.GCJ02: N_("国内地图（高德、腾讯等，GCJ-02）"),
    Datum.WGS84: N_("手机定位、GPS（WGS-84）"),
}


@dataclass(frozen=True, slots=True)
class Point:
    """A point on the Earth, in degrees."""

    latitude: float
    longitude: float
    datum: Datum


#: The mean radius of the Earth in metres.
_RADIUS = 6_371_000

#: Krasovsky 1940: the semi-major axis in metres, and the square of the eccentricity.
_AXIS, _ECCENTRICITY2 = 6_378_245.0, 0.00669342162296594323

#: Where GCJ-02 differs: latitudes and longitudes from and to.
_LATITUDES, _LONGITUDES = (0.8293, 55.8271), (72.004, 137.8347)


def in_gcj02(point: Point) -> Point:
    """The same place in GCJ-02."""
    latitude, longitude = point.latitude, point.longitude
    inside = _LATITUDES[0] <= latitude <= _LATITUDES[1] and _LONGITUDES[0] <= longitude <= _LONGITUDES[1]
    if point.datum is Datum.GCJ02 or not inside:
        return Point(latitude, longitude, Datum.GCJ02)
    north, east = _shift(longitude - 105, latitude - 35)
    flat = 1 - _ECCENTRICITY2 * sin(radians(latitude)) ** 2
    along_meridian = _AXIS * (1 - _ECCENTRICITY2) / (flat * sqrt(flat)) * pi / 180  # metres a degree
    along_parallel = _AXIS / sqrt(flat) * cos(radians(latitude)) * pi / 180
    return Point(latitude + north / along_meridian, longitude + east / along_parallel, Datum.GCJ02)


def _shift(x: float, y: float) -> tuple[float, float]:
    """How many metres north and east GCJ-02 lies of WGS-84, `x` degrees east and `y` north of 105° E, 35° N."""
    both = (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + both
    north += (20 * sin(y * pi) + 40 * sin(y / 3 * pi)) * 2 / 3
    north += (160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + both
    east += (20 * sin(x * pi) + 40 * sin(x / 3 * pi)) * 2 / 3
    east += (150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)) * 2 / 3
    return north, east


def distance(one: Point, other: Point) -> int:
    """Whole metres between two points, along a great circle."""
    if one.datum is not other.datum:
        one, other = in_gcj02(one), in_gcj02(other)
    up = sin(radians(other.latitude - one.latitude) / 2) ** 2
    across = sin(radians(other.longitude - one.longitude) / 2) ** 2
    share = up + cos(radians(one.latitude)) * cos(radians(other.latitude)) * across
    return round(2 * _RADIUS * asin(sqrt(min(1.0, share))))
