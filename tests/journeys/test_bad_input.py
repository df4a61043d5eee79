"""What thumbs do on a real phone: two taps, the back button, two tabs, another person, too long a text."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from tanpuhui.config import Settings
from tanpuhui.people import Resident
from tanpuhui.rooms import build_house
from tanpuhui.sessions import Principal, new_session
from tanpuhui.web.auth import COOKIES
from tests.journeys.conftest import DESK, PHONE, NewPage, Served
from tests.world import COMMUNITY, World

pytestmark = pytest.mark.browser


@pytest.fixture
def world(served: Served) -> Iterator[World]:
    """The house that is served, for this test to reach into."""
    house = build_house(Settings(var=served.log.parent / "var", port=urlsplit(served.base).port))
    yield World(house)
    house.db.dispose()


def enter(page: Page, served: Served, world: World, who: Resident | Principal) -> None:
    kind: Any = "resident" if isinstance(who, Resident) else "staff"
    token = new_session(world.house, kind=kind, subject_id=who.id)
    page.context.add_cookies([{"name": COOKIES[kind], "value": token, "url": served.base}])


def rows(world: World, table: str) -> int:
    with world.house.db.reading() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


def confirm(page: Page) -> None:
    page.get_by_role("button", name="确认记录").click()


def test_two_taps_the_back_button_and_a_reload_credit_once(
    served: Served, world: World, new_page: NewPage
) -> None:
    page = new_page(PHONE)
    enter(page, served, world, world.resident())
    page.goto(f"{served.base}/s/{world.code('clean_plate')}")
    page.get_by_role("button", name="确认记录").dblclick(no_wait_after=True)
    expect(page).to_have_url(re.compile("/me/actions/"))
    result = page.url
    page.go_back()
    expect(page).to_have_url(result)  # the way back leads to what was recorded
    page.goto(result)
    page.reload()
    assert rows(world, "action") == rows(world, "transfer") == 1
    assert world.breaches() == []


def test_two_tabs_and_two_people_at_one_phone(served: Served, world: World, new_page: NewPage) -> None:
    one, other = world.resident(), world.resident()
    plate, cup = world.code("clean_plate"), world.code("own_cup")
    first = new_page(PHONE)
    enter(first, served, world, one)
    second, late = first.context.new_page(), first.context.new_page()
    first.goto(f"{served.base}/s/{plate}")
    second.goto(f"{served.base}/s/{cup}")
    late.goto(f"{served.base}/s/{plate}")
    for tab in (first, second):
        confirm(tab)
        tab.wait_for_url("**/me/actions/*")
    confirm(late)  # the same code in another tab is another scan, and comes too soon
    expect(late.get_by_text("距离上一次")).to_be_visible()
    assert rows(world, "action") == 2

    waiting = first.context.new_page()
    waiting.goto(f"{served.base}/s/{world.code('clean_plate', community=COMMUNITY)}")
    enter(first, served, world, other)  # logged in meanwhile, in another tab
    confirm(waiting)
    expect(waiting.get_by_text("另一个账号").first).to_be_visible()
    assert rows(world, "action") == 2
    assert world.breaches() == []


def test_what_is_sent_after_log_out_leads_to_the_log_in(
    served: Served, world: World, new_page: NewPage
) -> None:
    page = new_page(PHONE)
    enter(page, served, world, world.resident())
    page.goto(f"{served.base}/me/nickname")
    tab = page.context.new_page()
    tab.goto(f"{served.base}/me")
    tab.get_by_role("button", name="退出").first.click()
    page.get_by_label("昵称").fill("绿小一")
    page.get_by_role("button", name="保存").click()
    expect(page).to_have_url(f"{served.base}/login?next=/me/nickname")
    tab.go_back()
    expect(tab).to_have_url(f"{served.base}/login?next=/me")  # nothing of hers is shown from memory
    assert rows(world, "resident WHERE nickname IS NOT NULL") == 0


def test_too_long_a_text_is_still_there_on_the_way_back(
    served: Served, world: World, new_page: NewPage
) -> None:
    page = new_page(PHONE)
    enter(page, served, world, world.resident())
    page.goto(f"{served.base}/me/nickname")
    field = page.get_by_label("昵称")
    field.evaluate("field => field.removeAttribute('maxlength')")
    field.fill("长" * 30_000)
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_text("64 KB")).to_be_visible()
    page.get_by_role("link", name="返回上一页").click()
    expect(field).to_have_value("长" * 30_000)


def test_two_taps_in_the_console_make_one_site(served: Served, world: World, new_page: NewPage) -> None:
    page = new_page(DESK)
    enter(page, served, world, world.organiser)
    page.goto(f"{served.base}/console/sites/new")
    page.get_by_label("名称").fill("临汾社区食堂")
    page.get_by_label("类型").select_option("canteen")
    page.get_by_label("居（村）委会").select_option(COMMUNITY)
    page.get_by_label("光盘行动").check()
    page.get_by_role("button", name="登记").dblclick(no_wait_after=True)
    page.wait_for_url("**/console/sites/*-*")
    expect(page.get_by_role("heading", level=1)).to_have_text("临汾社区食堂")
    assert (rows(world, "site"), rows(world, "code")) == (1, 1)
