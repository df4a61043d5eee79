"""The closing report: made by itself, exact, small numbers left out, and the same bytes whenever it is drawn again."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
import time_machine

from activities import campaign_reports, otherwise, review
from activities.campaign_life import JOB
from activities.campaigns import Campaign
from activities.otherwise import OtherwiseAnswer, is_asked_about
from tanpuhui import clock, consents, jobs
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.figures import CampaignTotal
from tanpuhui.people import PRESENT, Document, Resident
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once
from tests.world import COMMUNITY, OTHER_COMMUNITY, World

NOW = datetime(2027, 6, 1, 4, 0, tzinfo=UTC)
PDFS = ("report.zh.pdf", "report.en.pdf", "report.csv")


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def settled(world: World, campaign: Campaign, time: Any) -> None:
    """Go to the moment at which a campaign is settled, and take every step."""
    assert campaign.ends_at
    time.move_to(campaign.ends_at + timedelta(hours=world.house.settings.late_hours, minutes=1))
    jobs.run_due(world.house, JOB, clock.now())


def snapshot(world: World, campaign_id: UUID) -> dict[str, Any]:
    with world.house.db.reading_session() as session:
        return campaign_reports.report_of(session, campaign_id).snapshot


def lived(world: World, time: Any) -> tuple[Campaign, list[Resident], list[str]]:
    """Nine people at a canteen (two of them on a second day), two more of another street, two with a cup, seven by metro."""
    canteen, stop = world.site("clean_plate", "own_cup"), world.site("metro_trip")
    elsewhere = world.code("clean_plate")
    guests = [*world.residents(9), *(world.resident(OTHER_COMMUNITY) for _ in range(2))]
    for one in guests[:6]:
        world.scan(one, elsewhere)
    time.shift(timedelta(hours=2))
    goals = {"participants": 10, "actions": 40, "kg": 1}
    bonus = {"by": "points", "amount": 2, "cap": 4, "budget": 100}
    campaign = world.launch(
        world.campaign_in(
            canteen,
            stop,
            starts_at=clock.now() + timedelta(hours=1),
            ends_at=clock.now() + timedelta(days=2),
            goals=goals,
            bonus=bonus,
        )
    )
    time.shift(timedelta(hours=5))
    plate, metro = world.code_at(canteen), world.code_at(stop)
    made = [world.scan(one, plate, kind="clean_plate")["action"]["id"] for one in guests]
    for one in guests[:2]:
        world.scan(one, plate, kind="own_cup")
    for one in guests[2:9]:
        world.scan(one, metro, quantity="4.5")
    time.shift(timedelta(days=1))
    made += [world.scan(one, plate, kind="clean_plate")["action"]["id"] for one in guests[:2]]
    world.house.relay.drain()
    return campaign, guests, made


def rows(snapshot: dict[str, Any], table: str, *, city: bool = False) -> dict[str, Any]:
    return {row["key"]: row["records"] for row in snapshot["tables"][table] if row["city"] is city}


def files(world: World, campaign_id: UUID) -> list[bytes]:
    me = browser(world, world.organiser)
    found = []
    for name in PDFS:
        answer = me.client.get(f"/console/campaigns/{campaign_id}/{name}")
        assert answer.status_code == 200, name
        found.append(answer.get_data())
    return found


def test_it_is_exact_and_leaves_the_small_numbers_out(world: World, time: Any) -> None:
    campaign, _guests, _made = lived(world, time)
    settled(world, campaign, time)
    told = snapshot(world, campaign.id)
    assert (told["participants"], told["new"], told["returning"]) == (11, 5, 6)
    with world.house.db.reading_session() as session:
        total = session.get_one(CampaignTotal, str(campaign.id))
    own, city = told["tables"]["whole"]
    assert (
        (own["records"], own["co2e_mg"]) == (total.actions, total.co2e_mg) == (15, 13 * 144_000 + 2 * 40_000)
    )
    assert (city["records"], city["co2e_mg"]) == (total.city_actions, total.city_co2e_mg)
    assert rows(told, "kind") == {"clean_plate": None, "own_cup": None}  # two with a cup: both are left out
    assert rows(told, "kind", city=True) == {"metro_trip": 7}
    assert rows(told, "day") == dict.fromkeys(rows(told, "day"))  # two people on the second day
    assert rows(told, "street") == dict.fromkeys({COMMUNITY[:9], OTHER_COMMUNITY[:9]})
    assert rows(told, "community") == {}  # not even named
    assert rows(told, "community", city=True) == {COMMUNITY: 7}
    assert rows(told, "evidence") == {"site_code": 15}
    assert rows(told, "proof") == {"verified": 15}
    assert told["bonus"] == {"budget": 100, "granted": 2 * 4 + 7 * 4 + 2 * 2}
    assert told["campaign"]["version"] == 1
    assert {row["key"] for row in told["factors"]} == {"clean_plate@1", "own_cup@1", "metro_trip@1"}
    assert [row["key"] for row in told["pollutants"] if not row["city"]] == []  # no factor is not zero
    page = browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}/report")
    for words in (
        "有多少经过验证？",
        "不公布",
        "11，目标 10",
        "市级核算，另列",
        "2027年6月1日至2027年6月3日",
    ):
        assert words in page.replace("<span>", ""), words
    api = world.call(
        "GET", f"/campaigns/{campaign.id}/report", world.token(world.organiser, Role.ORGANISER)
    ).get_json()
    assert (api["snapshot"], api["since"]) == (told, {"voided": 0, "confirmed": 0})
    assert world.breaches() == []


def test_it_is_the_same_byte_for_byte_whenever_it_is_drawn(world: World, time: Any) -> None:
    campaign, _guests, made = lived(world, time)
    settled(world, campaign, time)
    told, before = snapshot(world, campaign.id), files(world, campaign.id)
    time.shift(timedelta(days=40))
    review.void_action(world.house, world.organiser, UUID(made[0]), "抽查发现重复")
    jobs.run_due(world.house, JOB, clock.now())
    assert files(world, campaign.id) == before
    assert snapshot(world, campaign.id) == told
    page = browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}/report")
    assert "又有 1 条记录被撤销" in page
    zh, en, sheet = before
    text = "".join(page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(zh))
    assert "有多少经过验证？" in text
    assert "测试活动" in text
    assert b"/Lang (en)" in en
    lines = list(csv.DictReader(io.StringIO(sheet.decode("utf-8-sig"))))
    assert sheet.startswith(b"\xef\xbb\xbf")
    assert [line["records"] for line in lines if line["section"] == "whole"] == ["15", "7"]
    for change in ("UPDATE campaign_report SET format = 2", "DELETE FROM campaign_report"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="campaign_report"),
            world.house.db.transaction() as connection,
        ):
            connection.execute(sa.text(change))


def test_of_fewer_than_five_people_nothing_is_told(world: World, time: Any) -> None:
    site = world.site("clean_plate")
    campaign = world.campaign(site, goals={"participants": 5})
    for one in world.residents(4):
        world.scan(one, world.code_at(site))
    settled(world, campaign, time)
    told = snapshot(world, campaign.id)
    assert (told["participants"], told["new"], told["returning"]) == (None, None, None)
    for table in told["tables"].values():
        assert {row["records"] for row in table} <= {None}
    assert "不公布，目标 5" in browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}/report")


def test_a_name_that_the_font_cannot_print_keeps_no_report_back(world: World, time: Any) -> None:
    campaign = world.campaign(world.site("clean_plate"), title="𠮷祥🌱光盘")
    settled(world, campaign, time)
    assert all(files(world, campaign.id))


# --- what would have been done otherwise ---------------------------------------------------------------------


@pytest.fixture
def everybody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """About every record, not one in eight."""
    monkeypatch.setattr(otherwise, "_LAST", tuple("0123456789abcdef"))


def agree(world: World, resident: Resident) -> None:
    consents.give(world.house, resident.id, Document.QUESTIONS, PRESENT[Document.QUESTIONS])


def answers(world: World) -> list[str]:
    with world.house.db.reading() as connection:
        return sorted(connection.scalars(sa.text("SELECT answer FROM otherwise_answer")))


def test_about_one_record_in_eight_is_asked_about() -> None:
    asked = sum(is_asked_about(UUID(int=number)) for number in range(800))
    assert asked == 100


@pytest.mark.usefixtures("everybody_is_asked")
def test_one_tap_answers_once_and_only_whoever_agreed_is_asked(world: World) -> None:
    site = world.site("clean_plate")
    one, other = world.residents(2)
    action = UUID(world.scan(one, world.code_at(site))["action"]["id"])
    me, stranger = browser(world, one), browser(world, other)
    assert "要是没有碳普惠" not in me.get(f"/me/actions/{action}")
    with pytest.raises(NotFound):
        otherwise.answer(world.house, one.id, action, "same")
    agree(world, one)
    agree(world, other)
    assert "要是没有碳普惠，这一顿您会怎么做？" in me.get(f"/me/actions/{action}")
    with pytest.raises(NotFound):
        otherwise.answer(world.house, other.id, action, "same")
    with pytest.raises(InvalidField):
        otherwise.answer(world.house, one.id, action, "maybe")
    assert "要是没有碳普惠" not in me.send("/otherwise", answer="not")
    at_once([lambda: otherwise.answer(world.house, one.id, action, "same")] * 4)
    assert answers(world) == ["not"]
    assert str(action) not in stranger.get("/me/impact")
    consents.withdraw(world.house, one.id, Document.QUESTIONS)
    assert answers(world) == []


@pytest.mark.usefixtures("everybody_is_asked")
def test_no_answer_outlives_a_consent_that_is_taken_back_at_the_same_moment(world: World) -> None:
    site = world.site("clean_plate")
    people = world.residents(4)
    made = [UUID(world.scan(one, world.code_at(site))["action"]["id"]) for one in people]
    for one in people:
        agree(world, one)

    def answered(one: Resident, action: UUID) -> None:
        try:
            otherwise.answer(world.house, one.id, action, "part")
        except NotFound:
            return

    at_once(
        [
            work
            for one, action in zip(people, made, strict=True)
            for work in (
                lambda one=one, action=action: answered(one, action),
                lambda one=one: consents.withdraw(world.house, one.id, Document.QUESTIONS),
            )
        ]
    )
    assert answers(world) == []
    with world.house.db.session() as session:
        session.add(OtherwiseAnswer(action_id=made[0], answer="same", answered_at=NOW))
    change = sa.text("UPDATE otherwise_answer SET answer = 'not'")
    with pytest.raises(sa.exc.DBAPIError, match="once"), world.house.db.transaction() as connection:
        connection.execute(change)


@pytest.mark.usefixtures("everybody_is_asked")
def test_the_report_tells_the_share_with_its_range(world: World, time: Any) -> None:
    site = world.site("clean_plate")
    campaign = world.campaign(site)
    said = ["not"] * 6 + ["same"] * 10 + ["skipped"]
    people = world.residents(len(said) + 1)
    for one in people:
        agree(world, one)
        action = UUID(world.scan(one, world.code_at(site))["action"]["id"])
        if said:
            otherwise.answer(world.house, one.id, action, said.pop())
    settled(world, campaign, time)
    told = snapshot(world, campaign.id)["otherwise"]
    assert told == {
        "asked": 18,
        "answered": 16,
        "answers": {"same": 10, "part": 0, "not": 6, "unknown": 0},
        "not_share": {"permille": 375, "interval": [184, 614]},
    }
    page = browser(world, world.organiser).get(f"/console/campaigns/{campaign.id}/report")
    assert "37.5% 说没有活动就不会做（95% 的区间：18.4% 到 61.4%）" in page
