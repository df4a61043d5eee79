"""The load: a closed loop of keep-alive connections, in a process of its own.

Reads ready-made requests (separated by NUL) from a file, keeps one under way on each connection for the given
seconds, waits for the last answers and prints what it saw as JSON. It reads of an answer only the status and
the length, so that it takes little of the machine it shares with the server; what it took is in the report.
"""

import argparse
import json
import select
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

#: How long to wait for the answers still due when the time is up, in seconds.
PATIENCE = 20.0


@dataclass(slots=True)
class _Line:
    """One connection: its socket, what came of the answer so far, and when its request was sent."""

    socket: socket.socket
    received: bytes = b""
    sent_at: float = 0.0


@dataclass
class _Tally:
    """What was seen. Latencies in seconds; `in_time` counts the answers that came before the time was up."""

    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    statuses: Counter[str] = field(default_factory=Counter)
    in_time: int = 0
    lost: int = 0


def _connect(address: tuple[str, int]) -> socket.socket:
    opened = socket.create_connection(address, timeout=10)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _length_of_answer(received: bytes) -> int | None:
    """Bytes of the whole answer, None while its head is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError("an answer without Content-Length")
    return end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])


class Load:
    """Drives one address for a while."""

    def __init__(self, address: tuple[str, int], requests: Iterator[bytes]) -> None:
        self._address, self._requests = address, requests
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._tally = _Tally()
        self._deadline = 0.0
        self._ended = 0.0

    def run(self, connections: int, seconds: float) -> dict[str, Any]:
        """Keep `connections` busy for `seconds`; the report."""
        lines = [_Line(_connect(self._address)) for _ in range(connections)]
        cpu, start = time.process_time(), time.perf_counter()
        self._deadline = start + seconds
        for line in lines:
            self._lines[line.socket.fileno()] = line
            self._poll.register(line.socket.fileno(), select.EPOLLIN)
            self._send(line)
        while self._lines and time.perf_counter() < self._deadline + PATIENCE:
            for descriptor, _ in self._poll.poll(0.5):
                self._receive(self._lines[descriptor])
        return self._report(seconds=(self._ended or self._deadline) - start, cpu=time.process_time() - cpu)

    def _send(self, line: _Line) -> None:
        """The next request, or good-bye when the time is up or there is none left."""
        now = time.perf_counter()
        request = next(self._requests, None) if now < self._deadline else None
        if request is None:
            if now < self._deadline and not self._ended:
                self._ended = now
            self._hang_up(line)
            return
        line.received, line.sent_at = b"", now
        line.socket.sendall(request)

    def _receive(self, line: _Line) -> None:
        try:
            data = line.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._tally.lost += 1
            self._hang_up(line)
            if time.perf_counter() < self._deadline:
                self._replace()
            return
        line.received += data
        length = _length_of_answer(line.received)
        if length is None or len(line.received) < length:
            return
        now = time.perf_counter()
        tally = self._tally
        tally.latencies.append(now - line.sent_at)
        tally.statuses[line.received[9:12].decode()] += 1
        tally.in_time += now <= self._deadline
        self._send(line)

    def _replace(self) -> None:
        line = _Line(_connect(self._address))
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)
        self._send(line)

    def _hang_up(self, line: _Line) -> None:
        descriptor = line.socket.fileno()
        self._poll.unregister(descriptor)
        del self._lines[descriptor]
        line.socket.close()

    def _report(self, *, seconds: float, cpu: float) -> dict[str, Any]:
        ordered = sorted(self._tally.latencies)
        return {
            "seconds": seconds,
            "in_time": self._tally.in_time,
            "answered": len(ordered),
            "unanswered": len(self._lines) + self._tally.lost,
            "statuses": dict(self._tally.statuses),
            "p50_ms": _at(ordered, 0.50) * 1000,
            "p99_ms": _at(ordered, 0.99) * 1000,
            "worst_ms": _at(ordered, 1.0) * 1000,
            "cpu_seconds": cpu,
        }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main() -> None:
    """`python -m benchmarks.client PORT FILE --connections N --seconds S [--again]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--again", action="store_true", help="send the first request over and over")
    chosen = parser.parse_args()
    requests = chosen.requests.read_bytes().split(b"\0")
    stream = repeat(requests[0]) if chosen.again else iter(requests)
    load = Load(("127.0.0.1", chosen.port), stream)
    json.dump(load.run(chosen.connections, chosen.seconds), sys.stdout)


if __name__ == "__main__":
    main()
