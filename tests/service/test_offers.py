"""Offers and pools: drafted within a scope, approved by another person, run, told of; and what is refused on the way."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine

from rewards import counter, coupons, offer_desk, offers, reward_pools
from rewards.offers import Offer, OfferState
from rewards.public_pools import public_pools
from rewards.reward_pools import PoolIn, RewardPool
from tanpuhui import clock
from tanpuhui.errors import ApproverIsSubmitter, InvalidField, NotAllowed, OfferMovedOn
from tanpuhui.staff import Role
from tests.browser import browser
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import DISTRICT, OTHER_COMMUNITY, STREET, World


def wrong(call: Callable[[], Any]) -> dict[str, str]:
    """What a form is told: field -> reason, filled in."""
    with pytest.raises(InvalidField) as error:
        call()
    found = error.value.params["errors"]
    return {one["field"]: one["reason"] % one.get("params", {}) for one in found}


def seen(world: World, offer_id: UUID) -> offers.Seen:
    with world.house.db.reading_session() as session:
        return offers.one(session, offer_id)


def mark(world: World, offer_id: UUID) -> str:
    return offer_desk.mark_of(seen(world, offer_id).offer)


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"])  # nothing here is the engine's
def test_a_draft_out_of_shape_is_refused_beside_each_field(world: World) -> None:
    pool = world.pool()
    now = clock.now()
    elsewhere = reward_pools.create_pool(
        world.house,
        world.colleague(Role.ADMIN, division=OTHER_COMMUNITY[:9]),
        PoolIn("别处的", "别处", "别处用", OTHER_COMMUNITY[:9], "100"),
    )
    before = contents(world.house)
    for changes, field in (
        ({"pool_id": None}, "pool_id"),
        ({"pool_id": elsewhere}, "pool_id"),
        ({"price": "0"}, "price"),
        ({"price": "-5"}, "price"),
        ({"price": "1.5"}, "price"),
        ({"price": "٣"}, "price"),
        ({"kind": "honour", "price": "5"}, "price"),
        ({"kind": "money"}, "kind"),
        ({"title": " "}, "title"),
        ({"stock": "0"}, "stock"),
        ({"per_person": "0"}, "per_person"),
        ({"good_days": "999"}, "good_days"),
        ({"closes_at": now - timedelta(days=9)}, "closes_at"),
        ({"opens_at": None}, "closes_at"),
        ({"scope": f"division:{OTHER_COMMUNITY}"}, "scope"),
        ({"divisions": ["310999"]}, "divisions"),
    ):
        said = world.offer_in(**{"pool_id": pool, **changes})
        assert field in wrong(lambda said=said: offer_desk.draft(world.house, world.organiser, said)), changes  # type: ignore[misc]
    with pytest.raises(NotAllowed):
        offer_desk.draft(world.house, world.colleague(Role.HELPER), world.offer_in(pool_id=pool))
    changed = written(before, contents(world.house))
    assert not {"offer", "offer_coupon", "redemption"} & changed.keys()


def test_a_coupon_list_with_doubles_is_refused_whole_line_by_line(world: World) -> None:
    offer_id = offer_desk.draft(world.house, world.organiser, world.offer_in(kind="coupon"))
    assert "stock" in wrong(lambda: offer_desk.submit(world.house, world.organiser, offer_id))
    assert (
        coupons.import_codes(
            world.house, world.organiser, offer_id, coupons.pasted("券码\r\nA-1\r\n A-2 ,\r\n\r\n")
        )
        == 2
    )
    before = contents(world.house)

    def refused(text: str) -> list[str]:
        with pytest.raises(InvalidField) as error:
            coupons.import_codes(world.house, world.organiser, offer_id, coupons.pasted(text))
        return [one["reason"] % one.get("params", {}) for one in error.value.params["errors"]]

    assert refused("B-1\nB-2\nB-1\nA-2\n" + "x" * 65 + "\n\nB-3\0\n") == [
        "第 3 行：和第 1 行重复。",
        "第 4 行：这个券码以前导入过。",
        "第 5 行：券码应为 1 到 64 个字，每行一个。",
        "第 6 行：是空的，是不是漏了一个券码？",
        "第 7 行：券码应为 1 到 64 个字，每行一个。",
    ]
    many = [f"M-{number}" for number in range(coupons.MOST_COUPONS + 1)]
    assert refused("\n".join(["code", *many])) == ["第 5002 行：一次最多 5000 个，从这一行起请另外导入。"]
    assert len(refused("")) == 1
    another = offer_desk.draft(world.house, world.organiser, world.offer_in(kind="coupon"))
    with pytest.raises(InvalidField):  # the same giver's code in another offer
        coupons.import_codes(world.house, world.organiser, another, coupons.pasted("A-1"))
    assert written(before, contents(world.house)).keys() <= {"offer", "reward_pool", "audit_entry", "staff"}
    assert seen(world, offer_id).offer.stock == 2
    lists = [
        lambda: coupons.import_codes(world.house, world.organiser, offer_id, coupons.pasted("C-1\nC-2")),
        lambda: coupons.import_codes(world.house, world.organiser, another, coupons.pasted("C-2\nC-3")),
    ]
    assert sorted(codes(at_once(lists))) == ["invalid_fields", "ok"]
    assert world.breaches() == []


def test_stock_and_budget_keep_above_what_is_promised(world: World) -> None:
    residents = world.residents(2)
    world.earn(*residents)
    pool = world.pool(100)
    offer = world.offer(pool_id=pool, price="10")
    for resident in residents:
        world.redeem(resident, offer)
    house, run_by = world.house, world.organiser
    assert "2" in wrong(lambda: offer_desk.set_stock(house, run_by, offer, "1", "少了"))["stock"]
    assert "20" in wrong(lambda: reward_pools.set_budget(house, world.officer, pool, "19", "少了"))["budget"]
    assert "budget" in wrong(lambda: reward_pools.set_budget(house, world.officer, pool, "0", "没了"))
    offer_desk.set_stock(house, run_by, offer, "2", "刚好")
    reward_pools.set_budget(house, world.officer, pool, "20", "刚好")
    assert seen(world, offer).really_left == 0
    offer_desk.draft(house, run_by, world.offer_in(pool_id=pool))
    for statement in (
        *(
            f"UPDATE offer SET {wrong} WHERE approved_at IS NULL"
            for wrong in ("price = 0", "price = -1", "stock = -1", "pool_id = NULL")
        ),
        "UPDATE offer SET stock = 1",
        "UPDATE reward_pool SET budget = 19",
        "UPDATE reward_pool SET reserved = -1",
        "UPDATE offer SET price = 1",
        "UPDATE offer SET closes_at = opens_at",
        "DELETE FROM redemption",
    ):
        with pytest.raises(sa.exc.DBAPIError), house.db.transaction() as connection:
            connection.execute(sa.text(statement))
    assert world.breaches() == []


# --- approval ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"])
def test_another_person_approves_what_they_read(world: World) -> None:
    house = world.house
    both = world.colleague(Role.ORGANISER, Role.OFFICER)
    offer_id = offer_desk.draft(house, both, world.offer_in())
    offer_desk.submit(house, both, offer_id)
    with pytest.raises(ApproverIsSubmitter):
        offer_desk.approve(house, both, offer_id, mark(world, offer_id))
    with pytest.raises(sa.exc.DBAPIError), house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE offer SET approved_at = submitted_at, approved_by = drafted_by"))
    read = mark(world, offer_id)
    offer_desk.edit(house, both, offer_id, world.offer_in(title="布袋两只"))
    assert seen(world, offer_id).offer.state(clock.now()) is OfferState.DRAFT
    offer_desk.submit(house, both, offer_id)
    with pytest.raises(OfferMovedOn):
        offer_desk.approve(house, world.officer, offer_id, read)
    offer_desk.send_back(house, world.officer, offer_id, mark(world, offer_id), "写清楚多大")
    assert seen(world, offer_id).offer.returned_because == "写清楚多大"
    world.approve_offer(offer_id, both)
    for change in (
        lambda: offer_desk.edit(house, both, offer_id, world.offer_in()),
        lambda: offer_desk.approve(house, world.officer, offer_id, mark(world, offer_id)),
    ):
        with pytest.raises(OfferMovedOn):
            change()
    assert seen(world, offer_id).offer.state(clock.now()) is OfferState.OPEN


# --- what everybody is told --------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"])
def test_numbers_of_fewer_than_five_are_not_told_and_the_pace_is(world: World) -> None:
    residents = world.residents(5)
    world.earn(*residents)
    pool = world.pool(100)
    offer = world.offer(pool_id=pool, price="10", stock="20")

    def told() -> tuple[int | None, int | None, bool, date | None]:
        with world.house.db.reading() as connection:
            (found,) = public_pools(connection, clock.now())
        return seen(world, offer).left, found.left, found.low, found.runs_out_on

    with time_machine.travel(clock.now(), tick=False):
        assert told() == (10, 100, False, None)
        for resident in residents[:4]:
            world.redeem(resident, offer)
        assert told() == (None, None, False, None)
        world.redeem(residents[4], offer)
        # 50 points in 14 days, and 50 left
        assert told() == (5, 50, False, clock.today() + timedelta(days=14))
        reward_pools.set_budget(world.house, world.officer, pool, "53", "少一些")
        assert told() == (0, 3, True, clock.today())
    page = browser(world).get("/pools")
    assert "快用完了" in page
    assert "快用完了" in browser(world, world.organiser).get("/console/offers")
    assert "已兑完" in browser(world, residents[0]).get("/rewards")


# --- by the pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"])
def test_from_the_bureaus_budget_to_the_merchants_month_by_the_pages(world: World) -> None:
    """An officer funds, a merchant offers, the officer approves, a resident redeems, the merchant hands over, undoes and hands over again."""
    shop_id = world.organisation("甲店", STREET)
    bureau, shop = (
        browser(world, world.officer),
        browser(world, world.colleague(Role.MERCHANT, organisation=shop_id)),
    )
    bureau.get("/bureau/rewards")
    bureau.send("/pools", title="街道奖励金", funder="区生态环境局", purpose="奖励减排", budget="5000")
    assert shop.get("/desk")
    assert shop.path == "/console/counter"
    shop.get("/console/offers/new")
    form = {
        "kind": "goods",
        "title": "帆布袋",
        "words": "结实的帆布袋一只。",
        "collect_at": "甲店前台",
        "price": "0",
        "stock": "3",
        "per_person": "1",
        "good_days": "7",
        "opens_at": "2020-01-01T00:00",
        "closes_at": "2100-01-01T00:00",
    }
    options = dict(re.findall(r'<option value="([^"]+)">([^<]+)</option>', shop.page.text))
    form["scope"] = next(value for value, text in options.items() if "甲店" in text)
    form["pool_id"] = next(value for value, text in options.items() if "街道奖励金" in text)
    assert "请填 1 到" in shop.send("/offers/new", **form)
    assert shop.status == 422
    assert 'value="帆布袋"' in shop.page.text  # what was typed is kept
    shop.send("/offers/new", **{**form, "price": "10"})
    address = shop.path
    assert "等待审批" in shop.send("/submit")
    bureau.get("/bureau/rewards")
    approval = re.search(r'href="(/bureau/rewards/offers/[^"]+)"', bureau.page.text)
    assert approval
    bureau.get(approval[1])
    bureau.send("/approve")
    assert "可以兑换" in shop.get(address)

    resident = world.resident()
    world.earn(resident)
    me = browser(world, resident)
    catalogue = me.get("/rewards")
    link = re.search(r'href="(/rewards/offers/[^"]+)"', catalogue)
    assert link
    me.get(link[1])
    page = me.send("/redeem")
    assert me.path.startswith("/me/vouchers/")
    assert "把屏幕调亮" in page
    short = re.search(r"<code>([A-Z2-7-]{29})</code>", page)
    assert short
    assert "1 张待使用" in me.get("/rewards")
    assert "兑换“帆布袋”" in me.get("/me/statement")
    assert "已经兑满" in me.get(link[1])

    shop.get("/console/counter")
    assert "不是有效的碳普惠码" in shop.send("/counter", code="A" * 24)
    assert shop.status == 404
    assert "帆布袋" in shop.send("/counter", code=short[1].lower())
    assert "记好了" in shop.send("/hand-over")
    shop.send("/undo")
    assert "请交付" in shop.page.text
    shop.send("/hand-over")
    assert "最近交付的" in shop.get("/console/counter")
    assert "已经用过了" in shop.send("/counter", code=short[1])
    month = shop.get("/console/settlements")
    assert "甲店" in month
    table = shop.client.get("/console/settlements.csv").get_data(as_text=True)
    assert table.splitlines()[1].split(",")[1:6] == ["甲店", "帆布袋", "10", "1", "10"]
    assert world.breaches() == []


# --- the API -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"])
def test_the_api_redeems_once_a_key_and_settles_once(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    offer = world.offer()
    token, shop = world.token(resident), world.token(world.organiser)

    def redeem(key: str) -> Any:
        return world.call("POST", f"/offers/{offer}/redeem", token, headers={"Idempotency-Key": key})

    first, again, other = redeem("a"), redeem("a"), redeem("b")
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert (first.json, other.json["code"]) == (again.json, "offer_limit_reached")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert world.call("POST", f"/offers/{offer}/redeem", token).json["code"] == "idempotency_key_missing"
    voucher = first.json["voucher"]
    (listed,) = world.call("GET", "/me/vouchers", token).json["vouchers"]
    assert listed == voucher

    def settle(key: str) -> Any:
        body = {"code": voucher["code"]}
        return world.call("POST", "/vouchers/settle", shop, json=body, headers={"Idempotency-Key": key})

    assert world.call("POST", "/vouchers/settle", token, json={"code": voucher["code"]}).status_code == 403
    other = world.token(world.colleague(Role.MERCHANT, organisation=world.organisation("乙店")))
    forged = voucher["code"][:-1] + ("A" if voucher["code"][-1] != "A" else "B")
    keyed = {"Idempotency-Key": "forged"}
    for said, by, code in (
        (forged, shop, "code_invalid"),
        (voucher["code"], other, "voucher_elsewhere"),
        ("x" * 24, shop, "code_invalid"),
    ):
        answer = world.call("POST", "/vouchers/settle", by, json={"code": said}, headers=keyed)
        assert answer.json["code"] == code
    assert [settle(key).status_code for key in ("x", "x", "y")] == [200, 200, 409]
    assert "resident" not in str(settle("x").json)
    used = world.call("POST", f"/me/vouchers/{voucher['id']}/cancel", token)
    assert used.json["code"] == "voucher_used"
    lines = world.call("GET", "/me/statement", token).json["lines"]
    assert (lines[0]["type"], lines[0]["points"], lines[0]["title"]) == ("voucher.reserved", -10, "帆布袋")
    (found,) = world.call("GET", "/offers").json["offers"]
    assert (found["id"], found["left"], found["sold_out"]) == (str(offer), None, False)
    (pool,) = world.call("GET", "/pools").json["pools"]
    assert (pool["budget"], pool["left"]) == (100_000, None)


@pytest.mark.parametrize("engine", ["sqlite"])
def test_verify_finds_what_does_not_add_up(world: World) -> None:
    resident = world.resident()
    world.earn(resident)
    offer = world.offer()
    world.redeem(resident, offer)
    world.redeem(resident, world.offer(kind="coupon", coupons="A"))
    assert world.breaches() == []
    with world.house.db.session() as session:
        session.get_one(Offer, offer).taken = 2
        session.get_one(RewardPool, seen(world, offer).pool.id).reserved = 11
        session.connection().execute(sa.text("DROP TRIGGER offer_coupon_once"))
        session.connection().execute(sa.text("UPDATE offer_coupon SET redemption_id = NULL"))
    found = "\n".join(world.breaches())
    for said in ("11 reserved", "2 taken", "no coupon of its offer"):
        assert said in found


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_stranger_reaches_no_pool_and_no_offer(world: World) -> None:
    offer, pool = world.offer(), world.pool()
    stranger = world.colleague(*Role, division=OTHER_COMMUNITY[:9])
    for act in (
        lambda: offer_desk.set_stock(world.house, stranger, offer, "1", "不归我管"),
        lambda: offer_desk.pause(world.house, stranger, offer, paused=True),
        lambda: offer_desk.end(world.house, stranger, offer, "不归我管"),
        lambda: offer_desk.submit(world.house, stranger, offer),
        lambda: coupons.import_codes(world.house, stranger, offer, coupons.pasted("A")),
        lambda: offer_desk.approve(world.house, stranger, offer, "x"),
        lambda: reward_pools.set_budget(world.house, stranger, pool, "1", "不归我管"),
        lambda: reward_pools.create_pool(
            world.house, stranger, PoolIn("甲的", "甲方", "乙用", DISTRICT, "5")
        ),
    ):
        with pytest.raises(NotAllowed):
            act()
    with world.house.db.reading_session() as session:
        assert offer_desk.own_offers(session, stranger) == []
        assert counter.settled_in(session, stranger, clock.today().replace(day=1)) == []
