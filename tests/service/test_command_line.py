"""The `tanpuhui` command: what each command says, changes and refuses, and its exit status."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlmodel import SQLModel

from activities.review import void_action
from tanpuhui.cli import cli
from tanpuhui.config import Settings
from tanpuhui.errors import ConfigurationError
from tanpuhui.rooms import House
from tanpuhui.staff import Role
from tests.tables import contents, written
from tests.world import DISTRICT, World

Run = Callable[..., Result]
NOBODY = "00000000-0000-7000-8000-000000000000"
sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def run(house: House) -> Run:
    """Run a command over `house` (with a `world`: over its house)."""
    return runner(house)


def runner(house: House) -> Run:
    """The command as its entry point puts it together."""
    of_rooms = {command.name: command for room in house.rooms for command in room.commands()}
    group = click.Group("tanpuhui", commands={**cli.commands, **of_rooms})
    return lambda *words: CliRunner().invoke(group, list(words), obj=house)


def change(house: House, statement: str) -> None:
    """Do what no code of ours does."""
    with house.db.transaction() as connection:
        assert connection.execute(sa.text(statement)).rowcount


# --- token and invite --------------------------------------------------------------------------------------


def test_tokens_open_what_their_subject_may(world: World) -> None:
    run = runner(world.house)
    resident, organiser, officer = world.resident(), world.organiser, world.officer
    opened = {
        f"resident:{resident.id}": {"/me/statement"},
        f"organiser:{organiser.id}": {"/console/sites"},
        f"officer:{officer.id}": {"/console/sites", "/statistics"},
    }
    for subject, paths in opened.items():
        result = run("token", subject)
        assert result.exit_code == 0
        (token,) = result.output.split()
        assert re.fullmatch(r"tph_[\w-]{43}", token)
        allowed = {
            path
            for path in ("/me/statement", "/console/sites", "/statistics")
            if world.call("GET", path, token).status_code == 200
        }
        assert allowed == paths
        with world.house.db.reading() as connection:
            assert token not in str(connection.execute(sa.text("SELECT * FROM api_token")).all())


def test_a_token_for_nobody_is_refused(world: World) -> None:
    run = runner(world.house)
    resident, officer = world.resident(), world.officer
    before = contents(world.house)
    for subject, status, reason in (
        ("resident", 2, "expected <role>:<id>"),
        ("resident:7", 2, "expected <role>:<id>"),
        (f"resident:{NOBODY}", 1, "no such resident"),
        (f"resident:{officer.id}", 1, "no such resident"),
        (f"mayor:{officer.id}", 2, "the role is resident or one of"),
        (f"officer:{resident.id}", 1, "is officer"),
        (f"organiser:{officer.id}", 1, "is organiser"),
    ):
        result = run("token", subject)
        assert (result.exit_code, reason in result.output) == (status, True), result.output
    assert written(before, contents(world.house)) == {}


@sqlite
def test_an_invitation_is_an_address_that_opens_once(world: World) -> None:
    run = runner(world.house)
    result = run("invite", "--role", "officer", "--role", "auditor")
    assert result.exit_code == 0
    address = result.output.strip()
    assert address.startswith(f"{world.house.settings.public_url}/staff/first/")
    path = address.removeprefix(world.house.settings.public_url)
    client = world.client()
    shown = client.get(path)
    assert shown.status_code == 200
    token = re.search(r'name="csrf_token" value="([^"]+)"', shown.text)
    assert token is not None
    form = {"name": "陈局", "password": "correct horse battery", "csrf_token": token[1]}
    assert client.post(path, data=form).status_code == 303
    assert client.get("/bureau").status_code == 200
    assert world.client().get(path).status_code == 404


@sqlite
def test_an_invitation_needs_a_role_and_a_division_that_exist(world: World) -> None:
    run = runner(world.house)
    assert run("invite").exit_code == 2
    assert run("invite", "--role", "mayor").exit_code == 2
    unknown = run("invite", "--role", "officer", "--division", "310199")
    assert (unknown.exit_code, "no division 310199" in unknown.output) == (2, True)
    assert run("invite", "--role", "officer", "--division", f"{DISTRICT}006").exit_code == 0


# --- verify and rebuild ------------------------------------------------------------------------------------


def lived_in(world: World) -> None:
    """A few scans, one taken back, all delivered."""
    plate, clothes = world.code("clean_plate"), world.code("clothing_reuse")
    for resident in world.residents(3):
        world.scan(resident, plate)
        last = world.scan(resident, clothes, quantity="1.5")
    void_action(world.house, world.colleague(Role.OFFICER), UUID(last["action"]["id"]), "重复扫码")
    world.house.relay.drain()


def test_verify_is_clean_until_a_balance_is_wrong(world: World) -> None:
    run = runner(world.house)
    lived_in(world)
    clean = run("verify")
    assert (clean.exit_code, "FAIL" in clean.output) == (0, False)
    assert clean.output.count("ok  ") == sum(len(room.invariants) for room in world.house.rooms) >= 6
    change(world.house, "UPDATE account SET balance = balance + 1 WHERE balance > 0")
    wrong = run("verify")
    assert wrong.exit_code == 1
    assert "FAIL a balance is the sum of its transfers" in wrong.output
    assert wrong.output.count("\n     ") >= 3


def test_verify_finds_an_action_nobody_published(world: World) -> None:
    run = runner(world.house)
    lived_in(world)
    new = {"id": f"'{NOBODY.replace('-', '') if world.house.db.is_sqlite else NOBODY}'", "ordinal": "9"}
    columns = [column.name for column in SQLModel.metadata.tables["action"].columns]
    copied = ", ".join(new.get(name, name) for name in columns)
    change(world.house, f"INSERT INTO action ({', '.join(columns)}) SELECT {copied} FROM action LIMIT 1")
    wrong = run("verify")
    assert wrong.exit_code == 1
    assert "FAIL an action has exactly one event" in wrong.output


def test_rebuild_check_finds_a_wrong_figure_and_rebuild_mends_it(world: World) -> None:
    run = runner(world.house)
    lived_in(world)
    equal = run("rebuild", "--check")
    assert (equal.exit_code, "The figures equal a rebuild." in equal.output) == (0, True)
    change(world.house, "UPDATE daily_figure SET actions = actions + 1 WHERE kind = 'clean_plate'")
    before = contents(world.house)
    wrong = run("rebuild", "--check")
    assert wrong.exit_code == 1
    assert "daily_figure" in wrong.output
    assert "clean_plate" in wrong.output
    assert written(before, contents(world.house)) == {}
    mended = run("rebuild")
    assert (mended.exit_code, "The figures were rebuilt." in mended.output) == (0, True)
    assert run("rebuild", "--check").exit_code == 0


# --- reference data and the sum ----------------------------------------------------------------------------


def test_load_reference_twice_changes_nothing(house: House, run: Run) -> None:
    first = run("load-reference")
    assert first.exit_code == 0
    assert "282 rows, 282 new, 0 changed" in first.output
    before = contents(house)
    second = run("load-reference")
    assert second.exit_code == 0
    assert "282 rows, 0 new, 0 changed" in second.output
    assert not re.search(r"[1-9]\d* (new|changed)", second.output)
    assert written(before, contents(house)) == {}


@sqlite
def test_load_reference_names_every_bad_row_and_loads_none(house: House, run: Run, tmp_path: Path) -> None:
    (tmp_path / "evidence.csv").write_text(
        "evidence,name_zh,name_en,rank,points_percent,counts_as_verified,note\n"
        "self_declared,自报,Self-declared,first,50,no,\n"
        "photo,照片佐证,Photo,2,70,perhaps,\n",
        encoding="utf-8",
    )
    before = contents(house)
    result = run("load-reference", str(tmp_path))
    assert result.exit_code == 1
    assert "evidence.csv:2 rank:" in result.stderr
    assert "evidence.csv:3 counts_as_verified:" in result.stderr
    assert "nothing loaded" in result.stderr
    assert written(before, contents(house)) == {}


@sqlite
def test_quantify_shows_the_sum(world: World) -> None:
    run = runner(world.house)
    result = run("quantify", "bike_trip", "2.5", "--json")
    assert result.exit_code == 0
    trace = json.loads(result.output)
    assert (trace["kind"], trace["quantity"], trace["unit"]) == ("bike_trip", "2.5", "km")
    reduction = trace["reduction"]
    assert (reduction["co2e_mg"], reduction["nox_ug"], reduction["so2_ug"]) == (121_750, 121_871, None)
    assert trace["factor"]["version"] == reduction["factor_version"] == "bike_trip@1"
    assert trace["factor"]["source"]
    assert len(trace["steps"]) == 8
    text = run("quantify", "bike_trip", "2.5")
    assert text.exit_code == 0
    assert "CO2e (low) = 2.5 km × 48.7 g/km" in text.output
    scanned = world.scan(world.resident(), world.code("bike_trip"), quantity="2.5")
    assert {name: scanned["action"]["reduction"][name] for name in reduction} == reduction


@sqlite
def test_quantify_shows_by_which_methodology_and_at_a_glance(world: World) -> None:
    run = runner(world.house)
    trace = json.loads(run("quantify", "clean_plate", "1", "--json").output)
    assert trace["glance_zh"] == "1 餐 × 144 克/餐 = 144 克；较高值：93 克 × 4.83 千克/千克 ≈ 449 克"
    assert trace["formula"] == "R = Q × w × f"
    assert (trace["methodology"]["code"], trace["methodology"]["form"]) == ("catering_savings", "generation")
    assert [derived["result"] for derived in trace["derivation"]] == ["449.19"]
    text = run("quantify", "clean_plate", "1").output
    for told in ("方法学：餐饮节约 (catering_savings)", "公式：R = Q × w × f", "可信度 B", "confidence B"):
        assert told in text
    assert text.count("暂无因子") == text.count("no factor known") == 5


@sqlite
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("teleport", "1"), "unknown_kind"),
        (("bike_trip", "far"), "quantity_not_a_number"),
        (("bike_trip", "NaN"), "quantity_not_a_number"),
        (("bike_trip", "1.2345"), "quantity_too_precise"),
        (("bike_trip", "0"), "must be larger than 0"),
        (("bike_trip", "1", "--on", "yesterday"), "does not match the format"),
        (("bike_trip",), "Missing argument"),
    ],
)
def test_quantify_refuses_what_cannot_be_computed(world: World, words: tuple[str, ...], reason: str) -> None:
    result = runner(world.house)("quantify", *words)
    assert result.exit_code in {1, 2}
    assert reason in result.output


# --- the process -------------------------------------------------------------------------------------------


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in an environment that sets nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TANPUHUI_")}
    return subprocess.run(
        [sys.executable, "-m", "tanpuhui.cli", *words],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_sum_by_hand_needs_no_database(tmp_path: Path) -> None:
    done = command(
        "quantify", "--factor", "1100 h", "--factor", "0.42 t/MWh", "1 MW", TANPUHUI_VAR=str(tmp_path)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("公式 formula: 1 MW × 1,100 h × 0.42 t/MWh = 462 t\n")
    assert list(tmp_path.glob("*.sqlite3")) == []


def test_from_an_empty_folder_to_a_token(tmp_path: Path) -> None:
    place = {"TANPUHUI_VAR": str(tmp_path / "var")}
    assert command("migrate", **place).returncode == 0
    loaded = command("load-reference", **place)
    assert (loaded.returncode, "reference data version 1" in loaded.stdout) == (0, True)
    assert command("verify", **place).returncode == 0
    assert sorted(file.name for file in (tmp_path / "var").glob("*.sqlite3")) == ["tanpuhui.sqlite3"]


def test_production_refuses_to_start_and_says_every_reason(tmp_path: Path) -> None:
    production = {"TANPUHUI_ENV": "production", "TANPUHUI_VAR": str(tmp_path / "var")}
    refused = command("verify", FLASK_DEBUG="1", **production)
    assert refused.returncode != 0
    for name in (
        "TANPUHUI_SECRET_KEY",
        "TANPUHUI_PUBLIC_URL",
        "TANPUHUI_SMS_GATEWAY_URL",
        "TANPUHUI_DATABASE_URL",
        "FLASK_DEBUG",
    ):
        assert name in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("TANPUHUI_SECRET_KEY", "short"),
        ("TANPUHUI_PUBLIC_URL", "http://tph.example"),
        ("TANPUHUI_SMS_GATEWAY_URL", ""),
        ("TANPUHUI_SMS_GATEWAY_URL", "http://sms.example/send"),
        ("TANPUHUI_DATABASE_URL", ""),
        ("FLASK_DEBUG", "1"),
    ],
)
def test_each_setting_of_production_is_refused_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, bad: str
) -> None:
    complete = {
        "TANPUHUI_ENV": "production",
        "TANPUHUI_VAR": str(tmp_path / "var"),
        "TANPUHUI_SECRET_KEY": "a production key of more than 32 characters",
        "TANPUHUI_PUBLIC_URL": "https://tph.example",
        "TANPUHUI_SMS_GATEWAY_URL": "https://sms.example/send",
        "TANPUHUI_DATABASE_URL": f"sqlite:///{tmp_path}/production.sqlite3",
        "FLASK_DEBUG": "0",
    }
    for setting, value in complete.items():
        monkeypatch.setenv(setting, value)
    Settings().check()
    monkeypatch.setenv(name, bad)
    with pytest.raises(ConfigurationError) as refused:
        Settings().check()
    said = refused.value.params["problems"]
    assert [setting for setting in complete if setting in said] == [name]
    assert "a production key" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("TANPUHUI_PORT", "eighty"), ("TANPUHUI_ENV", "staging"), ("TANPUHUI_LATE_HOURS", "-1")],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, name: str, value: str) -> None:
    refused = command("verify", **{"TANPUHUI_VAR": str(tmp_path), name: value})
    assert refused.returncode != 0
    assert name.removeprefix("TANPUHUI_").lower() in refused.stderr
    assert "Traceback" not in refused.stderr
