"""The bureau's dashboard: its numbers are the statistics', its filters are its address, and few people are not told."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from tanpuhui import audit, clock
from tanpuhui.bureau import told, withheld
from tanpuhui.bureau.participation import Period, statistics
from tanpuhui.bureau.populations import (
    Population,
    PopulationIn,
    all_populations,
    enter_population,
    populations_until,
)
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.periods import CalendarPeriod
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.threads import at_once, codes
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

OTHER_STREET = OTHER_COMMUNITY[:9]
NEIGHBOUR = "310106006003"
THIRD_COMMUNITY = "310106013002"
UNTOLD = "人少，不显示"
NOW = datetime(2026, 6, 17, 4, tzinfo=UTC)
JUNE = CalendarPeriod.parse("2026-06")


@pytest.fixture(autouse=True)
def in_june(world: World) -> Iterator[None]:
    """Once there is a world, whose reference data is of today."""
    with clock.pretending(NOW):
        yield


def deeds(
    world: World, people: int, community: str = COMMUNITY, at: datetime = NOW, *, more: int = 1
) -> None:
    """So many people of a community eat up; the first `more` of them also ride a bike, and declare a cup."""
    with clock.pretending(at):
        plate, bike = world.code("clean_plate"), world.code("bike_trip")
        world.open_self_reports("own_cup")
        for number in range(people):
            resident = world.resident(community)
            world.scan(resident, plate)
            if number < more:
                world.scan(resident, bike, quantity=3)
                world.self_report(resident, "own_cup")


def opened(world: World, path: str = "/bureau", who: Any = None, language: str = "zh") -> Browser:
    caught_up(world)
    found = browser(world, who or world.officer, language)
    found.get(path)
    return found


def caught_up(world: World) -> None:
    """Let the relay and the job that decides what is withheld catch up."""
    world.house.relay.drain()
    with world.house.db.transaction() as connection:
        withheld.decide(world.house, connection, clock.now())


def words(page: Browser | str) -> str:
    text = page if isinstance(page, str) else page.page.get_data(as_text=True)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def table(page: Browser, section: str) -> dict[str, list[str]]:
    """The rows of the table of a section, by their head."""
    text = page.page.get_data(as_text=True)
    body = text.partition(f'<h2 id="{section}">')[2].partition("</section>")[0].partition("<table>")[2]
    rows = re.findall(r"<tr>(.*?)</tr>", body.partition("</table>")[0], re.S)
    cells = [
        [" ".join(words(cell).split()) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in rows
    ]
    return {row[0]: row[1:] for row in cells}


def numbers(world: World, within: CalendarPeriod, by: str = "") -> list[dict[str, Any]]:
    with world.house.db.reading() as connection:
        return statistics(connection, Period(within.first, within.last), [by] if by else [])


def kg(mg: int) -> str:
    return f"{mg // 10_000 / 100:,.2f}" if mg else "0"


# --- numbers -----------------------------------------------------------------------------------------------


def test_the_numbers_of_the_page_are_those_of_the_statistics(world: World) -> None:
    deeds(world, 6, more=2)
    deeds(world, 7, OTHER_COMMUNITY, more=3)
    page = opened(world)
    (total,) = numbers(world, JUNE)
    assert (total["participants"], total["self_declared_actions"], total["city_actions"]) == (13, 5, 5)
    assert f"参与人数 {total['participants']} " in words(page)
    own = table(page, "totals")
    assert own["记录次数"][:3] == [
        str(total[f"{part}_actions"]) for part in ("own", "verified", "self_declared")
    ]
    for name, label in (("co2e_mg", "较低值"), ("co2e_mid_mg", "居中值"), ("co2e_high_mg", "较高值")):
        line = own[f"CO₂e，{label}，千克"]
        parts = [total[f"{part}{name}"] for part in ("", "verified_", "self_declared_")]
        assert line[:3] == [kg(part) for part in parts]
        assert line[-2] == kg(total[f"city_{name}"])
    nox = own["NO x ，克"]
    assert nox[:4] == ["暂无因子", "暂无因子", "暂无因子", f"0 / {total['own_actions']}"]
    assert nox[-1] == f"{total['city_nox_known']} / {total['city_actions']}"
    places = table(page, "places")
    for row in numbers(world, JUNE, "division"):
        name = {STREET: "江宁路街道", OTHER_STREET: "石门二路街道"}[row["division"]]
        amounts = [row[f"{part}_co2e_mg"] for part in ("verified", "self_declared", "city")]
        assert places[name] == [
            str(row["participants"]),
            "–",
            str(row["actions"]),
            *(kg(amount) for amount in amounts),
        ]
    assert list(places)[1:-1] == sorted_names(world)
    assert places["全区"][0] == "13"
    kinds = table(page, "kinds")
    assert (kinds["光盘行动"][:2], kinds["共享单车骑行"][:2]) == (["13", "13"], ["5", "5"])
    assert table(page, "tiers")["自报"][0] == "5"
    assert table(page, "trend")["6月17日"][:2] == ["13", "23"]
    assert "第一次参与 13" in words(page)


def sorted_names(world: World) -> list[str]:
    with world.house.db.reading() as connection:
        query = "SELECT name FROM division WHERE level = 'street' ORDER BY code"
        return list(connection.scalars(sa.text(query)))


def test_a_number_stands_beside_what_it_was_before_and_a_year_before(world: World) -> None:
    deeds(world, 8, at=datetime(2025, 6, 3, 4, tzinfo=UTC))
    deeds(world, 5, at=datetime(2026, 5, 31, 15, 59, tzinfo=UTC))  # still May in Shanghai
    deeds(world, 6)
    page = opened(world)
    said = words(page)
    assert "比2026年5月 ▲ 多 1 （20.0%）" in said
    assert "比2025年6月 ▼ 少 2 （25.0%）" in said
    assert "到 2026年6月30日 才结束" in said
    assert "以前参与过 0" in said
    before = words(opened(world, "/bureau?period=2026-05"))
    assert "比2026年4月 不可比：当时没有记录" in before
    quiet = words(opened(world, "/bureau?period=2026-08"))
    assert "这个时段还没有开始" in quiet
    english = words(opened(world, language="en"))
    assert "▲ 1 more (20.0%)" in english


def test_who_came_back_is_no_newcomer(world: World) -> None:
    with clock.pretending(datetime(2026, 5, 4, 4, tzinfo=UTC)):
        plate = world.code("clean_plate")
        people = world.residents(6)
        for resident in people[:5]:
            world.scan(resident, plate)
    for resident in [*people, *world.residents(4)]:
        world.scan(resident, plate)
    said = words(opened(world))
    assert "第一次参与 5 以前参与过 5" in said


# --- filters -----------------------------------------------------------------------------------------------


def test_the_address_says_what_is_looked_at(world: World) -> None:
    site = world.site("clean_plate", "own_cup")
    campaign = world.campaign(site, title="光盘周")
    token = world.code_at(site)
    for resident in world.residents(5):
        world.scan(resident, token, kind="clean_plate")
    deeds(world, 6, OTHER_COMMUNITY, more=0)
    page = opened(world, f"/bureau?period=2026-Q2&area={STREET}")
    assert "2026年第二季度 · 江宁路街道" in words(page)
    assert "参与人数 5 " in words(page)
    assert list(table(page, "trend"))[1:] == ["4月", "5月", "6月"]
    assert "看全区" in words(page)
    by_kind = opened(world, "/bureau?unit=year&on=2026-02-03&kind=clean_plate")
    assert "2026年 · 全区 · 光盘行动" in words(by_kind)
    assert "记录次数 11 " in words(by_kind)
    of_campaign = opened(world, f"/bureau?campaign={campaign.id}")
    assert "光盘周" in words(of_campaign)
    assert "记录次数 5 " in words(of_campaign)
    assert "不按行为细分" in words(of_campaign)
    assert table(of_campaign, "campaigns")["光盘周"][1:3] == ["5", "5"]
    community = opened(world, f"/bureau?period=2026-06&area={OTHER_COMMUNITY}")
    assert "参与人数 6 " in words(community)
    assert "各街镇减了多少" not in words(community)
    day = opened(world, "/bureau?period=2026-06-17")
    assert "什么时候减得多" not in words(day)
    assert day.status == 200


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("period=2026-13", "请填写年、季、月、周或日"),
        ("period=1999-01", "请填写年、季、月、周或日"),
        ("unit=decade", "请选择日、周、月、季或年"),
        ("unit=week&on=yesterday", "请填写日期"),
        ("area=310106999", "没有这个街镇或居（村）委会"),
        ("area=1", "没有这个街镇或居（村）委会"),
        ("kind=teleporting", "没有这种绿色行为"),
        ("campaign=none", "没有这个活动"),
        ("campaign=00000000-0000-0000-0000-000000000000", "没有这个活动"),
    ],
)
def test_a_wrong_filter_is_answered_in_words_with_a_view_that_works(
    world: World, query: str, reason: str
) -> None:
    page = opened(world, f"/bureau?{query}")
    assert page.status == 422
    assert reason in words(page)
    assert "加起来有多少" in words(page)
    assert "2026年6月" in words(page)


def test_a_kind_and_a_campaign_together_tell_nobody_apart(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"))
    page = opened(world, f"/bureau?kind=clean_plate&campaign={campaign.id}")
    assert page.status == 422
    assert "行为和活动一次只选一个" in words(page)


# --- few people --------------------------------------------------------------------------------------------


def test_few_people_are_not_told_nor_worked_out(world: World) -> None:
    deeds(world, 3, more=0)
    page = opened(world)
    assert "所选范围里的人太少" in words(page)
    assert "144" not in words(page)
    assert table(page, "places")["江宁路街道"] == [UNTOLD, "–", "–", "–", "–", "–"]
    assert "全区" not in table(page, "places")
    assert table(page, "trend")["6月17日"][0] == UNTOLD
    tiles = page.page.get_data(as_text=True).partition('<ol class="tiles"')[2].partition("</ol>")[0]
    assert words(tiles).count(UNTOLD) == 1
    deeds(world, 8, NEIGHBOUR, more=0)
    page = opened(world, f"/bureau?area={STREET}")
    assert "参与人数 11 " in words(page)
    places = table(page, "places")
    names = named(world, COMMUNITY, NEIGHBOUR)
    # The other community goes with it: the total less the one is the other.
    assert [places[name][0] for name in names] == [UNTOLD, UNTOLD]
    assert {row[0] for name, row in places.items() if name not in names} >= {"0", "11"}
    assert table(opened(world), "places")["江宁路街道"][0] == "11"


def named(world: World, *codes: str) -> list[str]:
    with world.house.db.reading() as connection:
        rows = dict(connection.execute(sa.text("SELECT code, name FROM division")).all())
    return [rows[code] for code in codes]


def test_what_is_withheld_elsewhere_is_withheld_here(world: World) -> None:
    """The page tells what `told_sums` tells, however one comes to look at it; what is too fine is not told at all."""
    deeds(world, 3, more=0)
    for community in (OTHER_COMMUNITY, THIRD_COMMUNITY):
        deeds(world, 8, community, more=0)
    caught_up(world)
    reasons = []
    for name, area in (("2026", STREET), ("2026-06", OTHER_STREET), ("2026-06", THIRD_COMMUNITY)):
        with world.house.db.reading() as connection:
            (row,) = told.told_sums(connection, [CalendarPeriod.parse(name)], [area], by=("period",))
        reasons.append(row["withheld"])
        said = words(opened(world, f"/bureau?period={name}&area={area}"))
        assert ("所选范围里的人太少" in said) == (row["withheld"] == "few")
    assert reasons[0] == "few"
    assert None in reasons
    fine = words(opened(world, f"/bureau?period=2026-06-17&area={COMMUNITY}"))
    assert "太细，不提供" in fine


def test_what_was_few_before_is_not_compared(world: World) -> None:
    deeds(world, 6, at=datetime(2026, 4, 4, 4, tzinfo=UTC), more=0)
    deeds(world, 2, at=datetime(2026, 5, 4, 4, tzinfo=UTC), more=0)
    deeds(world, 6, more=0)
    assert "比2026年5月 人数少，不比较" in words(opened(world))


def test_who_has_a_reason_sees_all_of_one_view_and_is_noted(world: World) -> None:
    deeds(world, 3)
    deeds(world, 8, OTHER_COMMUNITY)
    page = opened(world, "/bureau?period=2026-06&kind=clean_plate")
    page.send("/bureau?", reason=" ")
    assert page.status == 422
    assert "请写明原因" in words(page)
    assert table(page, "places")["江宁路街道"][0] == UNTOLD
    page.send("/bureau?", reason="核对  街道来电")
    assert table(page, "places")["江宁路街道"][:1] == ["3"]
    assert "已记入审计" in words(page)
    page.get("/bureau?period=2026-06&kind=clean_plate")
    assert table(page, "places")["江宁路街道"][0] == UNTOLD
    with world.house.db.reading_session() as session:
        (entry,) = session.exec(
            select(audit.AuditEntry).where(col(audit.AuditEntry.deed) == "dashboard.seen")
        )
    assert (entry.subject, entry.reason) == ("dashboard:2026-06:310106", "核对 街道来电")
    assert (entry.actor_id, entry.detail["kind"]) == (world.officer.id, "clean_plate")
    stranger = browser(world, world.organiser)
    stranger.get("/bureau")
    assert stranger.status == 403


# --- fast --------------------------------------------------------------------------------------------------

#: What the page may read: sums, and tables that stay small however many records there are.
SMALL = {
    *("period_figure", "participant_count", "site_figure", "withheld_cell", "withheld_year"),
    *("division", "action_kind", "evidence_tier", "campaign", "campaign_total", "population", "member_card"),
    "display_choice",
    *(
        "staff",
        "role_grant",
        "browser_session",
        "reference_state",
        "family_guardian",
        "feedback",
        "json_each",
    ),
    *("clash_rule", "factor_version", "code", "site", "site_credits"),  # what every page knows of kinds
    *("action_review", "campaign_version"),  # what waits for the officer
    *("target", "target_task", "target_reminder"),
}


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    found: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        found.append(statement)

    sa.event.listen(world.house.db.engine, "before_cursor_execute", listen)
    yield found
    sa.event.remove(world.house.db.engine, "before_cursor_execute", listen)


def test_the_page_reads_sums_and_small_tables_in_as_many_statements_however_much_there_is(
    world: World,
) -> None:
    deeds(world, 5)
    me = opened(world)
    with statements(world) as few:
        me.get("/bureau?period=2026")
    deeds(world, 6, OTHER_COMMUNITY)
    deeds(world, 6, at=datetime(2026, 5, 4, 4, tzinfo=UTC))
    caught_up(world)
    with statements(world) as many:
        me.get("/bureau?period=2026")
    # The notice of records that wait begins at them, and looks up no other record.
    others = [text for text in many if "FROM action_review" not in text]
    read = {name for text in others for name in re.findall(r'(?:FROM|JOIN)\s+"?(\w+)', text)}
    assert read <= SMALL, read - SMALL
    assert len(many) == len(few) < 60


# --- populations -------------------------------------------------------------------------------------------


def population_in(people: int | None = 80_000, **more: Any) -> PopulationIn:
    return PopulationIn(
        **{"division_code": STREET, "year": 2025, "source": "统计年鉴 表 2-1", **more}, people=people
    )


def test_participation_is_told_per_thousand_only_where_a_population_was_entered(world: World) -> None:
    deeds(world, 12)
    page = opened(world)
    assert table(page, "places")["江宁路街道"][1] == "–"
    assert "还没有填写人口" in words(page)
    page.get("/bureau/populations")
    assert "还没有填写" in words(page)
    page.send("/bureau/populations", division=STREET, year="2025", people="8,000", source="统计年鉴 表 2-1")
    assert (page.status, page.path) == (200, "/bureau/populations")
    assert "江宁路街道 2025 8,000 统计年鉴 表 2-1" in words(page)
    page.get("/bureau")
    assert table(page, "places")["江宁路街道"][1] == "1.5"
    assert "2025 · 8,000 · 统计年鉴 表 2-1" in words(page)
    page.get("/bureau?period=2024")
    assert table(page, "places")["江宁路街道"][1] == "–"  # no number of that year or before
    page.get("/bureau/populations")
    page.send("/bureau/populations", division="", year="1888", people="0", source="")
    assert page.status == 422
    for said in ("请选择全区或一个街镇", "2000 年至今年", "以整数填写人数", "请写明出处"):
        assert said in words(page)
    auditor = opened(world, "/bureau/populations", world.colleague(Role.AUDITOR))
    assert "填写或更改" not in words(auditor)


def test_a_population_is_replaced_with_a_reason_only_and_audited(world: World) -> None:
    enter_population(world.house, world.officer, population_in())
    with pytest.raises(InvalidField):
        enter_population(world.house, world.officer, population_in(81_000))
    enter_population(world.house, world.officer, population_in(81_000, source="公报", reason="年鉴修订"))
    enter_population(world.house, world.officer, population_in(70_000, year=2020))
    with world.house.db.reading_session() as session:
        entries = session.exec(
            select(audit.AuditEntry)
            .where(col(audit.AuditEntry.deed).startswith("population"))
            .order_by(col(audit.AuditEntry.at))
        ).all()
    assert [entry.deed for entry in entries] == [
        "population.entered",
        "population.replaced",
        "population.entered",
    ]
    assert entries[1].detail["old_people"] == 80_000
    with world.house.db.reading() as connection:
        assert [one.people for one in all_populations(connection)] == [81_000, 70_000]
        assert populations_until(connection, 2024)[STREET].people == 70_000
        assert populations_until(connection, 2019) == {}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"division_code": COMMUNITY}, "division"),
        ({"division_code": "999999"}, "division"),
        ({"year": None}, "year"),
        ({"year": 2027}, "year"),
        ({"people": None}, "people"),
        ({"people": 100_000_001}, "people"),
        ({"source": "x" * 301}, "source"),
    ],
)
def test_a_population_that_makes_no_sense_is_refused_at_its_field(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        enter_population(world.house, world.officer, population_in(**wrong))
    assert [error["field"] for error in refused.value.params["errors"]] == [field]


def test_only_officers_and_admins_of_the_district_enter_populations(world: World) -> None:
    for who in (
        world.colleague(Role.AUDITOR),
        world.organiser,
        world.colleague(Role.OFFICER, division=STREET),
    ):
        with pytest.raises(NotAllowed):
            enter_population(world.house, who, population_in(division_code=DISTRICT))


def test_of_two_who_enter_a_population_at_once_the_second_is_asked_why(world: World) -> None:
    with world.house.db.reading_session() as session:
        assert not session.exec(select(Population)).all()
    enter = [
        partial(enter_population, world.house, world.officer, population_in(1_000 + n)) for n in range(4)
    ]
    done = at_once(enter)
    assert codes(done).count("invalid_fields") == 3
    with world.house.db.reading() as connection:
        (standing,) = all_populations(connection)
    assert standing.people in range(1_000, 1_004)
