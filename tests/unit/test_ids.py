"""Ids: version 7, in order, also when the clock steps back; and random numbers."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine

from tanpuhui import ids
from tests.threads import at_once


def test_ids_are_version_seven_and_carry_the_time() -> None:
    found = ids.new_id()
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    moment = datetime.fromtimestamp((found.int >> 80) / 1000, UTC)
    assert abs(moment - datetime.now(UTC)) < timedelta(days=3650)


def test_ids_only_grow_also_when_the_clock_steps_back() -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with time_machine.travel(ahead, tick=False) as time:
        found = [ids.new_id() for _ in range(10_000)]  # more than one millisecond holds
        time.shift(timedelta(minutes=-30))
        found += [ids.new_id() for _ in range(10)]
        time.shift(timedelta(minutes=31))
        found += [ids.new_id() for _ in range(10)]
    assert found == sorted(set(found))


def test_threads_never_share_an_id() -> None:
    found: list[list[UUID]] = at_once([lambda: [ids.new_id() for _ in range(500)]] * 8)
    assert len({one for many in found for one in many}) == 4000
    assert all(many == sorted(many) for many in found)
    assert threading.active_count() < 100


@pytest.mark.parametrize("bits", [1, 2, 40, 96])
def test_random_numbers_are_positive_and_small_enough(bits: int) -> None:
    found = {ids.random_number(bits) for _ in range(200)}
    assert min(found) >= 1
    assert max(found) < 2**bits
    assert bits < 40 or len(found) == 200
