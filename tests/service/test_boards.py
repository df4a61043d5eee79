"""Boards: whatever anybody chooses, page, API, CSV and print say the same, hide the same, and rank honestly."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pypdfium2
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from activities import boards, teams
from activities.board_api import RanksOut
from activities.board_pages import MEASURE_NAMES
from activities.boards import Boards, Measure
from activities.campaigns import Campaign
from activities.occasions import FEWEST_TOLD
from activities.review import void_action
from tanpuhui import clock, consents, people
from tanpuhui.errors import NotFound
from tanpuhui.figures import CampaignParticipant, CampaignTotal
from tanpuhui.people import PRESENT, Document, Resident
from tests.browser import Browser, browser
from tests.world import World

NAMES = ["东楼", "南楼", "西楼", "北楼"]
VERSION = PRESENT[Document.BOARDS]


def read(world: World, campaign: Campaign) -> Boards:
    with world.house.db.snapshot() as connection:
        return boards.boards(connection, campaign.id, clock.now())


# --- one property over everything that shows a board ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one resident did and chose; `gave_up`: what they took back afterwards."""

    actions: int
    mg: int
    team: str | None
    listed: bool
    gave_up: str


#: Few values, so that many are equal, and some only as they are stated.
MASSES = st.sampled_from([0, 9_999, 10_000, 14_400, 19_999, 144_000, 1_000_000, 1_009_999]) | st.integers(
    0, 3_000_000
)
CHOICES = st.builds(
    Chosen,
    actions=st.sampled_from([1, 1, 1, 2, 0]),
    mg=MASSES,
    team=st.sampled_from([*NAMES[:2], *NAMES, None, "撤了的楼"]),
    listed=st.booleans(),
    gave_up=st.sampled_from(["", "", "", "", "team", "listing", "consent"]),
)

Line = tuple[int, str, int]  # rank, name, what is stated


@dataclass
class Shown:
    """What one way of looking at a board shows: teams by measure, and people."""

    teams: dict[Measure, list[Line]] = field(default_factory=dict)
    people: list[Line] = field(default_factory=list)


def live(world: World, campaign: Campaign, residents: Sequence[Resident], chosen: Sequence[Chosen]) -> None:
    """Put figures and choices there, and let people take back what they do, by the services that they use."""
    number, house = str(campaign.id), world.house
    taking = [(who, one) for who, one in zip(residents, chosen, strict=False) if one.actions]
    with house.db.transaction() as connection:
        for table in ("campaign_participant", "campaign_total", "campaign_entry", "board_listing", "consent"):
            where = " WHERE document = 'boards'" if table == "consent" else ""
            connection.execute(sa.text(f"DELETE FROM {table}{where}"))
        total = CampaignTotal(campaign=number, participants=len(taking), actions=len(taking))
        connection.execute(sa.insert(CampaignTotal).values(total.model_dump()))
        for who, one in zip(residents, chosen, strict=False):
            row = CampaignParticipant(campaign=number, resident_id=who.id, actions=one.actions)
            connection.execute(
                sa.insert(CampaignParticipant).values(
                    row.model_dump() | {"co2e_mg": one.mg * bool(one.actions)}
                )
            )
            if one.team:
                connection.execute(
                    sa.insert(teams.CampaignEntry).values(
                        campaign_id=campaign.id, resident_id=who.id, team=one.team, entered_at=clock.now()
                    )
                )
    for who, one in zip(residents, chosen, strict=False):
        if one.listed:
            teams.list_me(house, who.id, campaign.id, version=VERSION)
        match one.gave_up:
            case "team":
                teams.leave(house, who.id, campaign.id)
            case "listing":
                teams.hide_me(house, who.id, campaign.id)
            case "consent":
                consents.withdraw(house, who.id, Document.BOARDS)


def on_page(world: World, campaign: Campaign) -> Shown:
    shown = Shown()
    for measure in Measure:
        text = browser(world).get(f"/campaigns/{campaign.id}/board?by={measure.value}")
        team_part, _, people_part = text.partition('id="people"')
        shown.teams[measure] = [(rank, name, value) for rank, name, value in cells(team_part)]
        shown.people = cells(people_part)
    return shown


def cells(text: str) -> list[Line]:
    row = r'<td class="strong">(\d+)</td><th scope="row">(.*?)</th><td class="number">(.*?)</td>'
    return [
        (int(rank), plain(name.partition('<span class="small')[0]), number(plain(value)))
        for rank, name, value in re.findall(row, text, re.S)
    ]


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html)).replace("\N{NO-BREAK SPACE}", " ").strip()


def number(text: str) -> int:
    """``1.23 千克`` in milligrams, ``6 人`` as it is."""
    amount, _, unit = text.replace(",", "").partition(" ")
    return round(float(amount) * 100) * 10_000 if unit == "千克" else int(amount)


def in_api(world: World, campaign: Campaign) -> Shown:
    body = world.call("GET", f"/campaigns/{campaign.id}/boards").get_json()
    value = {"co2e": "co2e_mg", "co2e_per_head": "co2e_per_head_mg", "participants": "participants"}
    return Shown(
        {
            measure: [(row["ranks"][measure], row["name"], row[value[measure]]) for row in body["teams"]]
            for measure in Measure
        },
        [(row["rank"], row["nickname"], row["co2e_mg"]) for row in body["people"]],
    )


def in_csv(world: World, campaign: Campaign) -> Shown:
    content = world.client().get(f"/campaigns/{campaign.id}/board.csv").data
    assert content.startswith(b"\xef\xbb\xbf")
    shown = Shown({measure: [] for measure in Measure})
    for kind, name, co2e, per_head, heads, *ranks in list(
        csv.reader(io.StringIO(content.decode("utf-8-sig")))
    )[1:]:
        if kind == "个人":
            shown.people.append((int(ranks[0]), name, number(f"{co2e} 千克")))
            continue
        values = (number(f"{co2e} 千克"), number(f"{per_head} 千克"), int(heads))
        for measure, rank, value in zip(Measure, ranks, values, strict=True):
            shown.teams[measure].append((int(rank), name, value))
    return shown


def in_print(officer: Browser, campaign: Campaign) -> Shown:
    document = pypdfium2.PdfDocument(officer.client.get(f"/console/campaigns/{campaign.id}/board.pdf").data)
    pages = [page.get_textpage() for page in document]
    lines = [line for page in pages for line in page.get_text_bounded().splitlines()]
    shown = Shown({Measure.CO2E: []})
    row = re.compile(r"(\d+)\s*(\S楼|居民\d+)\s*([\d.,]+)\s*千克(?:\s*([\d.,]+)\s*千克\s*(\d+)\s*人)?")
    for rank, name, co2e, _per_head, heads in row.findall(" ".join(lines)):
        (shown.teams[Measure.CO2E] if heads else shown.people).append(
            (int(rank), name, number(f"{co2e} 千克"))
        )
    document.close()
    return shown


def is_honest(lines: Sequence[Line]) -> bool:
    """Ranks from 1 without a gap, equal where the value is, better where it is larger."""
    by_rank = sorted({(rank, value) for rank, _name, value in lines})
    ranks, values = [rank for rank, _value in by_rank], [value for _rank, value in by_rank]
    return ranks == list(range(1, len(ranks) + 1)) and values == sorted(set(values), reverse=True)


def test_all_that_show_a_board_say_the_same_and_hide_the_same(world: World) -> None:
    campaign = world.campaign(world.site("clean_plate"), teams={"kind": "building", "names": NAMES})
    residents = world.residents(24)
    for at, who in enumerate(residents, start=11):
        people.rename(world.house, who.id, f"居民{at}")
    officer = browser(world, world.organiser)

    @settings(
        max_examples=10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(chosen=st.lists(CHOICES, min_size=14, max_size=24))
    def check(chosen: list[Chosen]) -> None:
        live(world, campaign, residents, chosen)
        page = on_page(world, campaign)
        api, sheet, paper = in_api(world, campaign), in_csv(world, campaign), in_print(officer, campaign)
        for other in (api, sheet):
            assert {measure: sorted(lines) for measure, lines in other.teams.items()} == {
                measure: sorted(lines) for measure, lines in page.teams.items()
            }
            assert other.people == page.people
        assert (paper.teams[Measure.CO2E], paper.people) == (page.teams[Measure.CO2E], page.people)

        # As it should be, counted here from what was chosen.
        taking = [(at, one) for at, one in enumerate(chosen, start=11) if one.actions]
        members: dict[str, list[int]] = defaultdict(list)
        for _at, one in taking:
            if one.team in NAMES and one.gave_up != "team":
                members[str(one.team)].append(one.mg)
        told = {
            name: sums
            for name, _rank, sums in (
                (line[1], line[0], members[line[1]]) for line in page.teams[Measure.CO2E]
            )
        }
        assert all(len(masses) >= FEWEST_TOLD for masses in told.values())
        rest = len(taking) - sum(map(len, told.values()))
        assert not told or rest == 0 or rest >= FEWEST_TOLD
        assert sum(len(masses) >= FEWEST_TOLD for masses in members.values()) - len(told) in {0, 1}
        expected = {
            Measure.CO2E: lambda masses: sum(masses) // 10_000 * 10_000,
            Measure.CO2E_PER_HEAD: lambda masses: sum(masses) // len(masses) // 10_000 * 10_000,
            Measure.PARTICIPANTS: len,
        }
        for measure, lines in page.teams.items():
            assert is_honest(lines)
            assert {name: value for _rank, name, value in lines} == {
                name: expected[measure](masses) for name, masses in told.items()
            }
        willing = {
            f"居民{at}": one.mg // 10_000 * 10_000
            for at, one in taking
            if one.listed and one.gave_up not in {"listing", "consent"}
        }
        hidden = len(taking) >= FEWEST_TOLD and 0 < len(taking) - len(willing) < FEWEST_TOLD
        assert {name: value for _rank, name, value in page.people} == ({} if hidden else willing)
        assert is_honest(page.people)

    check()


# --- what is measured ----------------------------------------------------------------------------------------


def test_no_board_measures_what_somebody_does_in_the_app(world: World) -> None:
    """Every measure is an outcome, by name and by trying: looking, logging in, refused scans and shares move nothing."""
    assert (
        set(Measure)
        == {"co2e", "co2e_per_head", "participants"}
        == set(MEASURE_NAMES)
        == set(RanksOut.model_fields)
    )
    row = boards.TeamRow("队", 5, 3, 2, {})
    assert [row.value(measure) for measure in Measure] == [3, 2, 5]
    campaign, code = contest(world)
    before = read(world, campaign)
    assert before.teams
    me = world.residents(1)[0]
    teams.join(world.house, me.id, campaign.id, NAMES[0])  # a member without a record is in no number
    active = browser(world, me)
    for path in (
        "/me",
        "/campaigns",
        f"/campaigns/{campaign.id}",
        f"/campaigns/{campaign.id}/board",
        f"/s/{code}",
    ):
        active.get(path)
    for _ in range(3):
        browser(world, me).get("/me/impact")  # another log-in
    world.house.relay.drain()
    after = read(world, campaign)
    assert (after.teams, after.people) == (before.teams, before.people)
    world.scan(me, code, kind="clean_plate")
    world.house.relay.drain()
    after = read(world, campaign)
    assert after.teams
    assert after.teams[0].participants == before.teams[0].participants + 1


def contest(world: World, heads: int = 6, others: int = 5) -> tuple[Campaign, str]:
    """A campaign in which everybody of two teams has a record, and some who joined none; and the code of its site."""
    site = world.site("clean_plate", "metro_trip")
    campaign = world.campaign(site, teams={"kind": "building", "names": NAMES})
    code = world.code_at(site)
    for at, who in enumerate(world.residents(2 * heads + others)):
        world.scan(who, code, kind="clean_plate")
        if at < 2 * heads:
            teams.join(world.house, who.id, campaign.id, NAMES[at % 2])
    world.house.relay.drain()
    return campaign, code


def test_voids_and_what_the_city_credits_are_not_in_what_members_saved(world: World) -> None:
    campaign, code = contest(world)
    (first, second) = read(world, campaign).teams or ()
    assert (first.ranks[Measure.CO2E], second.ranks[Measure.CO2E]) == (1, 1)
    who = world.resident()
    teams.join(world.house, who.id, campaign.id, NAMES[0])
    voided = world.scan(who, code, kind="clean_plate")["action"]["id"]
    world.scan(who, code, kind="metro_trip", quantity="8")
    void_action(world.house, world.organiser, UUID(voided), "重复登记")
    world.house.relay.drain()
    rows = {row.name: row for row in read(world, campaign).teams or ()}
    assert (rows[NAMES[0]].co2e_mg, rows[NAMES[0]].participants) == (first.co2e_mg, 7)
    assert rows[NAMES[0]].co2e_per_head_mg < first.co2e_per_head_mg
    assert world.figure_differences() == []
    assert world.breaches() == []


# --- gone at once --------------------------------------------------------------------------------------------


@pytest.fixture
def listed(world: World) -> tuple[Campaign, Resident]:
    """Of the people in two teams, one is on the board."""
    campaign, _code = contest(world)
    with world.house.db.reading() as connection:
        resident_id = connection.scalars(sa.select(teams.CampaignEntry.resident_id).limit(1)).one()
    with world.house.db.reading_session() as session:
        resident = session.get_one(Resident, resident_id)
    people.rename(world.house, resident_id, "小满")
    teams.list_me(world.house, resident_id, campaign.id, version=VERSION)
    return campaign, resident


def everywhere(world: World, campaign: Campaign) -> str:
    """All that is shown of a campaign's boards, to everybody and to its organisers."""
    officer = browser(world, world.organiser)
    document = pypdfium2.PdfDocument(officer.client.get(f"/console/campaigns/{campaign.id}/board.pdf").data)
    paper = "".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    answers = [
        browser(world).get(f"/campaigns/{campaign.id}/board"),
        world.call("GET", f"/campaigns/{campaign.id}/boards").text,
        world.client().get(f"/campaigns/{campaign.id}/board.csv").text,
        officer.get(f"/console/campaigns/{campaign.id}"),
    ]
    return "\n".join([*answers, paper])


def test_who_leaves_is_gone_from_everything_at_once(world: World, listed: tuple[Campaign, Resident]) -> None:
    campaign, resident = listed
    before = sum(row.participants for row in read(world, campaign).teams or ())
    for leave in (
        lambda: teams.hide_me(world.house, resident.id, campaign.id),
        lambda: consents.withdraw(world.house, resident.id, Document.BOARDS),
        lambda: people.leave(world.house, resident.id),
    ):
        teams.list_me(world.house, resident.id, campaign.id, version=VERSION)
        assert everywhere(world, campaign).count("小满") == 4  # the organisers' page counts, and names nobody
        leave()
        assert "小满" not in everywhere(world, campaign)
        with suppress(NotFound):  # agreeing again lists nobody
            consents.give(world.house, resident.id, Document.BOARDS, VERSION)
        assert read(world, campaign).people == []
    assert sum(row.participants for row in read(world, campaign).teams or ()) == before - 1


def test_an_earlier_consent_lists_nobody(world: World, listed: tuple[Campaign, Resident]) -> None:
    """Those who agreed to an older text are shown again once they agree to the present one."""
    campaign, resident = listed
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE consent SET version = '2026-11' WHERE document = 'boards'"))
    assert "小满" not in everywhere(world, campaign)
    teams.list_me(world.house, resident.id, campaign.id, version=VERSION)
    assert "小满" in everywhere(world, campaign)


def test_of_too_few_nothing_is_told_and_nothing_gives_them_away(world: World) -> None:
    campaign, code = contest(world, heads=5, others=0)
    assert len(read(world, campaign).teams or ()) == 2
    lonely = world.residents(4)
    for who in lonely:
        world.scan(who, code, kind="clean_plate")
        teams.join(world.house, who.id, campaign.id, NAMES[2])
    world.house.relay.drain()
    found = read(world, campaign)
    # Four are too few; with both other teams told, the total would tell what they saved: one more is withheld.
    assert [row.name for row in found.teams or ()] == ["南楼"]
    assert found.teams_hidden
    assert "数字不公布" in browser(world).get(f"/campaigns/{campaign.id}/board")
    world.scan(world.resident(), code, kind="clean_plate")  # in no team: now five are not told of
    world.house.relay.drain()
    assert len(read(world, campaign).teams or ()) == 2
    with world.house.db.reading() as connection:
        everybody = connection.scalars(sa.select(CampaignParticipant.resident_id)).all()
    for resident_id in everybody[:-4]:
        teams.list_me(world.house, resident_id, campaign.id, version=VERSION)
    found = read(world, campaign)
    assert (found.people, found.people_hidden) == ([], True)
    teams.hide_me(world.house, everybody[0], campaign.id)
    assert len(read(world, campaign).people) == len(everybody) - 5


def test_ranks_are_dense_and_a_long_board_ends_with_a_whole_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boards.dense_ranks([5, 7, 5, 0, 7]) == [2, 1, 2, 3, 1]
    assert boards.dense_ranks([]) == []
    monkeypatch.setattr(boards, "MOST_PEOPLE", 3)
    rows = [boards.PersonRow("", people.AccountKind.PERSON, 0, rank) for rank in (1, 2, 2, 3, 3)]
    assert boards._whole_ranks(rows) == (rows[:3], True)
    assert boards._whole_ranks(rows[:3]) == (rows[:3], False)
    crowd = [boards.PersonRow("", people.AccountKind.PERSON, 0, 1)] * 5
    assert boards._whole_ranks(crowd) == (crowd, False)


def test_names_that_no_font_prints_stand_as_squares(world: World, listed: tuple[Campaign, Resident]) -> None:
    campaign, resident = listed
    people.rename(world.house, resident.id, "🐼=1+1")
    assert "□=1+1" in everywhere(world, campaign)
    assert "'=2" not in everywhere(world, campaign)
    people.rename(world.house, resident.id, "")
    assert "一位居民" in everywhere(world, campaign)


def test_a_campaign_that_nobody_may_know_of_has_no_board(world: World) -> None:
    now = clock.now()
    later = world.launch(
        world.campaign_in(
            world.site("clean_plate"),
            starts_at=now + timedelta(days=30),
            ends_at=now + timedelta(days=31),
            announce_days=1,
        )
    )
    for path in ("/campaigns/{}/board", "/campaigns/{}/board.csv", "/api/v1/campaigns/{}/boards"):
        assert world.client().get(path.format(later.id)).status_code == 404
    running = world.campaign(world.site("clean_plate"))
    body: dict[str, Any] = world.call("GET", f"/campaigns/{running.id}/boards").get_json()
    assert (body["teams"], body["people"], body["teams_hidden"], body["people_hidden"]) == (
        None,
        [],
        False,
        False,
    )
