"""Group work: callers in many threads are served together, one database transaction for all of them.

A caller who finds no batch under way serves itself at once in its own thread; those who arrive meanwhile form
the next batch, which under load waits a moment for company. A lone caller therefore pays nothing, and in a
crowd the cost of a transaction, its round trips and its fsync, is shared.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from tanpuhui.errors import Unavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Waiting(Generic[Item, Answer]):
    __slots__ = ("answer", "error", "gate", "item", "leads")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.gate = threading.Lock()  # held until it is this caller's turn: cheaper than an Event
        self.gate.acquire()


class Batcher(Generic[Item, Answer]):
    """Serves `submit` calls of many threads in batches.

    `work` takes a list of items and returns an answer or an exception for each. Items with the same `turn`
    never share a batch. One batch runs at a time; one that follows a shared batch waits until as many callers
    are there as the last time, at most `gather` seconds. At most `queue` callers wait: beyond that
    `Unavailable` is raised at once, so that a slow disk does not pile up requests without bound.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Answer | BaseException]],
        *,
        turn: Callable[[Item], Hashable] = id,
        limit: int = 64,
        gather: float = 0.0,
        queue: int = 512,
    ) -> None:
        self._work, self._turn = work, turn
        self._limit, self._gather, self._queue = limit, gather, queue
        self._led = False
        self._expected = 0
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._pending: list[_Waiting[Item, Answer]] = []

    def submit(self, item: Item) -> Answer:
        """Have `item` worked on; its answer, or its exception raised here."""
        me: _Waiting[Item, Answer] = _Waiting(item)
        with self._lock:
            if len(self._pending) >= self._queue:
                raise Unavailable
            self._pending.append(me)
            if len(self._pending) == self._expected:
                self._enough.set()
            if not self._led:
                self._led = me.leads = True
        if not me.leads:
            me.gate.acquire()
        if me.leads:
            self._lead(me)
        if me.error is not None:
            raise me.error
        return me.answer  # type: ignore[return-value]

    def _lead(self, me: _Waiting[Item, Answer]) -> None:
        if self._expected > 1 and self._gather:
            self._enough.wait(self._gather)
        batch = self._next_batch(me)
        try:
            answers = self._work([waiting.item for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                if isinstance(answer, BaseException):
                    waiting.error = answer
                else:
                    waiting.answer = answer
        except BaseException as error:
            for waiting in batch:
                waiting.error = error
        finally:
            self._hand_over()
            for waiting in batch:
                if waiting is not me:
                    waiting.gate.release()

    def _next_batch(self, me: _Waiting[Item, Answer]) -> list[_Waiting[Item, Answer]]:
        """Take `me` and the longest waiting others, one of each turn."""
        with self._lock:
            self._pending.remove(me)
            batch, left, turns = [me], [], {self._turn(me.item)}
            for waiting in self._pending:
                turn = self._turn(waiting.item)
                if len(batch) < self._limit and turn not in turns and not waiting.leads:
                    turns.add(turn)
                    batch.append(waiting)
                else:
                    left.append(waiting)
            self._pending = left
            self._expected = len(batch)
            if len(left) < self._expected:
                self._enough.clear()
            return batch

    def _hand_over(self) -> None:
        """Let the longest waiting caller lead the next batch, or note that nobody does."""
        with self._lock:
            for waiting in self._pending:
                if not waiting.leads:
                    waiting.leads = True
                    waiting.gate.release()
                    return
            self._led = False
