"""Targets as a sheet: what is exported imports without a change; what is wrong is told by row and column; all or nothing."""

import io
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
import time_machine
import xlsxwriter
from sqlmodel import select

from tanpuhui.bureau.target_changes import enter_progress, withdraw_target
from tanpuhui.bureau.target_comparison import Plan
from tanpuhui.bureau.target_imports import apply_sheet, dry_run, exported
from tanpuhui.bureau.target_sheets import COLUMNS, Table, csv_of, read_table, xlsx_of
from tanpuhui.bureau.targets import Target
from tanpuhui.errors import InvalidField, NotAllowed, TargetChanged
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_targets import NOON, OTHER_STREET, YEAR, audited, make, read, shown
from tests.world import STREET, World

Row = dict[str, str]


@pytest.fixture(autouse=True)
def time() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


def rows(world: World) -> list[Row]:
    """Five targets, as they are exported."""
    root = make(world, notes="=1+1")
    make(world, root, division_code=STREET, amount="60.125")
    street = make(world, root, division_code=OTHER_STREET, amount="30")
    make(world, street, division_code=OTHER_STREET, department="@社区发展办", measure="venues", amount="12")
    make(world, measure="free", subject="更换的节能灯", unit="盏", amount="200", due_on="2026-06-30")
    return exported(world.house, world.officer, YEAR)


def looked_at(world: World, table: Table | list[Row]) -> Plan:
    table = table if isinstance(table, Table) else read_table("t.csv", csv_of(table))
    return dry_run(world.house, world.officer, YEAR, table)


def applied(world: World, found: list[Row], reason: str = "年中调整") -> Plan:
    table = read_table("t.csv", csv_of(found))
    plan = dry_run(world.house, world.officer, YEAR, table)
    return apply_sheet(world.house, world.officer, YEAR, table, reason=reason, digest=plan.digest)


def told(plan: Plan) -> list[tuple[int, str]]:
    return [(problem.row, problem.column) for problem in plan.problems]


def names(world: World, code: str) -> dict[str, str]:
    return next(row for row in exported(world.house, world.officer, YEAR) if row["编号"] == code)


def test_what_is_exported_imports_without_a_change_and_runs_no_formula(world: World) -> None:
    found = rows(world)
    assert [row["编号"] for row in found] == ["1", "1.1", "1.2", "1.2.1", "2"]
    for name, content in (("t.csv", csv_of(found)), ("t.xlsx", xlsx_of(found))):
        table = read_table(name, content)
        assert [dict(line.cells) for line in table.lines] == found
        plan = looked_at(world, table)
        assert (plan.changes, plan.unchanged, plan.absent, plan.problems) == ((), 5, 0, ())
        done = apply_sheet(world.house, world.officer, YEAR, table, reason="没有改", digest=plan.digest)
        assert done.changes == ()
    assert ",'=1+1\r\n" in csv_of(found).decode("utf-8-sig")
    assert ",'@社区发展办," in csv_of(found).decode("utf-8-sig")
    cells = [
        cell for row in openpyxl.load_workbook(io.BytesIO(xlsx_of(found))).active.iter_rows() for cell in row
    ]
    assert {cell.data_type for cell in cells} == {"s", "n", "d"}  # text, numbers, days; no formula
    assert [by_code(world, code).version for code in ("1", "1.2.1")] == [1, 1]


def by_code(world: World, code: str) -> Target:
    with world.house.db.reading_session() as session:
        return session.exec(select(Target).where(Target.code == code)).one()


def test_a_sheet_sets_and_changes_targets_all_of_them_or_none(world: World) -> None:
    found = rows(world)
    found[1]["数量"], found[1]["备注"] = "70", "区里调整"
    found[4]["期限"] = "2026-09-30"
    new = {**found[1], "编号": "1.9", "街镇": STREET[:6] + "013", "数量": "50"}
    below = {**new, "编号": "1.9.1", "上级编号": "1.9", "部门": "社区发展办", "数量": "1"}
    sheet = [below, new, found[1], found[4]]  # parents need not come first
    plan = looked_at(world, sheet)
    assert plan.problems == ()
    assert [one.code for one in plan.new] == ["1.9", "1.9.1"]
    assert [(one.code, one.was, one.now) for one in plan.changed] == [
        ("2", {"期限": "2026-06-30"}, {"期限": "2026-09-30"}),
        ("1.1", {"数量": "60.125", "备注": ""}, {"数量": "70", "备注": "区里调整"}),
    ]
    assert (plan.unchanged, plan.absent) == (0, 3)
    table = read_table("t.csv", csv_of(sheet))
    for reason, digest, error in (("", plan.digest, InvalidField), ("年中调整", "0" * 64, TargetChanged)):
        with pytest.raises(error):
            apply_sheet(world.house, world.officer, YEAR, table, reason=reason, digest=digest)
    assert shown(world, world.officer) == ["1", "1.1", "1.2", "1.2.1", "2"]
    applied(world, sheet)
    assert shown(world, world.officer) == ["1", "1.1", "1.2", "1.2.1", "1.9", "1.9.1", "2"]
    assert [entry.reason for entry in audited(world, by_code(world, "1.1").id)][1:] == ["年中调整"]
    assert looked_at(world, exported(world.house, world.officer, YEAR)).changes == ()
    with pytest.raises(TargetChanged):  # what was looked at is done already
        apply_sheet(world.house, world.officer, YEAR, table, reason="再来", digest=plan.digest)
    for who in (
        world.colleague(Role.AUDITOR),
        world.colleague(Role.OFFICER, division=STREET),
        world.organiser,
    ):
        with pytest.raises(NotAllowed):
            dry_run(world.house, who, YEAR, table)
        with pytest.raises(NotAllowed):
            apply_sheet(world.house, who, YEAR, table, reason="越权", digest=plan.digest)


def test_every_problem_is_told_with_its_row_and_column(world: World) -> None:
    found = rows(world)
    withdraw_target(world.house, world.officer, by_code(world, "1.2.1").id, reason="撤并", seen=1)
    enter_progress(
        world.house, world.officer, by_code(world, "2").id, amount="1", as_of="2026-07-01", evidence="验收单"
    )
    one, street, other, gone, lamps = found
    new = {**street, "编号": "1.8", "部门": "区商务委", "街镇": one["街镇"]}
    wrong: list[tuple[Row, str]] = [
        ({**new, "编号": ""}, "编号"),
        ({**new, "编号": "=1"}, "编号"),
        (gone, "编号"),
        ({**new, "上级编号": "7"}, "上级编号"),
        ({**new, "上级编号": "1.8"}, "上级编号"),
        ({**street, "上级编号": ""}, "上级编号"),
        ({**new, "上级编号": "", "街镇": street["街镇"]}, "街镇"),
        ({**new, "街镇": "浦东"}, "街镇"),
        ({**new, "街镇": ""}, "街镇"),
        ({**new, "部门": ""}, "部门"),
        ({**new, "指标": "登录次数"}, "指标"),
        ({**new, "指标": "数量"}, "行为"),
        ({**new, "行为": "瞬移"}, "行为"),
        ({**new, "统计内容": "灯"}, "统计内容"),
        ({**new, "指标": "自定", "统计内容": "登录", "单位": "次"}, "统计内容"),
        ({**new, "数量": "0"}, "数量"),
        ({**new, "数量": "-5"}, "数量"),
        ({**new, "数量": "很多"}, "数量"),
        ({**new, "单位": "吨"}, "单位"),
        ({**new, "期限": "2027-01-01"}, "期限"),
        ({**new, "期限": "年底"}, "期限"),
        ({**one, "期限": "2026-06-30"}, "期限"),  # its parts, which are not in the sheet, end later
        ({**new, "负责人": "没有这个人"}, "负责人"),
        ({**new, "依据": ""}, "依据"),
        ({**new, "街镇": street["街镇"], "部门": ""}, "指标"),  # the same target as 1.1
        ({**street, "街镇": other["街镇"]}, "指标"),  # which the other one is now
        ({**lamps, "单位": "套"}, "指标"),  # something was entered in the old unit
    ]
    for row, column in wrong:
        plan = looked_at(world, [row])
        assert told(plan) == [(2, column)], (row, plan.problems)
        with pytest.raises(TargetChanged):
            applied(world, [row])
    assert told(looked_at(world, [street, street])) == [(3, "编号")]
    twice = [new, {**new, "编号": "1.7"}]
    assert told(looked_at(world, twice)) == [(3, "指标")]
    circle = [{**new, "上级编号": "1.7"}, {**new, "编号": "1.7", "上级编号": "1.8", "部门": "甲"}]
    assert told(looked_at(world, circle)) == [(2, "上级编号"), (3, "上级编号")]
    deep = [{**new, "编号": f"1.8{'.1' * at}", "上级编号": f"1.8{'.1' * (at - 1)}" if at else "1", "部门": f"部门{at}"} for at in range(3)]  # fmt: skip
    assert told(looked_at(world, deep)) == [(4, "上级编号")]
    several = {**new, "数量": "-1", "依据": "", "负责人": "谁"}
    assert told(looked_at(world, [{**new, "编号": "1.6"}, several])) == [
        (3, "依据"),
        (3, "数量"),
        (3, "负责人"),
    ]
    gap = {**street, "数量": "5000"}  # more than the whole: a gap, and no problem
    assert looked_at(world, [gap]).problems == ()
    assert shown(world, world.officer) == ["1", "1.1", "1.2", "2"]


def test_files_that_are_no_sheets_of_targets(world: World) -> None:
    found = rows(world)
    header = ",".join(COLUMNS)
    cases: list[tuple[str, bytes, list[tuple[int, str]]]] = [
        ("t.csv", b"", [(1, column) for column in COLUMNS]),
        ("t.csv", header.encode(), [(0, "")]),
        ("t.csv", header.replace("数量", "目标").encode() + b"\n", [(1, "数量"), (1, "目标")]),
        ("t.csv", (header + ",数量").encode() + b"\n", [(1, "数量")]),
        ("t.csv", (header + "\n1,2\n").encode(), [(2, "")]),
        ("t.csv", b"\xff\xfe" + header.encode("utf-16-le"), [(0, "")]),
        ("t.xlsx", b"PK\x03\x04", [(0, "")]),
        ("t.csv", csv_of([{**found[0], "编号": str(at)} for at in range(501)]), [(0, "")]),
    ]
    for name, content, expected in cases:
        table = read_table(name, content)
        assert sorted({(one.row, one.column) for one in table.problems}) == sorted(expected), content[:60]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(COLUMNS))
        sheet.write_row(1, 0, list(found[0].values()))
        sheet.write_formula(1, list(COLUMNS).index("数量"), "=1+1")
    assert [(one.row, one.column) for one in read_table("t.xlsx", out.getvalue()).problems] == [(2, "数量")]
    gb = csv_of(found).decode("utf-8-sig").encode("gb18030")
    assert looked_at(world, read_table("t.csv", gb)).changes == ()


def test_the_pages_export_look_and_apply(world: World) -> None:
    found = rows(world)
    me = browser(world, world.officer)
    for wanted, expected in (("csv", csv_of(found)), ("xlsx", None)):
        answer = me.client.get(f"/bureau/targets/export.{wanted}?year={YEAR}")
        assert (answer.status_code, expected in {None, answer.data}) == (200, True)
        assert f"targets-{YEAR}.{wanted}" in answer.headers["Content-Disposition"]
        me.get(f"/bureau/targets/import?year={YEAR}")
        page = me.send("", file=(io.BytesIO(answer.data), f"t.{wanted}"))
        assert (me.status, "没有要改的" in page) == (200, True)
    bad = csv_of([{**found[1], "数量": "-5"}])
    page = me.send("", file=(io.BytesIO(bad), "t.csv"))
    assert (me.status, "有 1 处不对" in page, "应大于零" in page) == (422, True, True)
    assert (me.send("", file=(io.BytesIO(b""), "")), me.status)[1] == 422
    good = csv_of([{**found[1], "数量": "75"}])
    page = me.send("", file=(io.BytesIO(good), "t.csv"))
    assert (me.status, "60.125" in page, "75" in page) == (200, True, True)
    assert (me.send(""), me.status)[1] == 422  # no reason given; the rows are still there
    make(
        world, measure="participants", amount="9"
    )  # somebody else works in the same year: nothing to do with this
    me.send("", reason="年中调整")
    assert me.path == "/bureau/targets"
    assert names(world, "1.1")["数量"] == "75"
    me.get(f"/bureau/targets/import?year={YEAR}")
    me.send("", file=(io.BytesIO(csv_of([{**found[1], "数量": "80"}])), "t.csv"))
    make_change(world)
    page = me.send("", reason="没看到别人改了")
    assert (me.status, "刚刚有人改过这一项" in page) == (409, True)
    assert names(world, "1.1")["数量"] == "77"
    assert (me.send("", rows="[[", digest="", reason="坏的"), me.status)[1] == 422


def make_change(world: World) -> None:
    applied(world, [{**names(world, "1.1"), "数量": "77"}], "另一位同事")
    assert read(world, by_code(world, "1.1").id).version == 3
