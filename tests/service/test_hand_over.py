"""The hand-over file: everything that traceability asks for, the same each time, and whatever is changed of it is found."""

import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from activities import declaration_files, declared, hand_over, source_register, verify_hand_over
from activities.declaration_files import DeclarationFile
from activities.declarations import Declaration
from activities.declaring import confirm, report, use, withdraw
from activities.review import void_action
from activities.verify_hand_over import (
    CO2E,
    COMPUTED,
    MANIFEST,
    PARTS,
    RECORD,
    Broken,
    Totals,
    line_of,
    main,
    verify,
)
from tanpuhui import clock
from tanpuhui.errors import NotAllowed, NotFound
from tanpuhui.jobs import run_due
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.past import DAY, DAYS, FOOD, ITEMS, recorded
from tests.threads import at_once
from tests.world import STREET, World

Contents = dict[str, list[dict[str, Any]]]


def made(world: World, declaration_id: UUID) -> bytes:
    out = BytesIO()
    hand_over.write(world.house, declaration_id, out)
    return out.getvalue()


def opened(body: bytes) -> Contents:
    """The objects of each part."""
    with zipfile.ZipFile(BytesIO(body)) as file:
        return {name: [json.loads(line) for line in file.read(name).splitlines()] for name in file.namelist()}


def closed(contents: Contents, path: Path, *, mended: bool) -> str:
    """A file of the contents; `mended`: with hashes, counts and sums as a forger who knows the format would tell them."""
    raw = {name: b"".join(map(line_of, rows)) for name, rows in contents.items()}
    if mended:
        (manifest,) = contents[MANIFEST]
        for part in manifest["parts"]:
            body = raw[part["name"]]
            part |= {"lines": body.count(b"\n"), "bytes": len(body), "sha256": sha256(body).hexdigest()}
        raw[MANIFEST] = line_of(manifest)
    with zipfile.ZipFile(path, "w") as file:
        for name, body in raw.items():
            file.writestr(name, body)
    return str(path)


def two_kinds(world: World) -> Declaration:
    """A declaration of two kinds, two sites and two actors, one of whom did three things."""
    with clock.pretending(clock.day_bounds(DAY)[0] + timedelta(hours=4)):
        codes = [world.code("own_cup"), world.code("own_cup", "no_cutlery")]
        one, other = world.residents(2)
        world.scan(one, codes[0])
        world.scan(other, codes[1], kind="own_cup")
        world.scan(one, codes[1], kind="no_cutlery")
    with clock.pretending(clock.day_bounds(DAYS[1])[0] + timedelta(hours=4)):
        world.scan(one, codes[0])
    return report(world.house, world.officer, ITEMS, *DAYS)


def test_the_file_tells_everything_by_which_a_report_is_traced(world: World, tmp_path: Path) -> None:
    with clock.pretending(clock.day_bounds(DAY)[0] + timedelta(hours=4)):
        site = world.site("clean_plate")
        code = world.code_at(site)
        residents = world.residents(3)
        for resident in residents:
            world.scan(resident, code)
    source_register.set_number(world.house, world.organiser, site.id, "沪静 310106-0042", "区源清单")
    declaration = report(world.house, world.officer, FOOD, *DAYS)
    recorded(world)  # late, and not in it
    body = made(world, declaration.id)
    found = opened(body)
    (manifest,), (told,) = found[MANIFEST], found["sites.jsonl"]
    assert told == {
        "site": str(site.id), "source_register": "沪静310106-0042", "name": site.name, "kind": "canteen",
        "division": "310106006002", "latitude_e6": None, "longitude_e6": None, "datum": None,
    }  # fmt: skip
    assert manifest["district"] == {"code": "310106", "name": "静安区"}
    assert manifest["methodology"]["title"] == "餐饮节约"
    assert manifest["declaration"]["state"] == "reported"
    assert manifest["counts"] == {
        "records": 3, "actors": 3, "sites": 1, "sites_in_source_register": 1, "factors": 1,
    }  # fmt: skip
    assert [manifest["sums"][name] for name in CO2E] == [
        declaration.co2e_mg, declaration.co2e_mid_mg, declaration.co2e_high_mg,
    ]  # fmt: skip
    assert (manifest["sums"]["nox_ug"], manifest["known"]["nox"]) == (None, 0)
    (tier,) = manifest["evidence"]
    assert (tier["code"], tier["verified"], tier["records"]) == ("site_code", True, 3)
    first = found["records.jsonl"][0]
    assert list(first) == list(RECORD)
    assert first["calculation"] == "1000 x 144000000000 // 1000000000 = 144000"
    assert (first["day"], first["unit"], first["co2e_mg"]) == (str(DAY), "meal", 144_000)
    (factor,) = found["factors.jsonl"]
    assert (factor["factor_version"], factor["methodology"]) == ("clean_plate@1", FOOD)
    assert factor["source"]
    path = tmp_path / "hand-over.zip"
    path.write_bytes(body)
    assert verify(str(path)).startswith("3 records, 1 sites, 1 factors, 432000 mg of CO2e (low value)")


def test_made_again_it_is_the_same_and_a_step_changes_the_manifest_alone(world: World) -> None:
    declaration = two_kinds(world)
    first = made(world, declaration.id)
    world.publish_factor("own_cup", co2e_low_ng=1, valid_from=clock.today() + timedelta(days=3))
    recorded(world, kind="own_cup")
    assert made(world, declaration.id) == first
    confirm(world.house, world.officer, declaration.id, city_reference="沪环〔2026〕1号", confirmed_mg=1)
    use(world.house, world.officer, declaration.id, used_for="低碳日会议")
    second = made(world, declaration.id)
    before, after = opened(first), opened(second)
    assert {name for name in before if before[name] != after[name]} == {MANIFEST}
    told = after[MANIFEST][0]["declaration"]
    assert (told["state"], told["city_reference"], told["confirmed_mg"]) == ("used", "沪环〔2026〕1号", 1)
    assert made(world, declaration.id) == second


def test_an_actor_is_one_within_a_declaration_and_nobody_outside_of_it(world: World) -> None:
    declaration = two_kinds(world)
    records = opened(made(world, declaration.id))["records.jsonl"]
    body = json.dumps(records)
    with world.house.db.reading() as connection:
        people = {row.id: row for row in connection.execute(sa.text("SELECT id, phone_index FROM resident"))}
        by = {
            str(UUID(str(row.id))): str(row.resident_id)
            for row in connection.execute(sa.text("SELECT id, resident_id FROM action"))
        }
    assert not [one for one in people if str(one).replace("-", "") in body.replace("-", "")]
    actors = {(by[record["record"]], record["actor"]) for record in records}
    assert len(actors) == 2  # one actor each, and each their own
    withdraw(world.house, world.officer, declaration.id, reason="时间填错了")
    again = report(world.house, world.officer, ITEMS, *DAYS)
    others = opened(made(world, again.id))["records.jsonl"]
    assert [one["record"] for one in others] == [one["record"] for one in records]
    assert not {one["actor"] for one in others} & {one["actor"] for one in records}


# --- whatever is changed is found ---------------------------------------------------------------------------


def _changed(value: Any) -> Any:
    """Another value of the same sort."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case None:
            return 1
        case str() if value[:1].isdigit() or len(value) > 30:
            return ("1" if value[0] != "1" else "2") + value[1:]
        case _:
            return value + "x"


@pytest.mark.parametrize("engine", ["sqlite"])
def test_every_field_that_is_changed_is_found_with_its_line(world: World, tmp_path: Path) -> None:
    """Without the hash mended nothing passes; told with the fingerprint, no field of the manifest does either."""
    body = made(world, two_kinds(world).id)
    path = tmp_path / "changed.zip"
    path.write_bytes(body)
    fingerprint = sha256(line_of(opened(body)[MANIFEST][0])).hexdigest()
    assert verify(str(path), fingerprint)
    tried = 0
    for name in PARTS:
        for field in opened(body)[name][0]:
            contents = opened(body)
            contents[name][1 % len(contents[name])][field] = _changed(contents[name][-1][field])
            with pytest.raises(Broken, match=name):
                verify(closed(contents, path, mended=False))
            tried += 1
    (manifest,) = opened(body)[MANIFEST]
    for section in ("district", "methodology", "declaration", "counts", "sums", "known"):
        for field in manifest[section]:
            contents = opened(body)
            contents[MANIFEST][0][section][field] = _changed(manifest[section][field])
            with pytest.raises(Broken):
                verify(closed(contents, path, mended=False), fingerprint)
            tried += 1
    assert tried > 80


def _mended_sums(contents: Contents) -> None:
    totals = Totals()
    for record in contents["records.jsonl"]:
        totals.add(record)
    (manifest,) = contents[MANIFEST]
    manifest |= {
        "sums": totals.sums(),
        "known": totals.known(),
        "counts": totals.counts(totals.actors()[0], 0),
    }
    for tier in manifest["evidence"]:
        tier.update(totals.tiers()[tier["code"]])


def _set(part: str, line: int, **fields: Any) -> Callable[[Contents], Any]:
    return lambda contents: contents[part][line - 1].update(fields)


def _double(contents: Contents) -> None:
    records = contents["records.jsonl"]
    records.insert(1, dict(records[0]))


def _double_under_another_id(contents: Contents) -> None:
    records = contents["records.jsonl"]
    records.append({**records[0], "record": "f" * 8 + records[0]["record"][8:]})


FORGED: list[tuple[Callable[[Contents], Any], str]] = [
    (_set("records.jsonl", 2, co2e_mg=1), "records.jsonl, line 2: co2e_mg is 1, computed again it is"),
    (_set("records.jsonl", 3, co2e_high_mg=0), "records.jsonl, line 3: co2e_high_mg is 0"),
    (_set("records.jsonl", 1, nox_ug=7), "records.jsonl, line 1: nox_ug is 7, computed again it is None"),
    (_set("records.jsonl", 1, quantity_milli=2000), "records.jsonl, line 1: co2e_mg is"),
    (_set("records.jsonl", 1, quantity_milli=0), "records.jsonl, line 1: quantity_milli is 0"),
    (_set("records.jsonl", 1, quantity_milli=1.5), "records.jsonl, line 1: quantity_milli is 1.5"),
    (_set("records.jsonl", 1, quantity_milli=True), "records.jsonl, line 1: quantity_milli is True"),
    (_set("records.jsonl", 1, calculation="1 x 1"), "line 1: the calculation is not that of"),
    (_set("records.jsonl", 1, unit="kg"), "line 1: unit is kg and its factor is for"),
    (_set("records.jsonl", 1, kind="clean_plate"), "line 1: kind is clean_plate"),
    (_set("records.jsonl", 1, factor_version="own_cup@9"), "own_cup@9 is nowhere in the file"),
    (_set("records.jsonl", 1, site="0" * 8 + "-0000-0000-0000-" + "0" * 12), "is nowhere in the file"),
    (_set("records.jsonl", 1, evidence="measured"), "evidence measured is nowhere in the file"),
    (_set("records.jsonl", 1, day="2020-01-01"), "2020-01-01 is not within the period"),
    (_set("records.jsonl", 1, day=str(DAYS[1])), "is not on"),
    (_set("records.jsonl", 1, occurred_at="2020-01-01"), "occurred_at is '2020-01-01'"),
    (_set("records.jsonl", 1, recorded_at="2020-01-01T00:00:00Z"), "was recorded before it occurred"),
    (_set("records.jsonl", 1, actor="Zhang San"), "actor is 'Zhang San'"),
    (_set("records.jsonl", 2, record="0" * 8 + "-0000-0000-0000-" + "0" * 12), "is out of order"),
    (_set("records.jsonl", 1, phone="139"), "line 1: its fields are"),
    (lambda contents: contents["records.jsonl"][0].pop("actor"), "line 1: its fields are"),
    (_double, "records.jsonl, line 2: record .* is there twice"),
    (_double_under_another_id, "line 5: the same actor, day, kind and ordinal as an earlier line"),
    (_set("factors.jsonl", 1, co2e_low_ng=10**15), "factors.jsonl, line 1: low, mid and high"),
    (_set("factors.jsonl", 1, methodology="other"), "factors.jsonl, line 1: follows other"),
    (_set("factors.jsonl", 1, valid_from="2099-01-01"), "is earlier than its factor is valid"),
    (_set("factors.jsonl", 1, source=""), "factors.jsonl, line 1: source is ''"),
    (_set("sites.jsonl", 1, division="上海"), "sites.jsonl, line 1: division is"),
    (lambda contents: contents["sites.jsonl"].pop(), "is nowhere in the file"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_forger_who_mends_hashes_and_sums_is_found_by_the_sums_of_each_line(
    world: World, tmp_path: Path
) -> None:
    body = made(world, two_kinds(world).id)
    path = tmp_path / "forged.zip"
    for forge, reason in FORGED:
        contents = opened(body)
        forge(contents)
        for mend_sums in (False, True):
            if mend_sums:
                try:
                    _mended_sums(contents)
                except (KeyError, ValueError, TypeError):
                    continue  # no record any more that could be added up
            with pytest.raises(Broken, match=reason):
                verify(closed(contents, path, mended=True))
    for section, field, value, reason in (
        ("sums", "co2e_mg", 1, "sums: co2e_mg is 1, added up again"),
        ("counts", "actors", 9, "counts: actors is 9, added up again 2"),
        ("known", "voc", 1, "known: voc is 1, added up again 0"),
        ("declaration", "state", "used", "confirmed_at is None though it is used"),
        ("declaration", "last", "2020-01-01", "ends before it begins"),
        ("declaration", "confirmed_mg", 5, "confirmed_mg is 5 though it is reported"),
        ("methodology", "code", "other", "follows single_use_avoided and not other"),
    ):
        contents = opened(body)
        contents[MANIFEST][0][section][field] = value
        with pytest.raises(Broken, match=reason):
            verify(closed(contents, path, mended=True))


@pytest.mark.parametrize("engine", ["sqlite"])
def test_what_is_no_such_file_is_refused_in_words(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = made(world, two_kinds(world).id)
    path = tmp_path / "broken.zip"
    middle = len(body) // 2
    spoilt = body[:middle] + bytes([body[middle] ^ 255]) + body[middle + 1 :]
    for raw in (b"", b"PK", body[:-30], body[:middle], spoilt):
        path.write_bytes(raw)
        assert main([str(path)]) == 1
        assert capsys.readouterr().out.startswith("REFUSED: ")
    assert main([str(tmp_path / "nothing.zip")]) == 1
    contents = opened(body)
    del contents["sites.jsonl"]
    assert main([closed(contents, path, mended=False)]) == 1
    assert "instead of" in capsys.readouterr().out
    assert main([]) == 2


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_script_runs_without_the_platform(world: World, tmp_path: Path) -> None:
    script, path = tmp_path / "verify_hand_over.py", tmp_path / "hand-over.zip"
    script.write_bytes(world.client().get("/hand-over/verify_hand_over.py").data)
    assert script.read_text() == Path(verify_hand_over.__file__).read_text()
    path.write_bytes(made(world, two_kinds(world).id))
    command = [sys.executable, "-I", "-S", str(script), str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("All of it holds: 4 records, 2 sites, 2 factors")
    done = subprocess.run([*command, "0" * 64], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not the one that was told" in done.stdout


# --- pages --------------------------------------------------------------------------------------------------


def ready(officer: Browser, page: str) -> str:
    """The page of the file once it is whole."""
    end = time.monotonic() + 30
    while "url=" in (seen := officer.get(page)) or "正在生成" in seen:
        assert time.monotonic() < end
        time.sleep(0.05)
    return seen


def test_an_officer_takes_the_file_and_it_is_noted_with_its_fingerprint(world: World, tmp_path: Path) -> None:
    declaration = two_kinds(world)
    page = f"/bureau/declarations/{declaration.id}"
    officer = browser(world, world.officer)
    assert f"{page}/hand-over" in officer.get(page)
    assert "生成交接文件" in officer.get(f"{page}/hand-over")
    officer.send(f"{declaration.id}/hand-over")
    assert officer.path == f"{page}/hand-over"
    assert "交接文件好了" in ready(officer, f"{page}/hand-over")
    body = officer.take("hand-over.zip")
    assert officer.page.content_type == "application/zip"
    path = tmp_path / "taken.zip"
    path.write_bytes(body)
    assert body == made(world, declaration.id)
    fingerprint = verify(str(path)).rpartition(" ")[2]
    assert fingerprint[:8] in officer.page.headers["Content-Disposition"]
    seen = browser(world, world.colleague(Role.AUDITOR), "en").get(page)
    assert fingerprint[:16] in seen.replace("<wbr>", "")
    with world.house.db.reading() as connection:
        noted = connection.execute(
            sa.text("SELECT actor_id, subject FROM audit_entry WHERE deed = 'declaration.handed_over'")
        ).all()
    assert [(UUID(str(row.actor_id)), row.subject) for row in noted] == [
        (world.officer.id, f"declaration:{declaration.id}")
    ]
    with clock.pretending(clock.now() + timedelta(days=1, minutes=1)):
        assert "生成交接文件" in browser(world, world.officer).get(f"{page}/hand-over")
        run_due(world.house, declaration_files.JOB, clock.now())
    assert (_count(world, "declaration_file"), _count(world, "declaration_file_piece")) == (0, 0)


def _count(world: World, table: str) -> int:
    with world.house.db.reading() as connection:
        return connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0


def _file(world: World, declaration: Declaration) -> DeclarationFile:
    with world.house.db.reading_session() as session:
        found = declaration_files.latest(session, declaration.id)
        session.expunge_all()
    assert found
    return found


def _ordered(world: World, declaration: Declaration, monkeypatch: pytest.MonkeyPatch) -> DeclarationFile:
    """A file that was asked for and that nobody has begun."""
    with monkeypatch.context() as still:
        still.setattr(declaration_files, "_begin", lambda *_: None)
        declaration_files.order(world.house, world.officer, declaration.id)
    return _file(world, declaration)


def test_scans_are_credited_while_a_file_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what becomes of the declaration meanwhile is in none of it: the file is of one moment."""
    declaration, resident, code = two_kinds(world), world.resident(), world.code("clean_plate")
    before = made(world, declaration.id)
    reads, goes_on = threading.Event(), threading.Event()
    read = declared.records

    def halting(*asked: Any) -> Iterator[sa.RowMapping]:
        rows = read(*asked)
        yield next(rows)
        reads.set()
        assert goes_on.wait(30)
        yield from rows

    monkeypatch.setattr(declared, "records", halting)
    declaration_files.order(world.house, world.officer, declaration.id)
    assert reads.wait(30)
    assert world.scan(resident, code)["points"]["balance"] > 0
    withdraw(world.house, world.officer, declaration.id, reason="时间填错了")
    officer = browser(world, world.officer)
    assert "正在生成" in officer.get(f"/bureau/declarations/{declaration.id}/hand-over")
    assert 'http-equiv="refresh"' in officer.page.text
    goes_on.set()
    ready(officer, f"/bureau/declarations/{declaration.id}/hand-over")
    assert officer.take("hand-over.zip") == before


def test_killed_half_way_nothing_is_left_and_it_is_made_again_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = two_kinds(world)
    file = _ordered(world, declaration, monkeypatch)
    piece = {"file_id": file.id, "attempt": 1, "number": 0, "body": b"half a file"}
    with world.house.db.transaction() as connection:
        connection.execute(sa.insert(SQLModel.metadata.tables["declaration_file_piece"]), piece)
    with pytest.raises(NotFound):
        declaration_files.take(world.house, world.officer, declaration.id)
    declaration_files.tend(world.house, file)
    assert _file(world, declaration).attempt == 1  # its maker may still be at it
    begun: list[int] = []
    with clock.pretending(clock.now() + timedelta(minutes=1)):
        with monkeypatch.context() as still:
            still.setattr(declaration_files, "_begin", lambda _house, _id, attempt: begun.append(attempt))
            at_once([lambda: declaration_files.tend(world.house, file)] * 3)
        assert begun == [2]
        declaration_files.make(world.house, file.id, 1)  # one that was only slow has been overtaken
        assert _file(world, declaration).finished_at is None
        declaration_files.make(world.house, file.id, 2)
    *_, pieces = declaration_files.take(world.house, world.officer, declaration.id)
    assert b"".join(pieces) == made(world, declaration.id)


def test_two_who_ask_at_once_get_one_file_and_the_database_keeps_it_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = two_kinds(world)
    monkeypatch.setattr(declaration_files, "_begin", lambda *_: None)
    asked = at_once([lambda: declaration_files.order(world.house, world.officer, declaration.id)] * 4)
    assert (asked, _count(world, "declaration_file")) == ([None] * 4, 1)
    file = _file(world, declaration)
    whole = "done = records, size = 9, fingerprint = 'x', finished_at = worked_at"
    piece = "INSERT INTO declaration_file_piece (file_id, attempt, number, body) SELECT id, {}, 0, body FROM declaration_file, (SELECT pdf AS body FROM (SELECT CAST('123' AS {}) AS pdf) p) b"
    blob = "BLOB" if world.house.db.is_sqlite else "bytea"
    for refused in (f"UPDATE declaration_file SET {whole}", piece.format(2, blob)):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.text(refused))
    declaration_files.make(world.house, file.id, 1)
    for refused in (
        "UPDATE declaration_file SET size = size",
        "UPDATE declaration_file_piece SET number = 7",
        piece.format(1, blob),
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(sa.text(refused))


def test_nobody_else_takes_it(world: World) -> None:
    declaration = two_kinds(world)
    page = f"/bureau/declarations/{declaration.id}"
    admin = browser(world, world.colleague(Role.ADMIN))
    assert "交给市级核查的文件" not in admin.get(page)
    for who in (
        world.colleague(Role.ADMIN, Role.AUDITOR),
        world.colleague(Role.OFFICER, division=STREET),
        world.organiser,
    ):
        for deed in (declaration_files.order, declaration_files.take):
            with pytest.raises(NotAllowed):
                deed(world.house, who, declaration.id)
    with pytest.raises(NotFound):
        declaration_files.order(world.house, world.officer, UUID(int=7))
    assert browser(world).client.post(f"{page}/hand-over").status_code in {302, 303, 400, 401}
    assert (
        browser(world, world.colleague(Role.OFFICER, division=STREET))
        .client.get(f"{page}/hand-over")
        .status_code
        == 403
    )


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_site_is_given_its_number_in_the_register(world: World) -> None:
    site = world.site("clean_plate")
    organiser = browser(world, world.organiser)
    path = f"/console/sites/{site.id}/source-register"
    organiser.get(path)
    wrong = organiser.send("source-register", source_register="=1+1", reason="区源清单")
    assert organiser.status == 422
    assert "编号最多 64 个字" in wrong
    assert 'value="=1+1"' in wrong
    organiser.send("source-register", source_register="SH-0042", reason="区源清单")
    assert organiser.path == f"/console/sites/{site.id}"
    assert 'value="SH-0042"' in organiser.get(path)
    other = browser(world, world.colleague(Role.ORGANISER, division="310106011"))
    other.get(path)
    assert other.status == 403


def test_what_was_voided_is_not_handed_over(world: World) -> None:
    first, second = recorded(world, 2)
    void_action(world.house, world.officer, first, "重复扫码")
    declaration = report(world.house, world.officer, FOOD, *DAYS)
    found = opened(made(world, declaration.id))["records.jsonl"]
    assert [one["record"] for one in found] == [str(second)]
    assert COMPUTED.keys() <= found[0].keys()
