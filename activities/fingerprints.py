"""Perceptual fingerprints: 64 bits that stay nearly the same when a picture is resized, compressed again, brightened or trimmed.

The DCT hash described by Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1:
of the picture in 32 x 32 greys the lowest frequencies are kept, and each bit says whether one of them lies above their
median. How far apart two pictures are is in how many bits they differ.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import median, pstdev

SIDE = 32

#: Two pictures that differ in so many bits at most are the same one, sent again.
NEAR = 10

#: The fingerprint is found by its four parts of 16 bits: within `NEAR` bits, at least one part differs in two bits or fewer.
PARTS, _PART_BITS, _WITHIN = 4, 16, 2

_KEPT = 8
_FLAT = 3.0
_COSINES = [
    [math.cos(math.pi * frequency * (2 * place + 1) / (2 * SIDE)) for place in range(SIDE)]
    for frequency in range(1, _KEPT + 1)
]


def fingerprint(greys: Sequence[int]) -> int:
    """The fingerprint of a picture of `SIDE` x `SIDE` greys (0 to 255, row by row)."""
    rows = [greys[start : start + SIDE] for start in range(0, SIDE * SIDE, SIDE)]
    across = [[sum(map(float.__mul__, wave, map(float, row))) for wave in _COSINES] for row in rows]
    waves = [
        sum(wave[place] * across[place][column] for place in range(SIDE))
        for wave in _COSINES
        for column in range(_KEPT)
    ]
    middle = median(waves)
    return sum(1 << place for place, height in enumerate(waves) if height > middle)


def is_flat(greys: Sequence[int]) -> bool:
    """Whether there is next to nothing to see: black, blank, one colour."""
    return pstdev(greys) < _FLAT


def distance(one: int, other: int) -> int:
    """In how many bits two fingerprints differ."""
    return (one ^ other).bit_count()


def parts(value: int) -> list[int]:
    """The four parts by which a fingerprint is found."""
    return [value >> place * _PART_BITS & 0xFFFF for place in range(PARTS)]


def near_parts(part: int) -> Iterator[int]:
    """Every part that differs from `part` in two bits at most: 137 of 65536.

    Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (2012).
    """
    for bits in range(_WITHIN + 1):
        for places in combinations(range(_PART_BITS), bits):
            yield part ^ sum(1 << place for place in places)
