"""The statement that people read: a row a deed, whatever followed and whenever; any past balance; and the same on paper."""

import csv
import io
from datetime import date, timedelta
from uuid import UUID

from activities.review import void_action
from rewards import ledger
from rewards.statements import rows
from tanpuhui import clock
from tanpuhui.csvtext import parse_sheet
from tests.browser import browser
from tests.service.test_adjustments import approve, propose
from tests.world import World


def test_a_deed_is_one_row_with_all_that_followed(world: World) -> None:
    """Its bonus and its reversal stand with it, though other deeds came in between."""
    now = clock.now()
    with clock.pretending(now - timedelta(days=2)):
        resident = world.resident()
        site = world.site("clean_plate")
        code = world.code_at(site)
        bonus = {"by": "percent", "amount": 50, "cap": 100, "budget": 100}
        campaign = world.campaign(site, hours=2, bonus=bonus)
        done = world.scan(resident, code)["action"]["id"]
    with clock.pretending(now - timedelta(days=1)):
        world.scan(resident, world.code("own_cup"))
        world.house.relay.drain()
        approve(world, propose(world, resident, "30"))
    void_action(world.house, world.organiser, UUID(done), "重复扫码")
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        found = rows(connection, resident.id)
        first = rows(connection, resident.id, limit=1)
        rest = rows(connection, resident.id, limit=5, before=first[-1].first.position)
    assert [(row.points, row.bonus, row.balance_after, len(row.lines)) for row in found] == [
        (30, 0, 48, 1),
        (3, 0, 13, 1),
        (0, 0, 33, 4),
    ]
    assert [*first, *rest] == list(found)
    me = browser(world, resident)
    page = me.get("/me/statement")
    assert page.count("光盘行动") == 1
    for text in (
        "“测试活动”加分",
        "“测试活动”加分退回",
        "重复扫码",
        "+10",
        "+5",
        f"/rewards/campaigns/{campaign.id}",
    ):
        assert text in page
    assert world.breaches() == []


def test_the_balance_of_any_day_and_the_same_file_made_again(world: World) -> None:
    today = clock.today()
    resident = world.resident()
    yesterday = clock.now() - timedelta(days=1)
    with clock.pretending(yesterday):
        done = world.scan(resident, world.code("clean_plate"))["action"]["id"]
    me = browser(world, resident)
    asked = f"on={clock.day_of(yesterday)}"
    files = [me.client.get(f"/me/statement.{kind}?{asked}").data for kind in ("csv", "pdf")]
    void_action(world.house, world.organiser, UUID(done), "=2+3")
    world.scan(resident, world.code("own_cup"))
    assert files == [me.client.get(f"/me/statement.{kind}?{asked}").data for kind in ("csv", "pdf")]
    assert files[1].startswith(b"%PDF-")
    then, now = (
        list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
        for body in (files[0], me.client.get("/me/statement.csv").data)
    )
    assert files[0].startswith(b"\xef\xbb\xbf")
    assert [(line[1], line[2], *line[4:7]) for line in then] == [
        ("事项", "数量", "积分", "其中加分", "余额"),
        ("光盘行动", "1", "10", "", "10"),
    ]
    assert [(line[1], *line[4:7]) for line in now[1:]] == [
        ("自带杯", "3", "", "3"),
        ("光盘行动", "0", "", "0"),
    ]
    assert now[2][7] == "已撤销：=2+3"
    assert parse_sheet("x", me.client.get("/me/statement.csv").data).problems == []
    assert "结束时的余额：10 分" in me.get(f"/me/statement?{asked}")
    for day, wrong in ((today + timedelta(days=1), "请选今天或以前的日期"), ("yesterday", "请选一个日期")):
        assert wrong in me.get(f"/me/statement?on={day}")
        assert me.status == 422
        assert me.client.get(f"/me/statement.pdf?on={day}").status_code == 422
    token = world.token(resident)
    for day, balance in ((date(2026, 1, 1), 0), (clock.day_of(yesterday), 10), (today, 3)):
        with world.house.db.reading() as connection:
            assert ledger.balance_on(connection, resident.id, day) == balance
        assert world.call("GET", f"/me/points?on={day}", token).get_json()["balance_on"] == balance
    late = world.call("GET", f"/me/points?on={today + timedelta(days=1)}", token)
    assert late.get_json()["errors"][0]["field"] == "on"
