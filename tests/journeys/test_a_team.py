"""A resident on a phone, without scripts: joins a team, finds it on the board, chooses to be listed, and leaves both again."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from activities import teams
from tanpuhui import people
from tanpuhui.config import Settings
from tanpuhui.rooms import build_house
from tanpuhui.sessions import new_session
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import PHONE, NewPage, picture, serving
from tests.world import World

pytestmark = pytest.mark.browser


def test_into_a_team_onto_the_board_and_out_again(tmp_path: Path, new_page: NewPage) -> None:
    with serving(tmp_path) as served:
        house = build_house(Settings(var=tmp_path / "var", port=int(served.base.rsplit(":", 1)[1])))
        world = World(house)
        site = world.site("clean_plate")
        campaign = world.campaign(
            site, title="楼宇光盘赛", teams={"kind": "building", "names": ["一号楼", "二号楼"]}
        )
        who, code = world.resident(), world.code_at(site)
        people.rename(house, who.id, "小满")
        for at, other in enumerate([who, *world.residents(14)]):
            world.scan(other, code)
            if 0 < at < 10:
                teams.join(house, other.id, campaign.id, ["一号楼", "二号楼"][at % 2])
        house.relay.drain()
        phone = new_page(PHONE, is_mobile=True, has_touch=True, java_script_enabled=False)
        token = new_session(house, kind="resident", subject_id=who.id)
        phone.context.add_cookies([{"name": COOKIES["resident"], "value": token, "url": served.base}])

        phone.goto(f"{served.base}/campaigns/{campaign.id}")
        phone.get_by_label("您的队").select_option("一号楼")
        phone.get_by_role("button", name="加入这个队").click()
        expect(phone.get_by_text("已经加入“一号楼”队。")).to_be_visible()
        picture(phone, "team-joined")
        phone.get_by_role("link", name="看榜单").click()
        expect(phone.get_by_role("row", name="1 一号楼")).to_be_visible()
        expect(phone.get_by_role("row", name="1 二号楼")).to_be_visible()  # an equal number, an equal rank
        phone.get_by_role("link", name="人均减排").click()
        expect(phone.get_by_role("link", name="人均减排")).to_have_attribute("aria-current", "page")
        phone.get_by_text("我也要上榜").click()
        expect(phone.get_by_text("榜单是公开的")).to_be_visible()
        phone.get_by_role("button", name="同意并上榜").click()
        expect(phone.get_by_role("row", name="小满")).to_be_visible()
        picture(phone, "team-board")

        phone.get_by_role("button", name="退出个人榜").click()
        expect(phone.get_by_text("已经退出，榜单上没有您了。")).to_be_visible()
        expect(phone.get_by_role("row", name="小满")).to_have_count(0)
        phone.get_by_role("link", name="加入、更换或退出").click()
        phone.get_by_role("button", name="退出这个队").click()
        expect(phone.get_by_text("已经退出，队里不再算您的记录。")).to_be_visible()
        phone.get_by_role("link", name="看榜单").click()
        expect(phone.get_by_role("row", name="一号楼")).to_have_count(0)  # four are too few to be told of
        assert world.breaches() == []
        house.db.dispose()
