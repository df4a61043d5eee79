"""For whoever runs the platform: health, readiness, metrics and logs, with nothing in them that tells on a person."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from prometheus_client.parser import text_string_to_metric_families

from tanpuhui import clock
from tanpuhui.logs import configure_logging
from tanpuhui.outbox import EventFailure
from tanpuhui.rooms import House, build_house
from tanpuhui.web import create_app, problems
from tanpuhui.worker import Worker
from tests.databases import settings_for
from tests.world import World

PHONE = "13912345678"


def numbers(world: World) -> dict[tuple[str, str], float]:
    """Every sample of `/metrics` that has at most one label: (name, label) -> value."""
    answer = world.client().get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if len(sample.labels) <= 1
    }


# --- health and readiness ----------------------------------------------------------------------------------


def test_a_running_house_is_alive_and_ready(world: World) -> None:
    client = world.client()
    assert client.get("/healthz").get_json() == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ready",
        "checks": {
            "database": "ok",
            "migration": "head",
            "relay_lag_seconds": 0.0,
            "lease_age_seconds": None,
            "parked_events": 0,
        },
    }


def test_a_schema_that_is_behind_is_not_ready(world: World) -> None:
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    answer = world.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json() == {
        "status": "not ready",
        "checks": {"database": "ok", "migration": "behind"},
    }


def test_an_empty_database_is_not_ready(shelf: Any, tmp_path: Path) -> None:
    house = build_house(settings_for(shelf.empty(), tmp_path))
    answer = create_app(house).test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]["migration"]) == (503, "behind")
    house.db.dispose()


def test_figures_that_are_minutes_old_are_not_ready(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    with clock.pretending(clock.now() + timedelta(minutes=2)):
        late = world.client().get("/readyz")
        assert late.status_code == 503
        assert late.get_json()["checks"]["relay_lag_seconds"] > 119
        world.house.relay.drain()
        assert world.client().get("/readyz").status_code == 200


@pytest.fixture(params=["no server", "no database", "no file"])
def away(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A house whose database is not there."""
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database at all, " * 100)
    urls = {
        "no server": "postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=1",
        "no database": f"sqlite:///{broken}",
        "no file": f"sqlite:///{tmp_path}",
    }
    house = build_house(settings_for(urls[request.param], tmp_path))
    yield house
    house.db.dispose()


def test_without_its_database_it_is_alive_and_says_that_it_is_not_ready(away: House) -> None:
    client = create_app(away).test_client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "not ready"
    assert answer.get_json()["checks"].keys() == {"database"}
    assert not re.search("Traceback|nobody|/tmp|File ", answer.text)
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert "tanpuhui_relay_lag_seconds NaN" in metrics.text
    page = client.get("/factors")
    assert page.status_code in {500, 503}
    assert not re.search("Traceback|nobody|sqlalchemy|SELECT", page.text)


# --- metrics -----------------------------------------------------------------------------------------------


def test_scans_are_counted_by_result(world: World) -> None:
    before = numbers(world)
    token, code = world.token(world.resident()), world.code("clean_plate")
    for key, body in (
        ("first", {"code": code}),
        ("first", {"code": code}),
        ("second", {"code": code}),
        ("third", {"code": "A" * 24}),
        ("fourth", {"nonsense": 1}),
    ):
        world.post_scan(token, body, key=key)
    world.post_scan(None, {"code": code})
    after = numbers(world)
    counted = {
        result: after[name, result] - before.get((name, result), 0)
        for name, result in after
        if name == "tanpuhui_scans_total" and after[name, result] != before.get((name, result), 0)
    }
    assert counted == {"credited": 1, "replayed": 1, "too_soon": 1, "code_invalid": 1, "422": 1, "401": 1}
    timed = ("tanpuhui_request_seconds_count", "activities-api.post_scan")
    assert after[timed] - before.get(timed, 0) == 6


def test_a_refused_form_spoils_no_latency(world: World) -> None:
    """It is refused before the clock starts."""
    before = numbers(world)
    assert world.client().post("/login", data={"phone": PHONE}).status_code == 400
    after = numbers(world)
    seconds = {key for key in after if key[0] == "tanpuhui_request_seconds_sum"}
    assert sum(after[key] - before.get(key, 0) for key in seconds) < 60


def test_relay_lag_parked_events_and_the_lease_are_told(world: World) -> None:
    world.scan(world.resident(), world.code("clean_plate"))
    with world.house.db.session() as session:
        now = clock.now()
        session.add(
            EventFailure(
                subscriber="figures", position=1, attempts=5, next_attempt_at=now, parked_at=now, error=""
            )
        )
    found = numbers(world)
    assert found["tanpuhui_relay_lag_seconds", ""] > 0
    assert found["tanpuhui_parked_events", ""] == 1
    assert (
        found["tanpuhui_lease_age_seconds", ""] != found["tanpuhui_lease_age_seconds", ""]
    )  # NaN: nobody leads
    world.house.relay.drain()
    worker = Worker(world.house)
    worker.start()
    try:
        for _ in range(100):
            found = numbers(world)
            if found["tanpuhui_lease_age_seconds", ""] >= 0:
                break
            worker._stopping.wait(0.1)
    finally:
        worker.stop()
    assert 0 <= found["tanpuhui_lease_age_seconds", ""] < 5
    assert found["tanpuhui_relay_lag_seconds", ""] == 0


_SCRAPE = """
import os, sys
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.web import create_app
from tanpuhui.web.operations import SCANS

SCANS.labels("credited").inc(3)
if os.fork() == 0:
    SCANS.labels("credited").inc(4)
    os._exit(0)
os.wait()
print(create_app(build_house(Settings())).test_client().get("/metrics").text)
"""


@pytest.mark.parametrize("shared", [True, False])
def test_several_web_processes_count_together(shared: bool, tmp_path: Path) -> None:
    """With a folder to share, one scrape sees what all of them counted; without, only its own."""
    counts = tmp_path / "counts"
    counts.mkdir()
    environment = {**os.environ, "TANPUHUI_VAR": str(tmp_path), "TANPUHUI_ENV": "test"}
    if shared:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(counts)
    done = subprocess.run(
        [sys.executable, "-c", _SCRAPE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert f'tanpuhui_scans_total{{result="credited"}} {7.0 if shared else 3.0}' in done.stdout
    assert done.stdout.count("# TYPE tanpuhui_relay_lag_seconds gauge") == 1


# --- logs --------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[None]:
    """Logs as a deployment has them, and as they were afterwards."""
    before = structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in ("waitress", "alembic")}
    yield
    structlog.configure(**before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("log_json", [True, False], ids=["json", "text"])
def test_logs_hold_no_number_no_token_and_no_code(
    world: World,
    logged: None,
    log_json: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    configure_logging(settings_for("", tmp_path, log_json=log_json))
    monkeypatch.setattr(
        problems, "log", structlog.get_logger()
    )  # a logger remembers how it was first configured
    house, resident, code = world.house, world.resident(), world.code("clean_plate")
    token = world.token(resident)
    client = create_app(house).test_client()
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "secret-key"}
    assert client.post("/api/v1/scans", json={"code": code}, headers=headers).status_code == 201
    page = client.get("/login").text
    form = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert form is not None
    assert client.post("/login", data={"phone": PHONE, "csrf_token": form[1]}).status_code == 303
    capsys.readouterr()  # the console sender has shown the code, as it should
    assert client.post("/login/code", data={"code": "000000", "csrf_token": form[1]}).status_code == 401
    with house.db.transaction() as connection:
        connection.execute(sa.text("DROP TABLE stored_answer"))
    failed = client.post(
        "/api/v1/scans", json={"code": code}, headers={**headers, "Idempotency-Key": "other"}
    )
    assert failed.status_code == 500
    with house.db.transaction() as connection:
        connection.execute(sa.text("DROP TABLE login_code"))
    again = client.post("/login/code", data={"code": "123456", "csrf_token": form[1]})
    assert again.status_code == 500
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert text.count("unexpected_error") == 2
    for secret in (PHONE, PHONE[-8:], token, token[4:20], code, "secret-key", "123456", "+86"):
        assert secret not in text
    if log_json:
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["endpoint"] for line in lines] == ["activities-api.post_scan", "pages.login_code"]
        assert all({"timestamp", "level", "kind"} <= line.keys() for line in lines)
