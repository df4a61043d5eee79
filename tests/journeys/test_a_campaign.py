"""A campaign in a browser: an organiser who has never seen the console goes from a template to printed posters."""

import pytest
from playwright.sync_api import expect

from activities import codes
from tanpuhui.staff import Role
from tests.journeys.conftest import DESK, PHONE, NewPage, Served, picture
from tests.journeys.test_bad_input import enter, world
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

pytestmark = pytest.mark.browser

__all__ = ["world"]


def a_district(world: World) -> None:
    """Two canteens with codes, a bin for clothes, and a canteen in another 街镇."""
    for name, kind, community in (
        ("彭浦新村社区食堂", "canteen", COMMUNITY),
        ("临汾路长者餐厅", "canteen", COMMUNITY),
        ("临汾路旧衣回收箱", "clothes_bin", COMMUNITY),
        ("江宁路社区食堂", "canteen", OTHER_COMMUNITY),
    ):
        credited = "clothing_reuse" if kind == "clothes_bin" else "clean_plate"
        site = world.site(credited, name=name, kind=kind, community=community)
        codes.first_code(world.house, world.organiser, site.id)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_first_campaign_from_a_template_to_printed_posters(
    served: Served, world: World, new_page: NewPage, size: dict[str, int], request: pytest.FixtureRequest
) -> None:
    look = request.node.callspec.id
    a_district(world)
    page = new_page(size)
    enter(page, served, world, world.organiser)
    page.goto(f"{served.base}/console")
    page.get_by_role("link", name="活动", exact=True).click()
    page.get_by_role("link", name="新建活动").first.click()
    expect(page.get_by_role("heading", name="光盘行动周")).to_be_visible()
    picture(page, f"campaign-choose-{look}")
    card = page.locator("section").filter(has=page.get_by_role("heading", name="光盘行动周"))
    card.get_by_role("link", name="用这个").click()

    expect(page.get_by_label("名称", exact=True)).to_have_value("光盘行动周")
    expect(page.get_by_label("跟着节日", exact=False)).to_be_checked()
    expect(page.get_by_label("节日", exact=True)).to_contain_text("世界粮食日")
    expect(page.get_by_label("开始", exact=True)).not_to_be_visible()
    expect(page.get_by_label("食堂、餐厅")).to_be_checked()
    picture(page, f"campaign-form-{look}")
    page.get_by_label("指定日期", exact=False).check()
    expect(page.get_by_label("开始", exact=True)).to_be_visible()
    page.get_by_role("button", name="保存并预览").click()
    expect(page.get_by_text("有几处要改一改", exact=False)).to_be_visible()
    expect(page.get_by_text("请填写日期和时间。").first).to_be_visible()
    picture(page, f"campaign-refused-{look}")
    page.get_by_label("跟着节日", exact=False).check()
    page.get_by_text("定目标").click()
    page.get_by_label("参加的人", exact=True).fill("200")
    page.get_by_role("button", name="保存并预览").click()

    expect(page.get_by_text("居民看到的就是下面这一页。")).to_be_visible()
    expect(page.get_by_text("临汾路长者餐厅")).to_be_visible()
    expect(page.get_by_text("临汾路旧衣回收箱")).not_to_be_visible()
    picture(page, f"campaign-preview-{look}")
    page.get_by_role("button", name="提交审批").click()
    expect(page.get_by_text("区里正在审批", exact=False)).to_be_visible()
    picture(page, f"campaign-submitted-{look}")

    officer = new_page(size)
    enter(officer, served, world, world.officer)
    officer.goto(f"{served.base}/bureau")
    officer.get_by_role("link", name="去审批").click()
    picture(officer, f"campaign-approvals-{look}")
    officer.get_by_role("link", name="光盘行动周", exact=False).click()
    expect(officer.get_by_text("彭浦新村社区食堂", exact=False)).to_be_visible()
    picture(officer, f"campaign-approval-{look}")
    officer.get_by_role("button", name="批准").click()
    expect(officer.get_by_text("没有等着审批的活动。")).to_be_visible()

    page.goto(f"{served.base}/console/campaigns")
    expect(page.get_by_text("已批准。")).to_be_visible()
    picture(page, f"campaigns-{look}")
    page.get_by_role("button", name="知道了").click()
    expect(page.get_by_role("button", name="知道了")).to_have_count(0)
    page.get_by_role("link", name="光盘行动周", exact=False).click()
    picture(page, f"campaign-{look}")
    page.get_by_role("link", name="打印海报").click()
    expect(page.get_by_label("江宁路社区食堂")).to_be_checked()
    expect(page.get_by_label("临汾路旧衣回收箱")).not_to_be_checked()
    page.get_by_role("button", name="检查并生成").click()
    expect(page.get_by_role("heading", name="3 张海报好了")).to_be_visible()
    href = page.get_by_role("link", name="打开 PDF").get_attribute("href")
    sheet = page.request.get(f"{served.base}{href}").body()
    assert sheet.startswith(b"%PDF")
    assert world.breaches() == []


def test_without_scripts_every_way_to_say_when_can_be_read(
    served: Served, world: World, new_page: NewPage
) -> None:
    a_district(world)
    page = new_page(PHONE, java_script_enabled=False)
    enter(page, served, world, world.organiser)
    page.goto(f"{served.base}/console/campaigns/new/glass-drive")
    for label in ("节日", "开始", "第一天"):
        expect(page.get_by_label(label, exact=True)).to_be_visible()
    expect(page.get_by_label("周六", exact=True)).to_be_checked()


def test_templates_are_read_adopted_and_approved_before(
    served: Served, world: World, new_page: NewPage
) -> None:
    a_district(world)
    boss = new_page(DESK)
    enter(boss, served, world, world.colleague(Role.OFFICER, Role.ORGANISER))
    boss.goto(f"{served.base}/bureau/campaigns")
    boss.get_by_role("link", name="预先同意活动模板").click()
    picture(boss, "templates")
    boss.get_by_role("link", name="光盘行动周", exact=False).click()
    boss.get_by_role("button", name="预先同意", exact=True).click()
    expect(boss.get_by_role("button", name="不再预先同意")).to_be_visible()
    picture(boss, "template")

    page = new_page(PHONE)
    enter(page, served, world, world.organiser)
    page.goto(f"{served.base}/console/campaigns/new")
    expect(page.get_by_text("照它办，提交即批准")).to_be_visible()
    page.get_by_role("link", name="用这个").first.click()
    page.get_by_role("button", name="保存并预览").click()
    page.get_by_role("button", name="提交审批").click()
    expect(page.get_by_text("照区里预先同意的模板办，提交时就批准了。")).to_be_visible()
