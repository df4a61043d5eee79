"""Group work: together when crowded, alone when not, and every caller gets its own answer."""

import threading
from collections.abc import Sequence

import pytest

from tanpuhui.batching import Batcher
from tanpuhui.errors import Unavailable
from tests.threads import at_once, codes


class Work:
    """Doubles numbers, batch by batch, while `gate` is open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.at_once = self.most = 0

    def __call__(self, items: list[int]) -> Sequence[int | BaseException]:
        self.batches.append(items)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.busy.set()
        self.gate.wait(10)
        self.at_once -= 1
        if 666 in items:
            raise RuntimeError("the whole batch")
        return [ValueError(str(item)) if item < 0 else item * 2 for item in items]


def crowd(batcher: Batcher[int, int], work: Work, items: list[int]) -> list[object]:
    """Submit the first item, and while it is being worked on all others."""
    work.gate.clear()
    first: list[object] = []
    leader = threading.Thread(target=lambda: first.extend(at_once([lambda: batcher.submit(items[0])])))
    leader.start()
    assert work.busy.wait(5)
    opener = threading.Timer(0.3, work.gate.set)
    opener.start()
    rest = at_once([lambda item=item: batcher.submit(item) for item in items[1:]])
    leader.join(10)
    opener.join(10)
    return [*first, *rest]


def test_one_caller_is_served_at_once_and_alone() -> None:
    work = Work()
    batcher = Batcher(work)
    assert [batcher.submit(item) for item in (1, 2, 3)] == [2, 4, 6]
    assert work.batches == [[1], [2], [3]]


def test_those_who_come_meanwhile_go_together() -> None:
    work = Work()
    batcher = Batcher(work)
    assert crowd(batcher, work, list(range(30))) == [item * 2 for item in range(30)]
    assert work.most == 1
    assert len(work.batches) < 30
    assert max(map(len, work.batches)) > 5
    assert sorted(item for batch in work.batches for item in batch) == list(range(30))


def test_a_batch_has_its_limit_and_each_turn_once() -> None:
    work = Work()
    batcher = Batcher(work, turn=lambda item: item % 10, limit=4)
    assert crowd(batcher, work, list(range(40))) == [item * 2 for item in range(40)]
    for batch in work.batches:
        assert len(batch) <= 4
        assert len({item % 10 for item in batch}) == len(batch)


def test_an_error_reaches_its_caller_and_nobody_else() -> None:
    work = Work()
    results = crowd(Batcher(work), work, [1, -2, 3, -4])
    assert codes(results) == ["ok", "ValueError", "ok", "ValueError"]
    assert str(results[1]) == "-2"


def test_a_batch_that_fails_tells_all_in_it_and_the_next_goes_on() -> None:
    work = Work()
    batcher = Batcher(work)
    results = crowd(batcher, work, [1, 2, 666, 3])
    assert set(codes(results)) <= {"ok", "RuntimeError"}
    assert codes(results)[2] == "RuntimeError"
    assert batcher.submit(5) == 10


def test_an_answer_too_few_is_an_error_and_not_a_wait_for_ever() -> None:
    batcher: Batcher[int, int] = Batcher(lambda _items: [])
    with pytest.raises(ValueError, match="argument"):
        batcher.submit(1)
    with pytest.raises(ValueError, match="argument"):
        batcher.submit(2)


def test_more_than_the_queue_holds_are_turned_away_at_once() -> None:
    work = Work()
    batcher = Batcher(work, queue=5)
    results = codes(crowd(batcher, work, list(range(20))))
    assert results.count("ok") == 6  # the one under way and five who wait
    assert results.count(Unavailable.code) == 14
    assert batcher.submit(7) == 14
