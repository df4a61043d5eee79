"""The event log and its relay: every event reaches every later subscriber once, whatever happens."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from tanpuhui import clock, ids, outbox
from tanpuhui.errors import Unavailable
from tanpuhui.events import Event
from tanpuhui.outbox import MAX_ATTEMPTS, Relay
from tanpuhui.rooms import House, build_house
from tanpuhui.subscribers import Later
from tests.threads import at_once

only_postgres = pytest.mark.parametrize("engine", ["postgres"])  # SQLite's one writer needs none of it


class Noted(Event):
    """Something for the tests to hear of."""

    type = "test.noted"

    number: int


class Ignored(Event):
    """Something nobody hears of."""

    type = "test.ignored"


def noted(*numbers: int) -> list[Event]:
    return [Noted(subject_id=ids.new_id(), recorded_at=clock.now(), number=number) for number in numbers]


def record(house: House, *numbers: int) -> None:
    with house.db.transaction() as connection:
        outbox.append(connection, noted(*numbers))


@pytest.fixture
def inbox(house: House) -> House:
    """A house with a table that handlers write to, so that what they do is undone with their transaction."""
    with house.db.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE heard (subscriber text, number integer)"))
    return house


Handle = Callable[[sa.Connection, Sequence[Any]], None]


def writer(name: str, before: Handle = lambda _connection, _events: None) -> Handle:
    def handle(connection: sa.Connection, events: Sequence[Any]) -> None:
        for event in events:
            row = {"subscriber": name, "number": event.number}
            connection.execute(sa.text("INSERT INTO heard VALUES (:subscriber, :number)"), row)
        before(connection, events)

    return handle


def relay(house: House, **handlers: Handle) -> Relay:
    """A relay of its own over `house`, bringing `Noted` to the handlers."""
    house.__dict__["later"] = tuple(
        Later(name, name, (Noted,), writer(name, handler), batch=5) for name, handler in handlers.items()
    )
    return Relay(house)


def quiet(_connection: sa.Connection, _events: Sequence[Any]) -> None:
    """Do no more than write down."""


def heard(house: House, subscriber: str = "one") -> list[int]:
    with house.db.reading() as connection:
        found = connection.scalars(
            sa.text("SELECT number FROM heard WHERE subscriber = :name ORDER BY number"), {"name": subscriber}
        )
        return list(found)


def failures(house: House) -> list[tuple[Any, ...]]:
    with house.db.reading() as connection:
        rows = connection.execute(
            sa.text("SELECT subscriber, attempts, parked_at IS NOT NULL FROM event_failure ORDER BY position")
        )
        return [(row[0], row[1], bool(row[2])) for row in rows]


# --- delivery ----------------------------------------------------------------------------------------------


def test_each_subscriber_hears_each_event_once_and_in_batches(inbox: House) -> None:
    sizes: list[int] = []
    postman = relay(inbox, one=lambda _c, events: sizes.append(len(events)), two=quiet)
    record(inbox, *range(12))
    with inbox.db.transaction() as connection:
        outbox.append(connection, [Ignored(subject_id=ids.new_id(), recorded_at=clock.now())])
    assert postman.drain() == 26  # events read, for two subscribers
    assert (heard(inbox, "one"), heard(inbox, "two")) == (list(range(12)), list(range(12)))
    assert sizes == [5, 5, 2]
    assert postman.run_once() == 0
    assert Relay(inbox).drain() == 0  # a new process goes on where the last one stopped


def test_a_subscriber_that_comes_later_hears_everything(inbox: House) -> None:
    record(inbox, 1, 2)
    relay(inbox, one=quiet).drain()
    relay(inbox, one=quiet, two=quiet).drain()
    assert (heard(inbox, "one"), heard(inbox, "two")) == ([1, 2], [1, 2])


def test_two_relays_at_once_apply_each_event_once(inbox: House) -> None:
    second = build_house(inbox.settings)
    first_relay, second_relay = relay(inbox, one=quiet, two=quiet), relay(second, one=quiet, two=quiet)
    done = threading.Event()

    def deliver(postman: Relay) -> None:
        while not done.is_set() or postman.run_once():
            postman.run_once()

    def produce() -> None:
        try:
            for start in range(0, 100, 4):
                record(inbox, *range(start, start + 4))
        finally:
            done.set()

    results = at_once([produce, lambda: deliver(first_relay), lambda: deliver(second_relay)])
    assert results == [None, None, None]
    assert heard(inbox, "one") == list(range(100))
    assert heard(inbox, "two") == list(range(100))
    second.db.dispose()


def test_an_event_of_an_unknown_kind_holds_nothing_up(inbox: House) -> None:
    """A room that is no longer installed leaves its events behind; nobody here hears them."""
    record(inbox, 1)
    with inbox.db.transaction() as connection:
        outbox.append(
            connection, [Noted.model_construct(subject_id=ids.new_id(), recorded_at=clock.now(), number=2)]
        )
        _forge(connection, "type", "gone.room", 2)
    record(inbox, 3)
    relay(inbox, one=quiet).drain()
    assert heard(inbox) == [1, 3]
    assert failures(inbox) == []


def test_an_event_that_cannot_be_read_is_kept_for_later_and_the_others_flow(inbox: House) -> None:
    record(inbox, 1, 2)
    with inbox.db.transaction() as connection:
        outbox.append(connection, [Ignored(subject_id=ids.new_id(), recorded_at=clock.now())])
        _forge(connection, "type", "test.noted", 3)  # its payload lacks the number
    record(inbox, 4)
    relay(inbox, one=quiet).drain()
    assert heard(inbox) == [1, 2, 4]
    assert failures(inbox) == [("one", 1, False)]


def _forge(connection: sa.Connection, column: str, value: Any, position: int) -> None:
    """Change the log as no code of ours can."""
    with off_guard(connection):
        update = f"UPDATE event_log SET {column} = :value WHERE position = :position"
        connection.execute(sa.text(update), {"value": value, "position": position})


class off_guard:  # noqa: N801 - reads as a word
    """The log without its append-only trigger, as only the owner of the table may have it."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.sqlite = connection.dialect.name == "sqlite"

    def __enter__(self) -> None:
        if self.sqlite:
            query = "SELECT sql FROM sqlite_master WHERE name = 'event_log_no_update'"
            self.trigger = self.connection.exec_driver_sql(query).scalar_one()
            self.connection.exec_driver_sql("DROP TRIGGER event_log_no_update")
        else:
            self.connection.exec_driver_sql("ALTER TABLE event_log DISABLE TRIGGER USER")

    def __exit__(self, *_error: Any) -> None:
        restore = self.trigger if self.sqlite else "ALTER TABLE event_log ENABLE TRIGGER USER"
        self.connection.exec_driver_sql(restore)


# --- failures ----------------------------------------------------------------------------------------------


def test_a_failing_event_is_retried_parked_listed_and_delivered_again(inbox: House) -> None:
    broken = True

    def fail_on_three(_connection: sa.Connection, events: Sequence[Any]) -> None:
        if broken and any(event.number == 3 for event in events):
            raise ValueError("no good")

    postman = relay(inbox, one=fail_on_three, two=quiet)
    with time_machine.travel(clock.now(), tick=False) as time:
        record(inbox, *range(1, 8))
        postman.drain()
        assert heard(inbox, "one") == [1, 2, 4, 5, 6, 7]  # the others flow, and 3 left nothing behind
        assert heard(inbox, "two") == list(range(1, 8))
        for attempt in range(1, MAX_ATTEMPTS):
            assert failures(inbox) == [("one", attempt, False)]
            time.shift(timedelta(seconds=2**attempt, milliseconds=-1))
            postman.drain()
            assert failures(inbox) == [("one", attempt, False)]  # not due yet
            time.shift(timedelta(milliseconds=1))
            postman.drain()
        assert failures(inbox) == [("one", MAX_ATTEMPTS, True)]
        time.shift(timedelta(days=1))
        postman.drain()
        assert failures(inbox) == [("one", MAX_ATTEMPTS, True)]  # given up
        with inbox.db.reading() as connection:
            (given_up,) = outbox.parked(connection)
        assert (given_up.subscriber, given_up.position) == ("one", 3)
        assert "ValueError: no good" in given_up.error

        broken = False
        with inbox.db.transaction() as connection:
            assert outbox.deliver_again(connection, "one", 3)
            assert not outbox.deliver_again(connection, "one", 3)  # no longer parked
            assert not outbox.deliver_again(connection, "two", 3)
        assert postman.drain() == 1
        assert failures(inbox) == []
        assert heard(inbox, "one") == list(range(1, 8))


def test_an_outage_of_one_subscriber_costs_no_attempt_and_holds_up_nobody(inbox: House) -> None:
    out = True

    def needs_a_broker(_connection: sa.Connection, _events: Sequence[Any]) -> None:
        if out:
            raise Unavailable

    postman = relay(inbox, one=needs_a_broker, two=quiet)
    record(inbox, 1, 2)
    assert postman.run_once() == 2  # what `two` could be served
    assert (heard(inbox, "one"), heard(inbox, "two")) == ([], [1, 2])
    with pytest.raises(Unavailable):
        postman.run_once()
    assert failures(inbox) == []
    out = False
    postman.drain()
    assert heard(inbox, "one") == [1, 2]


@only_postgres
def test_a_retry_waits_while_somebody_else_holds_the_cursor(inbox: House) -> None:
    """A rebuild reads which events are waiting: none may be applied behind its back."""
    broken = True

    def fail(_connection: sa.Connection, _events: Sequence[Any]) -> None:
        if broken:
            raise ValueError

    postman = relay(inbox, one=fail)
    record(inbox, 1)
    postman.run_once()
    broken = False
    with time_machine.travel(clock.now() + timedelta(seconds=3)):
        with inbox.db.transaction() as connection:
            connection.execute(
                sa.text("SELECT 1 FROM subscriber_cursor WHERE subscriber = 'one' FOR NO KEY UPDATE")
            )
            assert postman.run_once() == 0
        assert postman.run_once() == 1
    assert heard(inbox) == [1]


# --- what PostgreSQL shows out of order --------------------------------------------------------------------


@only_postgres
def test_a_transaction_that_commits_late_is_still_delivered(inbox: House) -> None:
    postman = relay(inbox, one=quiet)
    record(inbox, 1)
    postman.drain()
    slow = inbox.db.engine.connect()
    transaction = slow.begin()
    outbox.append(slow, noted(2))  # takes the lower position, commits last
    record(inbox, 3)
    naive = _after(inbox, 0)
    assert postman.drain() == 0  # 3 waits for whatever may still come before it
    transaction.commit()
    slow.close()
    assert postman.drain() == 2
    assert heard(inbox) == [1, 2, 3]
    # The negative control: a reader of "everything after the last position" has missed the late one for good.
    assert naive == [1, 3]
    assert _after(inbox, naive[-1]) == []


def _after(house: House, position: int) -> list[int]:
    with house.db.reading() as connection:
        query = sa.text("SELECT position FROM event_log WHERE position > :position ORDER BY position")
        return list(connection.scalars(query, {"position": position}))


@only_postgres
def test_a_transaction_that_is_rolled_back_holds_up_nothing_for_good(inbox: House) -> None:
    postman = relay(inbox, one=quiet)
    with inbox.db.engine.connect() as slow:
        outbox.append(slow, noted(1))
        slow.rollback()
    record(inbox, 2)
    postman.drain()
    assert heard(inbox) == [2]


@only_postgres
def test_events_flow_after_a_restore_into_a_cluster_that_counts_from_the_start(inbox: House) -> None:
    far = 10**12
    postman = relay(inbox, one=quiet)
    record(inbox, 1, 2, 3)
    postman.drain()
    record(inbox, 4)  # recorded before the backup, not delivered
    with inbox.db.transaction() as connection:
        with off_guard(connection):
            connection.execute(sa.text("UPDATE event_log SET tx = tx + :far"), {"far": far})
        connection.execute(sa.text("UPDATE subscriber_cursor SET tx = tx + :far"), {"far": far})
    record(inbox, 5)  # a web process was quicker than the relay
    assert postman.run_once() == 0  # the negative control: without the shift nothing ever comes
    restored = [Relay(inbox), Relay(inbox)]
    at_once([restored[0].drain, restored[1].drain])
    record(inbox, 6)
    for fresh in restored:
        fresh.drain()
    assert heard(inbox) == [1, 2, 3, 4, 5, 6]
    with inbox.db.reading() as connection:
        order = connection.scalars(sa.text("SELECT position FROM event_log ORDER BY tx, position")).all()
        assert list(order) == [1, 2, 3, 4, 5, 6]
        assert connection.scalar(sa.text("SELECT max(tx) FROM event_log WHERE position <= 4")) < 0
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), inbox.db.transaction() as connection:
        connection.execute(sa.text("UPDATE event_log SET tx = 0"))  # the guard is back


@only_postgres
def test_a_relay_that_starts_under_load_shifts_nothing(inbox: House) -> None:
    """Transactions that begin and commit while it looks are not mistaken for those of another cluster."""
    record(inbox, 0)
    done = threading.Event()

    def produce() -> None:
        try:
            for number in range(1, 60):
                record(inbox, number)
        finally:
            done.set()

    def start_relays() -> None:
        while not done.is_set():
            relay(inbox, one=quiet).run_once()

    assert at_once([produce, start_relays]) == [None, None]
    relay(inbox, one=quiet).drain()
    assert heard(inbox) == list(range(60))
    with inbox.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT min(tx) FROM event_log")) > 0


# --- lag, and the guard ------------------------------------------------------------------------------------


def test_lag_is_the_age_of_the_oldest_event_not_yet_handled(inbox: House) -> None:
    postman = relay(inbox, one=quiet, two=quiet)
    with time_machine.travel(clock.now(), tick=False) as time:
        record(inbox, 1)
        time.shift(timedelta(seconds=7))
        with inbox.db.reading() as connection:
            assert outbox.lag_seconds(connection, inbox.later) == pytest.approx(7)
        postman.drain()
        with inbox.db.reading() as connection:
            assert outbox.lag_seconds(connection, inbox.later) == 0


@pytest.mark.parametrize("change", ["UPDATE event_log SET payload = ''", "DELETE FROM event_log"])
def test_the_log_is_append_only(inbox: House, change: str) -> None:
    record(inbox, 1)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), inbox.db.transaction() as connection:
        connection.execute(sa.text(change))
