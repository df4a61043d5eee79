"""The bureau's dashboard in a browser: charts are drawn from their tables, filters go into the address, few people stay hidden."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture
from tests.journeys.test_bad_input import enter, world
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

pytestmark = pytest.mark.browser

__all__ = ["world"]

AXE = (Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def people_and_deeds(world: World) -> None:
    plate = world.code("clean_plate")
    for community, people in ((COMMUNITY, 7), ("310106006003", 6), ("310106006005", 1), (OTHER_COMMUNITY, 6)):
        for _ in range(people):
            world.scan(world.resident(community), plate)
    world.house.relay.drain()


def charts(page: Page) -> list[dict[str, int]]:
    """The charts that are shown, each with its size and how many colours its canvas holds."""
    found: list[dict[str, int]] = page.evaluate(
        """() => [...document.querySelectorAll("figure:not([hidden]) .plot canvas")].map((canvas) => {
          const { width, height } = canvas;
          const dots = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, width, height).data.buffer);
          return { width, height, colours: new Set(dots).size };
        })"""
    )
    return found


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_dashboard_draws_filters_and_hides(
    served: Served, world: World, new_page: NewPage, size: dict[str, int]
) -> None:
    people_and_deeds(world)
    page = new_page(size)
    enter(page, served, world, world.officer)
    page.goto(f"{served.base}/bureau")
    expect(page.get_by_role("heading", name="什么时候减得多？")).to_be_visible()
    assert len(charts(page)) == 4
    assert all(chart["colours"] > 3 and chart["width"] > 200 for chart in charts(page))
    table = page.locator("section", has=page.locator("#kinds")).locator("table")
    expect(table).to_be_hidden()
    page.locator("section", has=page.locator("#kinds")).get_by_text("看表格").click()
    expect(table).to_contain_text("光盘行动")
    picture(page, f"dashboard-{'desk' if size == DESK else 'phone'}")

    page.get_by_role("link", name="江宁路街道").first.click()
    hidden = page.locator("tr", has_text="联宝里居委会").first
    expect(hidden).to_contain_text("人少，不显示")
    page.get_by_label("需要看全部数字的原因").fill("核对来电")
    page.get_by_role("button", name="看一次全部数字").click()
    expect(page.get_by_text("已记入审计。请不要转发", exact=False)).to_be_visible()
    assert hidden.inner_text().split()[1] == "1"

    page.locator("#unit").select_option("year")
    page.get_by_label("范围").select_option(label="石门二路街道")
    page.get_by_role("button", name="查看").click()
    assert "unit=year" in page.url
    assert "area=310106011" in page.url
    expect(page.get_by_text("每月有多少人参与？")).to_be_visible()
    page.goto(f"{served.base}/bureau?period=2026-99")
    expect(page.get_by_text("请填写年、季、月、周或日", exact=False)).to_be_visible()
    page.get_by_role("link", name="上一时段").click()
    assert "period=" in page.url
    expect(page.get_by_text("这段时间还没有记录。").first).to_be_visible()


def test_without_scripts_the_tables_stand_open(served: Served, world: World, new_page: NewPage) -> None:
    people_and_deeds(world)
    page = new_page(DESK, java_script_enabled=False)
    enter(page, served, world, world.officer)
    page.goto(f"{served.base}/bureau")
    expect(page.locator("section", has=page.locator("#kinds")).locator("table")).to_be_visible()
    expect(page.locator(".plot").first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dashboard_can_be_read_by_everybody(
    served: Served, world: World, new_page: NewPage, scheme: str
) -> None:
    people_and_deeds(world)
    page = new_page(DESK, color_scheme=scheme, bypass_csp=True)
    enter(page, served, world, world.officer)
    page.goto(f"{served.base}/bureau")
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    assert [violation["id"] for violation in found] == []
    picture(page, f"dashboard-{scheme}")
