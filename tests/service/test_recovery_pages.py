"""The pages and the API of the recovery chain: a phone at the station, the bureau's balance, what everybody may read, the export."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import openpyxl
import pytest

from activities import recovered, source_export, source_register
from activities.actions import Action
from activities.review import void_action
from activities.source_export import TABLE
from tanpuhui import clock
from tanpuhui.bureau.participation import Period, statistics
from tanpuhui.measures import POLLUTANTS
from tanpuhui.people import Resident
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_material_hand_overs import Chain
from tests.world import DISTRICT, World


@pytest.fixture
def chain(world: World) -> Chain:
    return Chain(world)


def bring(world: World, chain: Chain, kind: str, *kilograms: str) -> list[UUID]:
    """So many residents bring something to the point."""
    code = world.code_at(chain.point)
    made = [
        UUID(world.scan(resident, code, kind=kind, quantity=weight)["action"]["id"])
        for resident, weight in zip(world.residents(len(kilograms)), kilograms, strict=True)
    ]
    world.house.relay.drain()
    return made


def moment(minutes: int = 5) -> str:
    return f"{clock.local(clock.now() - timedelta(minutes=minutes)):%Y-%m-%dT%H:%M}"


# --- at the station -----------------------------------------------------------------------------------------


def test_a_hand_over_is_entered_confirmed_and_reversed_on_the_spot(world: World, chain: Chain) -> None:
    giver, taker = browser(world, chain.staff[chain.point.id]), browser(world, chain.staff[chain.station.id])
    form = giver.get("/console/hand-overs/new")
    assert "从 甲点 交出" in form  # the only site: no step to choose it
    assert "乙点" in form
    assert "丙点" in form
    given = {
        "material": "clothes",
        "to_site_id": str(chain.station.id),
        "handed_at": moment(),
        "receipt": "HT-1",
    }
    refused = giver.send(**{**given, "to_site_id": ""}, grams="12.3456", vehicle="沪A1")
    assert giver.status == 422
    assert "最多三位小数" in refused
    assert 'value="沪A1"' in refused
    assert "请选择交给哪个站或场" in giver.send(**{**given, "to_site_id": ""}, grams="12.5")
    assert "重量应大于 0" in giver.send(**given, grams="0")
    page = giver.send(**given, grams="12.5")
    assert (giver.status, "等对方确认收到" in page) == (200, True)
    giver.get("/console/hand-overs/new")
    assert "已经登记过" in giver.send(**given, grams="12.5")
    waiting = taker.get("/console/hand-overs")
    assert "等您确认收到" in waiting
    assert "最多三位小数" in taker.send("/confirm", grams="很多")
    assert taker.status == 422
    assert "已确认收到" in taker.send("/confirm", grams="12.1")
    path = taker.path
    assert "冲销" in taker.send("/reverse", reason="")
    assert taker.status == 422
    assert "已冲销" in taker.send("/reverse", reason="抄错了一位")
    assert "抄错了一位" in giver.get(path)
    assert "登记错了" not in giver.page.text
    assert "等您确认收到" not in taker.get("/console/hand-overs")
    browser(world, chain.staff[chain.yard.id]).client.get(path)
    stranger = browser(world, chain.staff[chain.yard.id])
    stranger.get(path)
    assert stranger.status == 403


def test_a_yard_says_who_takes_it_and_what_becomes_of_it(world: World, chain: Chain) -> None:
    yard = browser(world, chain.staff[chain.yard.id])
    yard.get("/console/hand-overs/new")
    given = {"material": "clothes", "handed_at": moment(), "grams": "5"}
    wrong = yard.send(**given)
    assert "请选择这批材料的去向" in wrong
    assert "请填写接收单位的名称" in wrong
    page = yard.send(**given, fate="reused", taker="公益仓库")
    assert "公益仓库" in page
    assert "再使用" in page
    alarms = yard.get("/console/recovery")
    assert "交出的比收到的多" in alarms
    assert "请写明原因" in yard.send("/alarms", reason="")
    assert "没有要处理的异常" in yard.send("/alarms", reason="开业前已有的库存")
    assert "开业前已有的库存" in yard.page.text
    month = f"{clock.today():%Y-%m}"
    assert "当月最后一天" in yard.send(
        "/stock", site_id=str(chain.yard.id), material="clothes", month="2199-01", grams="1"
    )
    assert yard.status == 422
    assert month in yard.get("/console/recovery")


def test_who_has_several_sites_says_first_which(world: World, chain: Chain) -> None:
    me = browser(world, world.organiser)
    page = me.get("/console/hand-overs/new")
    assert all(name in page for name in ("甲点", "乙点", "丙点"))
    assert "从哪里交出" in page
    me.get(f"/console/hand-overs/new?from_site_id={chain.station.id}")
    assert "从 乙点 交出" in me.page.text
    me.get("/console/sites/new")
    page = me.send(name="新中转站", kind="other", division_code=chain.point.division_code, level="station")
    assert me.path.startswith("/console/sites/")
    assert "中转站" in page
    me.get("/console/sites/new")
    assert "请至少选择一种" in me.send(
        name="新回收点", kind="other", division_code=chain.point.division_code, level="point"
    )


# --- the bureau, and everybody ------------------------------------------------------------------------------


def test_the_bureau_sees_what_does_not_add_up_and_answers(world: World, chain: Chain) -> None:
    bring(world, chain, "recycle_glass", "1", "1", "1", "1", "1")
    chain.arrives(chain.hand(chain.point, chain.station, 9_000, material="glass"), 8_000)
    me = browser(world, world.officer)
    page = me.get("/bureau/recovery")
    for words in (
        "收来的东西都对得上吗",
        "甲点",
        "乙点",
        "交出的比收到的多",
        "−4.00",
        "低价值可回收物",
        "100.0%",
    ):
        assert words in page, words
    assert "没有要处理的异常" in me.send("/bureau/recovery/alarms", reason="有人没有扫码")
    sheet = list(csv.DictReader(io.StringIO(me.client.get("/bureau/recovery.csv").data.decode("utf-8-sig"))))
    told = {
        row["site"]: (row["brought_in_g"], row["received_g"], row["handed_on_g"], row["book_g"])
        for row in sheet
    }
    assert told == {"甲点": ("5000", "0", "9000", "-4000"), "乙点": ("0", "8000", "0", "8000")}
    chain.hand(chain.yard, None, 9_000)
    auditor = browser(world, world.colleague(Role.AUDITOR))
    assert "丙点" in auditor.get("/bureau/recovery")
    assert 'name="reason"' not in auditor.page.text
    assert 'name="reason"' in me.get("/bureau/recovery")
    assert browser(world, chain.staff[chain.point.id]).client.get("/bureau/recovery").status_code == 403


def test_everybody_reads_where_it_went_and_nobody_is_seen(world: World, chain: Chain) -> None:
    anybody = browser(world)
    assert "还没有记录" in anybody.get("/recovery")
    made = bring(world, chain, "clothing_reuse", "10", "2", "2", "2")
    assert "人数太少" in anybody.get("/recovery")
    bring(world, chain, "clothing_reuse", "4")
    row = chain.hand(chain.point, chain.station, 15_000)
    page = anybody.get("/recovery")
    assert "20.00" in page
    assert "还没有确认重量" in page
    chain.arrives(row, 14_800)
    chain.arrives(chain.hand(chain.station, chain.yard, 9_000), 9_000)
    chain.hand(chain.yard, None, 6_000)
    page = anybody.get("/recovery")
    for words in (
        "乙点",
        "14.80",
        "丙点",
        "9.00",
        "再使用",
        "衣再生公司",
        "6.00",
        "8.80",
        "还在中转站或集散场",
    ):
        assert words in page, words
    assert "从“甲点”收走的" in anybody.get(f"/recovery?site={chain.point.id}")
    assert "还没有登记交接" in anybody.get(f"/recovery?site={chain.yard.id}")
    assert anybody.get("/recovery?site=nothing")
    assert "这里收的东西去哪儿了" in anybody.get(f"/sites/{chain.point.id}")
    assert "去哪儿了" not in anybody.get(f"/sites/{world.site('own_cup').id}")
    assert "乙点" not in anybody.get("/sites")
    with world.house.db.snapshot() as connection:
        (story,) = recovered.stories(connection, DISTRICT, clock.today())
    assert (story.brought_in, story.at_points, story.not_known, story.on_the_way) == (20_000, 5_000, 8_800, 0)
    with world.house.db.reading_session() as session:
        resident = session.get_one(Action, made[0]).resident_id
    with world.house.db.reading_session() as session:
        who = session.get_one(Resident, resident)
        session.expunge_all()
    assert "它们后来去哪儿了" in browser(world, who).get(f"/me/actions/{made[0]}")


def test_more_collected_than_scanned_is_told_kindly(world: World, chain: Chain) -> None:
    bring(world, chain, "recycle_glass", "1", "1", "1", "1", "1")
    chain.hand(chain.point, chain.yard, 7_500, material="glass")
    page = browser(world, language="en").get("/recovery")
    assert "2.50" in page
    assert "Thanks to them, too" in page
    with world.house.db.snapshot() as connection:
        shares = recovered.low_value_shares(connection, DISTRICT, clock.today())
    assert (len(shares), shares[-1].low_value, shares[-1].every, shares[-1].permille) == (
        12,
        5_000,
        5_000,
        1000,
    )
    assert shares[0].permille is None


# --- the export ---------------------------------------------------------------------------------------------


def test_the_export_adds_up_to_the_statistics_and_has_no_orphan(world: World, chain: Chain) -> None:
    made = bring(world, chain, "clothing_reuse", "10", "2", "3.333")
    void_action(world.house, world.officer, made[1], "重复登记")
    bring(world, chain, "recycle_glass", "4")
    for kind, quantity in (("clean_plate", None), ("bus_trip", "7"), ("metro_trip", "5")):
        world.scan(world.resident(), world.code(kind), quantity=quantity)
    world.open_self_reports("walk")
    world.self_report(world.resident(), "walk", 6000)
    chain.arrives(chain.hand(chain.point, chain.station, 9_000), 8_900)
    chain.hand(chain.yard, None, 700)
    source_register.set_number(world.house, world.organiser, chain.point.id, "SH-0042", "区源清单")
    world.house.relay.drain()
    within = Period(clock.today() - timedelta(days=3), clock.today())
    with world.house.db.snapshot() as connection:
        found = source_export.export(connection, within)
        (total,) = statistics(connection, within)
    assert {line["source_register"] for line in found.registered} == {"SH-0042"}
    assert (found.sites_registered, found.sites_without) == (1, 6)
    every = (*found.registered, *found.without)
    assert all(line["site"] and line["division_code"] and line["code"] for line in every)
    assert found.total("actions") == total["actions"] == 7
    for name in ("co2e_mg", "co2e_mid_mg", "co2e_high_mg", *(f"{one}_ug" for one in POLLUTANTS)):
        assert found.total(name, city=False) == total[name], name
        assert found.total(name, city=True) == total[f"city_{name}"], name
    for name in POLLUTANTS:
        assert found.total(f"{name}_known", city=False) == total[f"{name}_known"]
    assert [found.total(name) for name in source_export.WEIGHTS] == [17_333, 8_900, 9_000, 700]
    me = browser(world, world.officer)
    page = me.get("/bureau/sources")
    assert "还没有编号的点位" in page
    span = f"?from={within.first}&to={within.last}"
    for path, lines in (("sources", found.registered), ("sources-without-number", found.without)):
        text = me.client.get(f"/bureau/{path}.csv{span}").data.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        book = openpyxl.load_workbook(io.BytesIO(me.client.get(f"/bureau/{path}.xlsx{span}").data))
        sheet: Any = book.worksheets[0]
        assert len(rows) == sheet.max_row - 1 == len(lines)
        at = [column.key for column in TABLE.columns].index("co2e_mg")
        grams = [line["co2e_mg"] for line in lines]
        assert [int(row["co2e_mg"]) if row["co2e_mg"] else None for row in rows] == grams
        assert [row[at].value for row in sheet.iter_rows(min_row=2)] == grams
        assert {row["source_register"] for row in rows} == {line["source_register"] or "" for line in lines}
    assert me.client.get("/bureau/sources.csv?from=2026-02-01&to=2026-01-01").status_code == 422
    assert browser(world, chain.staff[chain.point.id]).client.get("/bureau/sources.csv").status_code == 403


# --- machines -----------------------------------------------------------------------------------------------


def test_machines_enter_confirm_reverse_and_read_their_own(world: World, chain: Chain) -> None:
    point, station, yard = (
        world.token(chain.staff[one.id]) for one in (chain.point, chain.station, chain.yard)
    )
    body = {
        "from_site_id": str(chain.point.id),
        "to_site_id": str(chain.station.id),
        "material": "clothes",
        "grams": 5_000,
        "handed_at": clock.now().isoformat(),
        "receipt": "M-1",
    }

    def post(token: str, key: str = "k-1", **changes: Any) -> Any:
        return world.call(
            "POST", "/hand-overs", token, json={**body, **changes}, headers={"Idempotency-Key": key}
        )

    made = post(point)
    assert made.status_code == 201, made.text
    assert made.json["state"] == "waiting"
    assert post(point).json == made.json
    assert post(point, grams=6_000).json["code"] == "idempotency_key_reused"
    assert post(point, "k-2").json["errors"][0]["field"] == "receipt"
    assert post(station, "k-3", receipt="").status_code == 403
    assert post(world.token(world.resident()), "k-4").status_code == 403
    assert world.call("POST", "/hand-overs", point, json=body).json["code"] == "idempotency_key_missing"
    path = f"/hand-overs/{made.json['id']}"
    assert world.call("POST", f"{path}/confirm", point, json={"grams": 5_000}).status_code == 403
    arrived = world.call("POST", f"{path}/confirm", station, json={"grams": 4_900})
    assert (arrived.json["state"], arrived.json["difference_g"]) == ("confirmed", -100)
    again = world.call("POST", f"{path}/confirm", station, json={"grams": 4_900})
    assert again.json["code"] == "hand_over_confirmed"
    assert [one["id"] for one in world.call("GET", "/hand-overs", station).json["hand_overs"]] == [
        made.json["id"]
    ]
    assert world.call("GET", "/hand-overs", yard).json == {"hand_overs": []}
    tomorrow = clock.today() + timedelta(days=1)
    assert world.call("GET", f"/hand-overs?from={tomorrow}", station).json == {"hand_overs": []}
    told = world.call("GET", "/recovery/balances", point).json
    assert [(one["site_id"], one["book_g"]) for one in told["balances"]] == [(str(chain.point.id), -5_000)]
    assert [one["kind"] for one in told["alarms"]] == ["negative"]
    assert world.call("GET", "/recovery/balances?month=2026-13", point).status_code == 422
    assert len(world.call("GET", "/recovery/balances", world.token(world.officer)).json["balances"]) == 2
    assert world.call("GET", "/recovery/balances", world.token(world.resident())).status_code == 403
    gone = world.call("POST", f"{path}/reverse", point, json={"reason": "抄错了一位"})
    assert (gone.json["state"], gone.json["reversed_because"]) == ("reversed", "抄错了一位")
    assert world.breaches() == []
