"""`python -m benchmarks.cards`: the processor's time for drawing a card to share, which a record's page waits for once."""

import statistics
import time

from activities.share_cards import Card, card_png
from benchmarks import machine, report

CARD = Card(
    issuer="静安区 · 碳普惠",
    kind="光盘行动",
    quantity="1 餐",
    label="估算减排量（二氧化碳当量）",
    amount="144",
    unit="克",
    likeness="相当于一盏 10 瓦的灯亮 34 小时的电",
    lamps=34,
    note="每盏灯代表 1 小时",
    invitation="做一件绿色小事，看见它省下多少",
    address="tph.example.cn",
    url="https://tph.example.cn/",
)


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
