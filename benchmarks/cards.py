"""`python -m benchmarks.cards`: the processor's time for drawing a card to share, which a record's page waits for once."""

import statistics
import time

from activities.share_cards import card_png
from benchmarks import machine, report
from tests.service.test_sharing import CARD


def main() -> None:
    """Measure, print, keep."""
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.description().items()))
    taken = []
    for _ in range(20):
        card_png.cache_clear()
        begun = time.thread_time()
        card_png(CARD)
        taken.append((time.thread_time() - begun) * 1000)
    print(f"a card: {statistics.median(taken):.0f} ms of CPU ({min(taken):.0f}..{max(taken):.0f})")
    report.keep("cards", {"milliseconds": taken})


if __name__ == "__main__":
    main()
