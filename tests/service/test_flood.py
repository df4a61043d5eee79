"""Who guesses codes, or knocks on and on, is told to wait; an honest crowd behind one address is not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tanpuhui.flood import MOST_NAMES, Flood
from tanpuhui.web import slowing
from tanpuhui.web.slowing import MOST_OF_ACCOUNT, MOST_OF_ADDRESS
from tests.browser import browser
from tests.world import World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    """Noon in Shanghai."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits that hold outside of tests."""
    monkeypatch.setattr(slowing, "MOST_OF_ACCOUNT", MOST_OF_ACCOUNT)
    monkeypatch.setattr(slowing, "MOST_OF_ADDRESS", MOST_OF_ADDRESS)


def scan(client: FlaskClient, token: str, code: str) -> TestResponse:
    return client.post(
        "/api/v1/scans",
        json={"code": code},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": uuid4().hex},
    )


@sqlite
def test_an_account_that_guesses_has_to_wait_and_no_other_has(world: World, time: Any) -> None:
    guesser, honest = (world.token(resident) for resident in world.residents(2))
    code, client = world.code("clean_plate"), world.client()
    answers = [scan(client, guesser, "A" * 24).status_code for _ in range(MOST_OF_ACCOUNT)]
    assert set(answers) == {404}
    slowed = scan(client, guesser, code)
    assert (slowed.status_code, slowed.headers["Retry-After"]) == (429, "60")
    assert slowed.json["code"] == "too_many_requests"
    assert scan(client, honest, code).status_code == 201
    time.shift(timedelta(seconds=60))
    assert scan(client, guesser, code).status_code == 201


@sqlite
def test_an_address_that_guesses_has_to_wait_unless_somebody_is_logged_in(world: World, time: Any) -> None:
    """Made-up tokens, one for each guess, are no account of their own."""
    code, client = world.code("clean_plate"), world.client()
    for number in range(MOST_OF_ADDRESS // 2):
        assert client.get(f"/s/{'A' * 24}?key=k").status_code == 404
        assert scan(client, f"made-up-token-{number:020d}", code).status_code == 401
    for answer in (client.get(f"/s/{code}?key=k"), scan(client, f"made-up-token-{7:020d}", code)):
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert scan(client, world.token(world.resident()), code).status_code == 201
    me = browser(world, world.resident())
    assert me.client.get(f"/s/{code}?key=k").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.get(f"/s/{code}?key=k", environ_overrides=elsewhere).status_code == 200
    time.shift(timedelta(seconds=60))
    assert client.get(f"/s/{code}?key=k").status_code == 200


@sqlite
def test_a_crowd_of_honest_people_is_never_slowed_down(world: World) -> None:
    code, client = world.code("clean_plate"), world.client()
    for _ in range(MOST_OF_ADDRESS + 50):
        assert client.get(f"/s/{code}?key=k").status_code == 200


def test_names_made_up_do_not_fill_the_memory() -> None:
    flood = Flood(3)
    for number in range(MOST_NAMES + 10):
        flood.note(str(number))
    assert len(flood._failures) == MOST_NAMES + 1
    assert flood.wait("0") == 0
