"""A draw was held; a phone works out again who won, sees the same winners, and sees a record that was changed."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from rewards import draw_entries, draw_ticks
from rewards.draw_making import Prize
from rewards.draws import PAUSE
from tanpuhui import clock
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import World

pytestmark = pytest.mark.browser


def test_a_phone_repeats_a_draw_and_sees_the_same_winners(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        world = World(house)
        prizes = [Prize(name="布袋", count=2), Prize(name="水壶", count=1)]
        draw = world.draw(title="绿色新年抽奖", prizes=prizes)
        for resident in world.residents(9):
            draw_entries.enter(house, resident.id, draw.id)
        for after in (timedelta(0), PAUSE):
            with clock.pretending(draw.closes_at + after), house.db.transaction() as connection:
                draw_ticks.tick(house, connection, draw.closes_at + after)

        phone = new_page(PHONE, is_mobile=True, has_touch=True)
        phone.goto(f"{served.base}/draws/{draw.id}")
        rows = phone.get_by_role("table").locator("tbody tr")
        published = [re.sub(r"\s+", " ", row).strip() for row in rows.all_inner_texts()]
        assert len(published) == 3
        again = phone.get_by_role("button", name="在这台手机上再算一遍")
        again.click()
        expect(phone.get_by_text("算过了：种子、抽奖券和中奖的券都对得上。")).to_be_visible()
        worked_out = phone.get_by_role("list", name="算出来的中奖券").get_by_role("listitem")
        assert [line.strip() for line in worked_out.all_inner_texts()] == published
        again.scroll_into_view_if_needed()
        worked_out.last.scroll_into_view_if_needed()
        picture(phone, "draw-repeated")

        def other_winner(route: Route) -> None:
            record = route.fetch().json()
            record["winners"][0], record["winners"][2] = record["winners"][2], record["winners"][0]
            route.fulfill(body=json.dumps(record), content_type="application/json")

        phone.route("**/record*", other_winner)
        again.click()
        expect(phone.get_by_text("对不上！")).to_be_visible()
        assert [
            line.strip() for line in worked_out.all_inner_texts()
        ] == published  # the rule gives what it gave
        assert world.breaches() == []
        house.db.dispose()
