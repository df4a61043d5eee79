"""The report: rounds as a table, ratios with their spread beside what is aimed at, and everything as JSON."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.rounds import Round

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Spread:
    """Median and extremes over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of `values`, of which there is at least one."""
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))

    def text(self, digits: int) -> str:
        """Like ``0.31 (0.29..0.33)``."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}..{self.high:,.{digits}f})"


@dataclass(frozen=True)
class Finding:
    """A figure with what is aimed at; `upwards` when more is better. Without an aim it is only told."""

    what: str
    value: Spread
    aim: float | None = None
    floor: float | None = None
    upwards: bool = True
    digits: int = 2

    def verdict(self) -> str:
        """Whether the aim, or at least the floor, is reached by the median."""
        if self.aim is None:
            return ""
        if self._reaches(self.aim):
            return "reached"
        if self.floor is not None and self._reaches(self.floor):
            return "above the floor"
        return "MISSED"

    def _reaches(self, bar: float) -> bool:
        return self.value.median >= bar if self.upwards else self.value.median <= bar

    def line(self) -> str:
        """The finding as a line of the report."""
        sign = ">=" if self.upwards else "<="
        aim = "" if self.aim is None else f"aim {sign} {self.aim:.3g}"
        floor = "" if self.floor is None else f", floor {self.floor:.2g}"
        return f"  {self.what:<58} {self.value.text(self.digits):<24} {aim + floor:<26} {self.verdict()}".rstrip()


def ratio(above: Sequence[Round], below: Sequence[Round]) -> Spread:
    """The ratio of the rates of two subjects, round by round."""
    return Spread.of(a.rate / b.rate for a, b in zip(above, below, strict=True))


def cpu(rounds: Sequence[Round], parts: Sequence[str]) -> Spread:
    """CPU of some parts together, in milliseconds per request."""
    return Spread.of(sum(one.cpu_ms[part] for part in parts) for one in rounds)


def table(subjects: Mapping[str, Sequence[Round]]) -> list[str]:
    """The rounds of every subject: median (lowest..highest)."""
    parts = list(dict.fromkeys(part for rounds in subjects.values() for one in rounds for part in one.cpu_ms))
    head = f"  {'':<22}{'per second':>24}{'p50 ms':>9}{'p99 ms (worst round)':>22}"
    head += "".join(f"{f'CPU {part}':>14}" for part in parts) + f"{'others':>8}  failed"
    return [head, *(_row(name, rounds, parts) for name, rounds in subjects.items())]


def _row(name: str, rounds: Sequence[Round], parts: Sequence[str]) -> str:
    p99 = Spread.of(one.p99_ms for one in rounds)
    row = f"  {name:<22}{Spread.of(one.rate for one in rounds).text(0):>24}"
    row += f"{statistics.median(one.p50_ms for one in rounds):>9.1f}"
    row += f"{'-' if math.isnan(p99.median) else f'{p99.median:.1f} ({p99.high:.1f})':>22}"
    for part in parts:
        spent = [one.cpu_ms[part] for one in rounds if part in one.cpu_ms]
        row += f"{f'{statistics.median(spent):.3f} ms' if spent else '-':>14}"
    failed: dict[str, int] = {}
    for one in rounds:
        for status, count in one.failed.items():
            failed[status] = failed.get(status, 0) + count
    told = ", ".join(f"{count} x {status}" for status, count in failed.items()) or "none"
    return f"{row}{max(one.others for one in rounds):>8.0%}  {told}"


def keep(name: str, content: Mapping[str, Any]) -> Path:
    """Write everything measured to a file in `results/`; its path."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{name}.json"

    def plain(value: Any) -> Any:
        return asdict(value)

    file.write_text(json.dumps(content, default=plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
