"""Calls made at the same moment, each in a thread of its own."""

import threading
from collections.abc import Callable, Sequence
from typing import Any


def at_once(calls: Sequence[Callable[[], Any]], *, timeout: float = 60) -> list[Any]:
    """Start all `calls` together; their results in order, an exception where one was raised."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [TimeoutError("still running")] * len(calls)

    def run(index: int) -> None:
        start.wait(timeout)
        try:
            results[index] = calls[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    return results


def codes(results: Sequence[Any]) -> list[str]:
    """The results as words: `ok`, or the code (or class) of the error."""
    return [
        getattr(result, "code", type(result).__name__) if isinstance(result, Exception) else "ok"
        for result in results
    ]
