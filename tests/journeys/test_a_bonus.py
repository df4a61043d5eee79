"""A resident on a phone, without scripts: records in a campaign, finds the bonus in the statement, and what it comes out of."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.sessions import new_session
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import World

pytestmark = pytest.mark.browser


def test_a_bonus_from_the_record_to_its_budget(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        world = World(house)
        site = world.site("clean_plate", "own_cup")
        given = {"by": "points", "amount": 5, "cap": 50, "budget": 8}
        campaign = world.campaign(site, title="六五环境日", bonus=given)
        who, code = world.resident(), world.code_at(site)
        phone = new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False)
        token = new_session(house, kind="resident", subject_id=who.id)
        phone.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])

        phone.goto(f"{served.base}/campaigns/{campaign.id}")
        expect(phone.get_by_text("每次得到积分的记录另加 5 分；每人最多加 50 分。")).to_be_visible()
        for kind in ("clean_plate", "own_cup"):
            phone.goto(f"{served.base}/s/{code}?kind={kind}")
            phone.get_by_role("button", name="确认记录").click()
            expect(phone.get_by_text("本次积分")).to_be_visible()
            expect(
                phone.get_by_role(
                    "link", name=re.compile("“六五环境日”另加(约 [35] 分，几分钟内到账|了 [35] 分)")
                )
            ).to_be_visible()
            house.relay.drain()
        phone.reload()
        expect(
            phone.get_by_role("link", name=re.compile("另加了 3 分。 “六五环境日”的加分预算用完了。"))
        ).to_be_visible()
        picture(phone, "bonus-record")

        phone.goto(f"{served.base}/me/statement")
        line = phone.get_by_role("link", name=re.compile("“六五环境日”加分"))
        expect(line).to_have_count(2)
        expect(phone.get_by_text("余额 21 分")).to_be_visible()
        picture(phone, "bonus-statement")
        line.first.click()
        expect(phone.get_by_role("heading", name="六五环境日")).to_be_visible()
        expect(phone.get_by_text("得到加分的不到 5 人")).to_be_visible()
        picture(phone, "bonus-budget")

        phone.goto(f"{served.base}/me/inbox")
        phone.get_by_role("link", name=re.compile("一个活动的加分预算用完了")).click()
        expect(phone.get_by_text("您在这次活动里得到的加分：8 分")).to_be_visible()
        picture(phone, "bonus-used-up")
        assert world.breaches() == []
        house.db.dispose()
