"""A review in a browser: records wait, an officer decides, and their resident spends or appeals."""

import pytest
from playwright.sync_api import expect

from activities.review_desk import REASONS
from activities.reviews import Waits
from rewards import ledger
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture
from tests.journeys.test_bad_input import enter, world
from tests.world import World

pytestmark = pytest.mark.browser

__all__ = ["world"]


def test_a_record_waits_is_confirmed_or_rejected_and_appealed(
    served: Served,
    world: World,
    new_page: NewPage,
) -> None:
    resident = world.resident()
    made = {
        kind: world.scan(resident, world.code(kind), waits=Waits.PHOTO)["action"]["id"]
        for kind in ("clean_plate", "own_cup")
    }
    phone = new_page(PHONE, is_mobile=True, has_touch=True)
    enter(phone, served, world, resident)
    phone.goto(served.base)
    expect(phone.get_by_text("分待审核", exact=False).first).to_be_visible()
    picture(phone, "review-home")
    phone.goto(f"{served.base}/me/actions/{made['clean_plate']}")
    picture(phone, "review-waits")

    officer = new_page(DESK)
    enter(officer, served, world, world.officer)
    officer.goto(f"{served.base}/bureau")
    officer.get_by_role("link", name="去审核").click()
    picture(officer, "review-queue")
    officer.set_viewport_size(PHONE)
    picture(officer, "review-queue-phone")
    officer.set_viewport_size(DESK)
    plate = officer.locator("article").filter(has=officer.locator(f"[id='review-{made['clean_plate']}']"))
    plate.get_by_role("button", name="通过", exact=True).click()
    expect(officer.get_by_text("已通过")).to_be_visible()
    with world.house.db.reading() as connection:
        assert ledger.balance(connection, resident.id) > 0
    officer.get_by_role("link", name="不通过…").click()
    picture(officer, "review-one")
    officer.get_by_label(REASONS[0]).check()
    officer.get_by_role("button", name="不通过").click()
    expect(officer.get_by_text("没有等着审核的记录。")).to_be_visible()
    picture(officer, "review-decided")

    phone.goto(f"{served.base}/me/actions/{made['own_cup']}")
    expect(phone.get_by_text(REASONS[0], exact=False)).to_be_visible()
    picture(phone, "review-rejected")
    phone.get_by_role("link", name="觉得不对，申诉").click()
    phone.fill("[name=text]", "照片里就是我的杯子。")
    phone.get_by_role("button", name="提交").click()
    expect(phone.get_by_text("已经收到", exact=False)).to_be_visible()
    officer.goto(f"{served.base}/bureau/reviews")
    officer.get_by_role("link", name="看申诉").click()
    expect(officer.get_by_text(REASONS[0], exact=False)).to_be_visible()
    picture(officer, "review-appeals")
    officer.get_by_role("link", name="TS-", exact=False).click()
    expect(officer.get_by_text("照片里就是我的杯子。")).to_be_visible()
    assert world.breaches() == []
