"""Wrong builds: the product with one mistake each, to see the tests fail on it.

``python -m tests.faults.wrong_builds NAME serve ...`` is `tanpuhui` with the mistake; gunicorn takes
``tests.faults.wrong_builds:app('NAME')``.
"""

import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask
from sqlalchemy.engine import Connection

from activities import scans
from activities.scans import Desk, ScanRequest
from tanpuhui import idempotency, outbox
from tanpuhui.subscribers import Later

#: How long the mistakes leave their gap open, in seconds.
GAP = 0.1


def forgetful() -> None:
    """The desk does not look whether a key was answered before."""
    product: Any = idempotency
    product.find = lambda _connection, _pairs: {}


def hasty() -> None:
    """The desk answers, and commits a moment later."""

    def record_batch(desk: Desk, requests: list[ScanRequest]) -> Any:
        answered: queue.Queue[Any] = queue.Queue()

        def work() -> None:
            try:
                with desk._house.db.transaction() as connection:
                    answered.put(desk._transact(connection, requests))
                    time.sleep(GAP)
            except Exception as error:
                answered.put([error] * len(requests))

        threading.Thread(target=work, daemon=True).start()
        return answered.get()

    product: Any = Desk
    product._record_batch = record_batch


class CommittingInsert:
    """Inserts rows and commits them; the rest of the transaction follows in another."""

    def __init__(self, right: Any) -> None:
        self._right = right

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        self._right.run(connection, rows)
        connection.exec_driver_sql("COMMIT")
        time.sleep(GAP)
        connection.exec_driver_sql("BEGIN" if connection.dialect.name == "postgresql" else "BEGIN IMMEDIATE")
        return []


def torn() -> None:
    """The desk commits the action, and in a second transaction its event, transfer and answer."""
    product: Any = scans
    product.INSERT_ACTIONS = CommittingInsert(product.INSERT_ACTIONS)


class UnlockedRelay(outbox.Relay):
    """A relay that reads its cursor before the transaction in which it applies the batch."""

    def _apply(self, subscriber: Later, *, one_by_one: bool) -> int:
        with self._db.reading() as connection:
            at = outbox._LOCK_CURSOR.run(connection, subscriber=subscriber.name)
            rows = outbox._READ.run(connection, tx=at[0].tx, position=at[0].position, limit=20) if at else []
        time.sleep(GAP / 2)
        if not rows:
            return 0
        wanted = {event.type for event in subscriber.hears}
        mine = [outbox._event(row) for row in rows if row.type in wanted]
        with self._db.transaction() as connection:
            if mine:
                subscriber.handle(connection, mine)
            outbox._advance(connection, subscriber.name, rows[-1].tx, rows[-1].position)
        return len(rows)


BUILDS = {"forgetful": forgetful, "hasty": hasty, "torn": torn}


def app(name: str) -> Flask:
    """The web app with mistake `name`."""
    BUILDS[name]()
    from wsgi import app as served

    return served


if __name__ == "__main__":
    BUILDS[sys.argv.pop(1)]()
    from tanpuhui.cli import main

    main()
