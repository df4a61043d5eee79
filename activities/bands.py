"""Bands: how far from a site a phone was, in a word. Where it was is known for the moment of the sum only.

A phone says where it is and by how much it may err. Nobody is marked as far for a phone that is vague: `FAR` says that it
was a kilometre away even if it erred by all that it allows for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Any

from activities.geodesy import Datum, Point, distance
from tanpuhui.i18n import N_

#: Metres up to which somebody is at the site, and from which on they are far from it.
HERE_M, FAR_M = 200, 1000


class Band(StrEnum):
    """How far somebody was from the site when they confirmed."""

    HERE = "here"
    NEAR = "near"
    FAR = "far"
    UNSURE = "unsure"


BAND_NAMES = {
    Band.HERE: N_("就在点位（200 米以内）"),
    Band.NEAR: N_("在附近（1 公里以内）"),
    Band.FAR: N_("离得较远（1 公里以外）"),
    Band.UNSURE: N_("说不准（手机定位不够准）"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """What a phone says of its position: the point, and by how many metres it may err. Never shown, not even in a log."""

    point: Point
    accuracy: float


def band_of(metres: int, accuracy: float) -> Band:
    """The band of a distance that is known up to `accuracy` metres."""
    if metres - accuracy >= FAR_M:
        return Band.FAR
    if metres >= FAR_M or accuracy > max(metres, HERE_M):
        return Band.UNSURE
    return Band.HERE if metres < HERE_M else Band.NEAR


def band_at(reading: Reading, site: Point) -> Band:
    """The band of a reading at a site."""
    return band_of(distance(reading.point, site), reading.accuracy)


_WORDS = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]{1,9})?) (-?[0-9]{1,3}(?:\.[0-9]{1,9})?) ([0-9]{1,9})")


def read_text(text: str | None) -> Reading | None:
    """What the page of a scan sends: latitude, longitude and accuracy. None for anything that is not that."""
    match = _WORDS.fullmatch(text or "")
    return _reading(*map(float, match.groups())) if match else None


def read_json(value: Any) -> Reading | None:
    """The same as an object of the API. None for anything else: a broken hint never costs anybody the record."""
    if not isinstance(value, Mapping):
        return None
    numbers = [value.get(name) for name in ("latitude", "longitude", "accuracy_m")]
    if any(isinstance(number, bool) or not isinstance(number, int | float | Decimal) for number in numbers):
        return None
    try:
        return _reading(*(float(number) for number in numbers))  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        return None


def _reading(latitude: float, longitude: float, accuracy: float) -> Reading | None:
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and accuracy >= 0 and isfinite(accuracy)):
        return None
    return Reading(Point(latitude, longitude, Datum.WGS84), accuracy)
