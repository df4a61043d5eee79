"""Floods: how often a name has failed within a minute, counted in the memory of this process.

Only failures count, so a canteen behind one address at noon never meets this; who guesses codes, or knocks on and on, does.
"""

import threading
from collections import Counter
from math import ceil

from tanpuhui import clock

#: Seconds after which all is forgotten.
WINDOW = 60

#: More names than this in one window are counted together: memory is bounded, whoever makes names up.
MOST_NAMES = 50_000


class Flood:
    """Counts failures of names; `most` in a window are let pass."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._window = 0
        self._failures: Counter[str] = Counter()

    def note(self, name: str) -> None:
        """`name` has failed once more."""
        with self._lock:
            self._turn()
            known = name in self._failures or len(self._failures) < MOST_NAMES
            self._failures[name if known else ""] += 1

    def wait(self, name: str) -> int:
        """In how many seconds `name` may come again; 0 for at once."""
        now = clock.now().timestamp()
        with self._lock:
            self._turn()
            if self._failures.get(name, 0) < self.most:
                return 0
        return max(1, ceil((now // WINDOW + 1) * WINDOW - now))

    def _turn(self) -> None:
        window = int(clock.now().timestamp() // WINDOW)
        if window != self._window:
            self._window = window
            self._failures = Counter()
