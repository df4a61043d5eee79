"""A number is traced in a browser: four clicks from the dashboard to the factor version, with a reason on the way."""

import pytest
from playwright.sync_api import expect

from tests.journeys.conftest import DESK, NewPage, Served, picture
from tests.journeys.test_bad_input import enter, world
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

pytestmark = pytest.mark.browser

__all__ = ["world"]


def test_four_clicks_lead_from_a_number_to_its_factor(
    served: Served, world: World, new_page: NewPage
) -> None:
    plate = world.code("clean_plate")
    for community, people in ((COMMUNITY, 7), (OTHER_COMMUNITY, 6)):
        for resident in (world.resident(community) for _ in range(people)):
            world.scan(resident, plate)
    world.house.relay.drain()
    page = new_page(DESK)
    enter(page, served, world, world.officer)
    page.goto(f"{served.base}/bureau")
    row = page.locator("section", has=page.locator("#totals")).locator("tr", has_text="CO₂e，较低值")

    row.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="这个数怎么来的？")).to_be_visible()
    picture(page, "trace-asked")
    page.get_by_label("原因").fill("核对六月的统计")
    page.get_by_role("button", name="继续").click()
    expect(page.get_by_text("加起来正好").last).to_be_visible()
    picture(page, "trace-figures")
    page.get_by_role("link", name="看事件").first.click()
    expect(page.get_by_role("heading", name="这一天的数由哪些事件加起来？")).to_be_visible()
    expect(page.get_by_text("加起来正好")).to_be_visible()
    picture(page, "trace-events")
    page.get_by_role("link", name="看记录").first.click()
    expect(page.get_by_role("heading", name="在这个数里算了多少？")).to_be_visible()
    picture(page, "trace-action")
    page.get_by_role("link", name="看因子版本").click()
    expect(page).to_have_url(f"{served.base}/factors/clean_plate@1")

    # From the number of people to their records: four clicks as well.
    page.goto(f"{served.base}/bureau/trace?measure=participants")
    page.get_by_label("原因").fill("核对参与人数")
    page.get_by_role("button", name="继续").click()
    expect(page.get_by_text("加起来正好").last).to_be_visible()
    picture(page, "trace-people-places")
    page.get_by_role("link", name="看这些人").first.click()
    expect(page.get_by_role("heading", name="这一天、这里算了哪些人？")).to_be_visible()
    picture(page, "trace-people")
    page.get_by_role("link", name="光盘").first.click()
    expect(page.get_by_role("heading", name="在这个数里算了多少？")).to_be_visible()
    picture(page, "trace-people-action")
