"""The public pages of factors, methodologies and evidence, and the sum on the pages of a record."""

import csv
import io
import re
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest

from activities.quantify.register import entries
from activities.review import void_action
from tanpuhui import clock
from tanpuhui.rooms import House
from tests.browser import browser
from tests.world import World


def words(page: str) -> str:
    """What a page says, without its head and with one blank between words."""
    text = re.sub(r"<head>.*?</head>|<select.*?</select>|<[^>]+>", " ", page.replace("<wbr>", ""), flags=re.S)
    return " ".join(unescape(text).split())


def versions(page: str) -> list[str]:
    """The versions that a list shows, in its order."""
    return re.findall(r'<article class="stack tight" aria-label="([^"]+)"', page)


# --- the list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_anybody_sees_every_factor_with_where_it_comes_from(world: World) -> None:
    page = browser(world).get("/factors")
    assert len(versions(page)) == 18
    said = words(page)
    for text in (
        "共 18 个版本。",
        "光盘行动 144 克 CO₂e / 餐 现行 按较低值计；居中 340 克，较高 449 克。 污染物 暂无因子",
        "可信度 B：来自新闻报道 备案 未向市级备案，只作估算 有效期 长期有效",
        "减排因子",
        "本区只给积分",
        "市级已有方法学，由市级核算 上海市碳普惠方法学（2024）",
        "SO 2 暂无因子",
        "只有一个公开值，没有区间。",
    ):
        assert text in said
    for version in versions(page):
        assert f'href="/factors/{version}"' in page


def test_older_and_coming_versions_are_folded_under_the_present_one(world: World) -> None:
    today = clock.today()
    world.publish_factor("own_cup", valid_from=today, co2e_low_ng=41 * 10**9, co2e_mid_ng=41 * 10**9,
                         co2e_high_ng=41 * 10**9)  # fmt: skip
    world.publish_factor("own_cup", valid_from=today + timedelta(days=1))
    page = browser(world).get("/factors?kind=own_cup")
    assert versions(page) == ["own_cup@2", "own_cup@3", "own_cup@1"]
    assert page.index("own_cup@2") < page.index("另有 2 个版本") < page.index("own_cup@3")
    said = words(page)
    assert [said.count(state) for state in ("现行", "尚未生效", "已失效")] == [1, 1, 1]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_what_is_looked_for_stands_in_the_address_and_in_the_form(world: World) -> None:
    me = browser(world)
    page = me.get("/factors?q=+光盘+&category=&confidence=B&on=&utm=x")
    assert unescape(me.address) in {
        "/factors?q=光盘&confidence=B",
        "/factors?q=%E5%85%89%E7%9B%98&confidence=B",
    }
    assert versions(page) == ["clean_plate@1"]
    assert 'value="光盘"' in page
    assert '<option value="B" selected>' in page
    assert "<details open>" in page
    assert "找到 1 个版本，共 18 个。" in words(page)
    assert "q=%E5%85%89%E7%9B%98&amp;confidence=B" in page.split("/factors.csv?")[1]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("category=food", {"clean_plate@1", "no_cutlery@1", "own_cup@1"}),
        ("q=上海", {"household_pv@1", "own_cup@1"}),
        ("filing_status=city_method&category=energy", {"household_pv@1"}),
        ("city_credited=true", {"bus_trip@1", "metro_trip@1", "bike_trip@1", "household_pv@1"}),
        ("scenario_kind=减排场景&city_credited=false", {"ebike_trip@1"}),
        ("confidence=A", {"household_pv@1"}),
        ("methodology=walking", {"walk@1"}),
        ("on=2030-01-01&kind=walk", {"walk@1"}),
    ],
)
def test_every_filter_narrows_the_list_and_the_file_alike(world: World, query: str, found: set[str]) -> None:
    me = browser(world)
    assert set(versions(me.get(f"/factors?{query}"))) == found
    rows = csv.DictReader(io.StringIO(me.get(f"/factors.csv?{query}").removeprefix("\ufeff")))
    assert {f"{row['action_code']}@{row['version']}" for row in rows} == found


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_nothing_found_says_so_and_leads_back(world: World) -> None:
    page = browser(world).get("/factors?q=nothing+of+the+kind")
    assert versions(page) == []
    assert "没有符合这些条件的因子。" in words(page)
    assert 'href="/factors"' in page
    assert "/factors.csv" not in page


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("on=2026-02-30", "请填写日期，例如 2026-06-05。"),
        ("confidence=E", "填写的内容不符合要求。"),
        (f"q={'x' * 101}", "最多 100 个字。"),
    ],
)
def test_a_wrong_condition_is_told_at_its_field(world: World, query: str, said: str) -> None:
    me = browser(world)
    page = me.get(f"/factors?{query}")
    assert me.status == 422
    name = query.partition("=")[0]
    assert re.search(rf'id="{name}-error">.*?<span>{said}</span>', page, re.S)
    assert versions(page) == []
    me.get(f"/factors.csv?{query}")
    assert me.status == 422


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_file_opens_in_a_spreadsheet(world: World) -> None:
    answer = world.client().get("/factors.csv")
    assert answer.data.startswith(b"\xef\xbb\xbfaction_code,")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert len(rows) == 18
    (plate,) = [row for row in rows if row["action_code"] == "clean_plate"]
    assert (plate["co2e_g_low"], plate["nox_mg"], plate["methodology"]) == ("144", "", "catering_savings")


def test_a_house_without_factors_says_that_there_are_none(house: House) -> None:
    world = World(house)
    assert "没有符合这些条件的因子。" in words(browser(world).get("/factors"))
    assert "还没有方法学。" in words(browser(world).get("/methodologies"))


# --- one version --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_version_says_how_its_values_come_about(world: World) -> None:
    me = browser(world)
    said = words(me.get("/factors/clean_plate@1"))
    for text in (
        "每餐估算减排 144 克",
        "较低值（计入） 144 克 居中值 340 克 较高值 449 克",
        "R = Q × w × f 减排量 = 数量 × 产生量 × 排放因子",
        "每单位产生量 93 克/餐 × 排放因子 4.83 千克/千克 = 449.19 克/餐，记 449 克/餐",
        "1 餐 × 144 克/餐 = 144 克",
        "氮氧化物 NOx：暂无因子",
        "有效期 长期有效",
        "这是第一个版本。",
        "光明日报",
    ):
        assert text in said
    assert "发布日" not in said
    assert 'href="/methodologies/catering_savings"' in me.page.text
    assert 'href="/factors"' in me.page.text
    assert words(me.get("/factors/clean_plate%401")) == said
    stated = words(me.get("/factors/bike_trip@1"))
    assert "来源直接给出每单位的数值，没有给出参数。" in stated
    assert "本区不重复计入，只给积分" in stated


def test_a_newer_version_says_what_it_changed_and_when_it_was_published(world: World) -> None:
    today = clock.today()
    world.publish_factor(
        "clean_plate", valid_from=today, co2e_low_ng=150 * 10**9, so2_ng=-2_000_000, source="静安食堂实测"
    )
    me = browser(world)
    said = words(me.get("/factors/clean_plate@2"))
    for text in (
        "和 clean_plate@1 比，改了什么",
        "减排量（较低值） 原来：144 克/餐 现在：150 克/餐",
        "SO 2 原来：暂无因子 现在：",
        "现在：静安食堂实测",
        f"发布 {today.year}年{today.month}月{today.day}日，由一人提出、另一人复核",
        f"有效期 {today.year}年{today.month}月{today.day}日起",
    ):
        assert text in said
    assert "减排量（居中值） 原来" not in said
    assert 'href="/factors/clean_plate@1"' in me.page.text
    older = words(me.get("/factors/clean_plate@1"))
    assert "已失效" in older
    assert "这是第一个版本。" in older


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "path", ["/factors/clean_plate@9", "/factors/none", "/factors/%00", "/methodologies/none"]
)
def test_what_is_not_there_is_said_to_be_missing(world: World, path: str) -> None:
    me = browser(world)
    me.get(path)
    assert (me.status, me.page.mimetype) == (404, "text/html")


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_every_version_has_a_page_in_both_languages(world: World) -> None:
    with world.house.db.reading_session() as session:
        every = [(one.version.id, one.kind.name_en, one.kind.name_zh) for one in entries(session)]
    chinese, english = browser(world), browser(world, language="en")
    for version, name_en, name_zh in every:
        assert name_en in english.get(f"/factors/{version}")
        assert name_zh in chinese.get(f"/factors/{version}")
        assert (english.status, chinese.status) == (200, 200)


# --- methodologies and evidence -----------------------------------------------------------------------------


def test_every_methodology_says_what_it_asks_and_which_factors_follow_it(world: World) -> None:
    world.publish_factor("clean_plate", valid_from=clock.today())
    me = browser(world)
    page = me.get("/methodologies")
    links = re.findall(r'href="(/methodologies/\w+)"', page)
    assert len(links) == 11
    for link in links:
        said = words(me.get(link))
        assert me.status == 200
        for text in ("备案状态", "减排量 = ", "对照", "适用范围", "需要的证据", "来源文件"):
            assert text in said
    catering = me.get("/methodologies/catering_savings")
    assert 'href="/factors/clean_plate@2"' in catering
    assert 'href="/factors/clean_plate@1"' not in catering
    assert "93 g × 4.83 kg/kg" in words(catering)
    assert "市级文号：上海市碳普惠方法学（2024）" in words(me.get("/methodologies/public_transport"))
    me.get("/factors?methodology=catering_savings")
    assert versions(me.page.text) == ["clean_plate@2", "clean_plate@1"]
    assert "只看：餐饮节约" in words(me.page.text)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_table_of_evidence_is_one_and_public(world: World) -> None:
    with world.house.db.transaction() as connection:
        connection.exec_driver_sql("UPDATE evidence_weight SET points_percent = 65 WHERE evidence = 'photo'")
    me = browser(world)
    for path in ("/evidence", "/rewards"):
        said = words(me.get(path))
        assert "1 自报 减排量：自报 50%" in said
        assert "2 照片佐证 减排量：自报 65%" in said
        assert "6 称重或合作方数据 减排量：经验证 100%" in said


# --- the sum on a record ------------------------------------------------------------------------------------


def test_a_record_shows_its_sum_by_the_version_it_was_computed_by(world: World) -> None:
    """First at a glance, then every number; a newer version changes nothing of it."""
    resident = world.resident()
    scan = world.scan(resident, world.code("clean_plate"))["action"]
    me = browser(world, resident)
    page = me.get(f"/me/actions/{scan['id']}")
    said = words(page)
    for text in (
        "您这一餐：1 餐 × 144 克/餐 = 144 克 ",
        "我们按最低的算。 较高值：93 克 × 4.83 千克/千克 ≈ 449 克",
        "证据 点位扫码 积分 100%，计入经验证的合计",
        "较低值（计入） 144 克 居中值 340 克 较高值 449 克 NO x 暂无因子 PM 2.5 暂无因子",
        "R = Q × w × f 减排量 = 数量 × 产生量 × 排放因子",
        "因子版本 clean_plate@1",
        "方法学 餐饮节约",
        "备案 未向市级备案，只作估算",
    ):
        assert text in said
    assert page.index("您这一餐") < page.index("<details>") < page.index("居中值")
    for link in ("/factors/clean_plate@1", "/methodologies/catering_savings", "/evidence"):
        assert f'href="{link}"' in page

    world.publish_factor("clean_plate", valid_from=clock.today(), co2e_low_ng=150 * 10**9)
    assert words(me.get(f"/me/actions/{scan['id']}")) == said
    desk = words(browser(world, world.organiser).get(f"/console/actions/{scan['id']}/void"))
    assert "1 餐 × 144 克/餐 = 144 克" in desk
    assert "clean_plate@2" not in desk


def test_a_record_of_what_the_city_credits_shows_its_pollutants(world: World) -> None:
    resident = world.resident()
    scan = world.scan(resident, world.code("bike_trip"), quantity="2.5")["action"]
    said = words(browser(world, resident).get(f"/me/actions/{scan['id']}"))
    assert "您这一次：2.5 公里 × 48.7 克/公里 ≈ 121 克" in said
    assert "氮氧化物 NOx = 2.5 公里 × 48.7487 毫克/公里 = 121.87175 毫克，向下取整记 121871 微克" in said
    assert "本区不重复计入，只给积分" in said
    assert "计入经验证的合计" not in said  # it stands in the city's total, and in none of the district's
    assert "SO 2 暂无因子" in said


def test_an_added_emission_is_told_as_one(world: World) -> None:
    resident, code = world.resident(), world.code("own_cup")
    world.publish_factor("own_cup", valid_from=clock.today(), nox_ng=5_000_000, so2_ng=-2_000_000, co_ng=0)
    scan = world.scan(resident, code)["action"]
    me = browser(world, resident)
    said = words(me.get(f"/me/actions/{scan['id']}"))
    assert "同时减少的空气污染物" not in said
    assert "NO x 5 毫克 SO 2 多排放 2 毫克 CO 0" in said
    assert "SO 2 多排放 2 毫克" in words(me.get("/"))
    english = words(browser(world, resident, "en").get(f"/me/actions/{scan['id']}"))
    assert "SO 2 2 mg more emitted" in english


def test_staff_open_a_record_and_its_sum_also_once_it_is_voided(world: World) -> None:
    site = world.site("clean_plate")
    scan = world.scan(world.resident(), world.code_at(site))["action"]
    me = browser(world, world.organiser)
    me.get(f"/console/sites/{site.id}")
    address = f"/console/actions/{scan['id']}/void"
    assert me.page.text.count(f'href="{address}"') == 2
    page = me.get(address)
    for text in ("1 餐 × 144 克/餐 = 144 克", "R = Q × w × f", "SO 2 暂无因子", "撤销原因"):
        assert text in words(page)
    assert 'href="/factors/clean_plate@1"' in page
    void_action(world.house, world.officer, UUID(scan["id"]), "重复扫码")
    assert f'href="{address}"' in me.get(f"/console/sites/{site.id}")
    said = words(me.get(address))
    assert "原因：重复扫码" in said
    assert "1 餐 × 144 克/餐 = 144 克" in said
    assert "撤销原因" not in said


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_scan_page_leads_to_the_version_it_would_use(world: World) -> None:
    code = world.code("clean_plate")
    me = browser(world)
    me.get(f"/s/{code}")
    assert 'href="/factors/clean_plate@1"' in me.page.text
