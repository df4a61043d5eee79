"""The pages and the API of targets: everything typed is kept, who may not is told, what is shown is what stands."""

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine

from tanpuhui.bureau.target_task_changes import TaskIn, finish_task, set_task
from tanpuhui.bureau.target_tasks import remind
from tanpuhui.clock import now
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_targets import NOON, OTHER_STREET, YEAR, audited, make, read
from tests.world import DISTRICT, STREET, World


@pytest.fixture(autouse=True)
def time() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=True) as traveller:
        yield traveller


def test_a_target_is_set_divided_changed_and_withdrawn_by_forms(world: World) -> None:
    me = browser(world, world.officer)
    page = me.get(f"/bureau/targets?year={YEAR}")
    assert (me.status, "这一年还没有目标" in page) == (200, True)
    me.get(f"/bureau/targets/new?year={YEAR}")
    form = {
        "measure": "co2e",
        "amount": "1,000.5",
        "division_code": DISTRICT,
        "answerer_id": str(world.officer.id),
        "basis": "实施方案第 20 条",
        "due_on": "2026-12-31",
    }
    page = me.send(**{**form, "amount": "很多", "basis": "", "due_on": "2027-06-05", "notes": "记得核对"})
    assert me.status == 422
    for kept in ("很多", "2027-06-05", "记得核对"):
        assert kept in page
    for words in ("请填写数字", "请写明依据的文件", "期限应在目标的年份之内"):
        assert words in page
    page = me.send(**form)
    assert (me.status, "1,000.5" in page, "还没有分解" in page) == (200, True, True)
    root = me.path
    me.get(f"/bureau/targets/new?parent={root.rsplit('/', 1)[1]}")
    me.send(**form | {"division_code": STREET, "amount": "400"})
    part = me.path
    page = me.get(root)
    assert "分到街镇：1 项，合计 400" in page
    assert "比目标少 600.5" in page
    stale = browser(world, world.second_officer)
    stale.get(part)
    me.get(part)
    page = me.send("change", **form | {"division_code": STREET, "amount": "1200", "reason": "区里调整"})
    assert "修改目标：目标值 400 → 1,200" in page
    page = stale.send("change", **form | {"division_code": STREET, "amount": "700", "reason": "晚了一步"})
    assert (stale.status, "刚刚有人改过这一项" in page, "700" in page, "1,200" in page) == (
        409,
        True,
        True,
        True,
    )
    assert "比目标多 199.5" in me.get(root)
    page = me.send("withdraw", reason="不要了")
    assert (me.status, "还有分目标" in page) == (409, True)
    me.get(part)
    page = me.send("withdraw", reason="街道撤并")
    assert (me.status, "街道撤并" in page, "修改这项目标" in page) == (200, True, False)
    page = me.get(f"/bureau/targets?year={YEAR}")
    assert (root in page, part in page) == (True, False)
    for address in ("?parent=x", "?parent=00000000-0000-0000-0000-000000000000"):
        me.get(f"/bureau/targets/new{address}")
        assert me.status == 404
    me.get("/bureau/targets/new?year=1")
    me.send(**form)
    assert me.status == 422
    english = browser(world, world.officer, "en").get(f"/bureau/targets?year={YEAR}")
    assert "How far are the targets of 2026?" in english


def test_tasks_are_followed_and_reminders_stay_on_the_desk_until_seen(world: World) -> None:
    here = world.colleague(Role.OFFICER, division=STREET)
    lamps = make(
        world, measure="free", subject="更换的节能灯", unit="盏", amount="200", answerer_id=str(here.id)
    )
    me, officer = browser(world, here), browser(world, world.officer)
    officer.get(f"/bureau/targets/{lamps}/new-task")
    page = officer.send(title="走访物业", answerer_id="", due_on="2025-07-05")
    assert (officer.status, "走访物业" in page, "2025-07-05" in page) == (422, True, True)
    officer.send(title="走访物业", answerer_id=str(here.id), due_on="2026-07-05")
    task = officer.path
    with world.house.db.transaction() as connection:
        remind(world.house, connection, now())
    page = me.get(f"/bureau/targets?year={YEAR}")
    assert ("目标（1 条提醒）" in page, "还有 3 天到期" in page) == (True, True)
    assert "条提醒" not in officer.get("/bureau/targets")
    me.send("seen")
    assert "条提醒" not in me.get("/bureau/targets")
    me.get(task)
    page = me.send("follow", text="走", on_day="2026-07-09")
    assert (me.status, "2026-07-09" in page, "日期不能晚于今天" in page) == (422, True, True)
    me.send("follow", text="走访了两家物业", on_day="2026-07-01")
    page = me.send("done", outcome="物业都答应了", reference="")
    assert (me.status, "物业都答应了" in page) == (422, True)
    page = me.send("done", outcome="物业都答应了", reference="https://example.org/minutes")
    assert 'href="https://example.org/minutes"' in page
    assert "走访了两家物业" in page
    assert "关错了，重新打开" not in page  # that is for officers of the district
    officer.get(task)
    page = officer.send("reopen", reason="")
    assert (officer.status, "请写明原因" in page) == (422, True)
    page = officer.send("reopen", reason="点错了一项")
    assert (officer.status, "重新打开" in page, "点错了一项" in page) == (200, True, True)
    assert ("物业都答应了" in page, 'href="https://example.org/minutes"' in page, "办成了" in page) == (
        True,
    ) * 3
    me.get(f"/bureau/targets/{lamps}")
    page = me.send("progress", amount="-5", as_of="2026-07-01", evidence="清单")
    assert (me.status, "-5" in page, "清单" in page) == (422, True, True)
    page = me.send("progress", amount="35", as_of="2026-07-01", evidence="<b>清单</b>")
    assert ("17.5%" in page, "&lt;b&gt;清单" in page) == (True, True)
    deeds = [entry.deed for entry in audited(world, lamps)]
    assert deeds == [
        "target.set",
        "target.task_set",
        "target.followed_up",
        "target.task_done",
        "target.task_reopened",
        "target.progress",
    ]


def test_readers_read_and_nobody_else_comes_in(world: World) -> None:
    root = make(world)
    away = make(world, root, division_code=OTHER_STREET)
    task = set_task(world.house, world.officer, away, TaskIn("走访", str(world.officer.id), "2026-08-01"))
    finish_task(world.house, world.officer, task, outcome="走访过了", reference="台账", seen=1)
    auditor = browser(world, world.colleague(Role.AUDITOR))
    for address in ("", f"/{root}", f"/tasks/{task}"):
        page = auditor.get(f"/bureau/targets{address}")
        assert (auditor.status, 'name="reason"' in page, "新的全区目标" in page) == (200, False, False)
    here = browser(world, world.colleague(Role.OFFICER, division=STREET))
    assert str(away) not in here.get("/bureau/targets")
    for address in (str(root), str(away), f"tasks/{task}"):
        here.get(f"/bureau/targets/{address}")
        assert here.status == 404
    for address in ("new", "import", f"{root}/new-task"):
        for who in (here, auditor):
            who.get(f"/bureau/targets/{address}")
            assert who.status == 403
    make(world, root, division_code=STREET, amount="40")
    helper = world.colleague(Role.OFFICER, division=STREET)
    set_task(world.house, world.officer, root, TaskIn("统计", str(helper.id), "2026-08-01"))
    page = browser(world, helper).get(f"/bureau/targets/{root}")  # of whom a part of the tree is hidden
    assert ("合计 140" in page, "比目标多 40" in page, "另有 1 项" in page) == (True, True, True)
    organiser = browser(world, world.organiser)
    organiser.get("/bureau/targets")
    assert organiser.status == 403
    assert read(world, root).version == 1


def test_the_api_tells_what_the_page_tells(world: World) -> None:
    root = make(world)
    part = make(world, root, division_code=STREET, amount="60")
    make(world, measure="free", subject="节能灯", unit="盏", amount="2")
    glass = world.code("recycle_glass")
    world.scan(world.resident(), glass, quantity="2")
    world.house.relay.drain()
    token = world.token(world.officer, Role.OFFICER)
    answer = world.call("GET", "/targets", token, query_string={"year": YEAR})
    found = answer.get_json()
    assert (answer.status_code, found["year"]) == (200, YEAR)
    whole, here, lamp = found["targets"]
    assert (whole["code"], whole["parent"], here["parent"], here["id"]) == ("1", None, "1", str(part))
    assert whole["divided"] == [
        {"way": "divisions", "parts": 1, "sum_milli": 60_000, "gap_milli": 40_000, "counting_otherwise": 0, "overlapping": 0}
    ]  # fmt: skip
    assert 0 < whole["reached_milli"] == here["reached_milli"]
    assert whole["expected_milli"] == 100_000 * 183 // 365
    assert (lamp["reached_milli"], lamp["reached_share_permille"], lamp["subject"]) == (None, None, "节能灯")
    mine = world.call("GET", "/targets", world.token(world.colleague(Role.OFFICER, division=STREET)))
    assert [one["code"] for one in mine.get_json()["targets"]] == ["1.1"]
    for who, query, status in (
        (world.token(world.resident()), {}, 403),
        (world.token(world.organiser), {}, 403),
        (None, {}, 401),
        (token, {"year": "1999"}, 422),
        (token, {"year": "next"}, 422),
        (token, {"by": "street"}, 422),
    ):
        assert world.call("GET", "/targets", who, query_string=query).status_code == status
