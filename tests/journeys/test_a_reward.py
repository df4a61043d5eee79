"""A resident redeems on a phone without scripts; the merchant's camera reads the voucher off its screen and hands over, once."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.sessions import new_session
from tanpuhui.staff import Role
from tanpuhui.web.auth import COOKIES
from tests.journeys.camera import poster_seen, seeing
from tests.journeys.conftest import PATIENCE, PHONE, NewPage, picture, serving
from tests.world import World

pytestmark = pytest.mark.browser


def test_from_points_to_a_bag_across_the_counter(browser: Browser, tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        world = World(house)
        who = world.resident()
        world.earn(who)
        merchant = world.colleague(Role.MERCHANT, organisation=world.organisation("街角小店"))
        world.offer(merchant, scope=world.scope_of(merchant), title="帆布袋", collect_at="街角小店柜台")

        phone = new_page(
            PHONE, is_mobile=True, has_touch=True, java_script_enabled=False, color_scheme="dark"
        )
        token = new_session(house, kind="resident", subject_id=who.id)
        phone.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])
        phone.goto(f"{served.base}/rewards")
        phone.get_by_role("link", name=re.compile("帆布袋")).click()
        expect(phone.get_by_text("街角小店柜台")).to_be_visible()
        picture(phone, "reward-offer")
        phone.get_by_role("button", name=re.compile("用 10 分兑换")).click()
        expect(phone.get_by_text("把屏幕调亮")).to_be_visible()
        picture(phone, "reward-voucher")
        shown = phone.screenshot()

        with seeing(browser, poster_seen(shown), tmp_path) as counter:
            token = new_session(house, kind="staff", subject_id=merchant.id)
            counter.context.add_cookies([{"name": COOKIES["staff"], "value": token, "url": served.base}])
            counter.goto(f"{served.base}/console/counter")
            counter.wait_for_url("**/console/counter/*", timeout=PATIENCE)
            expect(counter.get_by_role("heading", name="帆布袋")).to_be_visible()
            button = counter.get_by_role("button", name="已交付")
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 90
            assert box["y"] + box["height"] <= PHONE["height"]  # within reach of the thumb, without scrolling
            picture(counter, "reward-counter")
            button.click()
            expect(counter.get_by_text("记好了，这张券已经用掉。")).to_be_visible()
            picture(counter, "reward-handed-over")
            counter.get_by_role("link", name="下一位").click()
            counter.wait_for_url("**/console/counter/*", timeout=PATIENCE)  # the same code is still before it
            expect(counter.get_by_text("这张券已经用过了，请不要再次交付。")).to_be_visible()
        phone.reload()
        expect(phone.get_by_text("已经交付")).to_be_visible()
        phone.goto(f"{served.base}/me/statement")
        expect(phone.get_by_text("兑换“帆布袋”")).to_be_visible()
        assert world.breaches() == []
        house.db.dispose()
