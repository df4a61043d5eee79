"""What if: a period computed again equals recording it with the other factors, and changes nothing."""

import csv
import io
import random
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from activities.quantify import whatif
from activities.quantify.calculation import quantify
from activities.quantify.factors import FactorValues, FactorVersion, all_versions
from activities.quantify.proposals import FactorProposal, ProposalState
from activities.quantify.whatif import MEASURES, Comparison, Row
from activities.review import void_action
from tanpuhui import clock, reference
from tanpuhui.bureau.participation import Period, statistics
from tanpuhui.measures import POLLUTANTS
from tanpuhui.people import Resident
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tests.browser import Browser, browser
from tests.tables import contents, written
from tests.world import COMMUNITY, OTHER_COMMUNITY, STREET, World

TODAY = clock.today()
TOMORROW = TODAY + timedelta(days=1)
OTHER_STREET = OTHER_COMMUNITY[:9]

#: Quantities of a day by kind, in thousandths: within the limits, many of them not whole.
QUANTITIES = {"recycle_paper": (100, 9_999), "recycle_glass": (100, 9_999), "bike_trip": (300, 7_000)}

#: Other factors: one raises SO2 and knows what was unknown, one forgets, one is no longer the city's.
OTHER = {
    "recycle_paper": {"co2e_low_ng": 3_333_333_333_333, "so2_ng": -1_234_567},
    "bike_trip": {
        "co2e_low_ng": 41_111_111_111,
        "co_ng": None,
        "nox_ng": -48_748_701,
        "city_credited": False,
    },
}


def noon(day: date, minutes: int = 0) -> datetime:
    return datetime.combine(day, time(12), clock.SHANGHAI) + timedelta(minutes=minutes)


def publish(world: World, kind: str, begins: date, **values: Any) -> FactorVersion:
    """Publish a version through the database, as the reviewed proposal or the reference file does."""
    table = SQLModel.metadata.tables["factor_version"]
    with world.house.db.transaction() as connection:
        last = all_versions(connection, kind)[-1]
        connection.execute(
            sa.update(table).where(table.c.id == last.id).values(valid_to=begins - timedelta(days=1))
        )
        number = last.version + 1
        fresh = {**last.model_dump(), "id": f"{kind}@{number}", "version": number, **values}
        fresh["co2e_mid_ng"] = max(fresh["co2e_mid_ng"], fresh["co2e_low_ng"])
        fresh |= {"valid_from": begins, "valid_to": None, "source": f"{kind} 的新来源", "derivation": ""}
        connection.execute(sa.insert(table), fresh)
        reference.bump(connection)
    return FactorVersion(**fresh)


def propose(world: World, factor: FactorVersion, **values: Any) -> FactorProposal:
    """A proposal with the values of `factor`, but for `values`."""
    said = {name: getattr(factor, name) for name in FactorValues.model_fields}
    proposal = FactorProposal(**{**said, "reason": "新数据", "proposed_by": world.officer.id, **values})
    with world.house.db.session() as session:
        session.add(proposal)
    return proposal


def what_if(world: World, first: date, last: date, *versions: str, **more: Any) -> list[Row]:
    """Compute a period with these versions."""
    with world.house.db.snapshot() as connection:
        chosen = whatif.choices(connection).replacements(versions, **more)
        return whatif.what_if(connection, first, last, chosen)


def numbers(comparison: Comparison, side: str) -> dict[str, Any]:
    part = getattr(comparison, side)
    return {
        "records": part.records,
        **{measure: part.value(measure) for measure in MEASURES},
        **{f"{name}_known": part.known[f"{name}_ug"] for name in POLLUTANTS},
    }


def by_row(rows: list[Row], side: str) -> dict[tuple[str, str], Any]:
    return {(row.kind, row.street): (numbers(row.own, side), numbers(row.city, side)) for row in rows}


class District:
    """Residents of two 街镇 who do the same things on any day."""

    def __init__(self, world: World) -> None:
        self.world = world
        with clock.pretending(noon(TODAY, -60)):
            places = (COMMUNITY, COMMUNITY, COMMUNITY, OTHER_COMMUNITY)
            self.residents = [world.resident(community) for community in places]
            self.codes = {kind: world.code(kind) for kind in QUANTITIES}

    def live(self, day: date, seed: int = 1) -> list[UUID]:
        """Scans of `day`, the same for the same `seed`; the ids of the actions."""
        chance, made = random.Random(seed), []
        for minutes in range(0, 20, 5):
            for resident in self.residents:
                for kind, (least, most) in QUANTITIES.items():
                    quantity = f"{chance.randint(least, most) / 1000:.3f}"
                    made.append(UUID(self.scan(resident, kind, quantity, noon(day, minutes))["id"]))
        return made

    def scan(self, resident: Resident, kind: str, quantity: str, moment: datetime) -> dict[str, Any]:
        with clock.pretending(moment):
            action: dict[str, Any] = self.world.scan(resident, self.codes[kind], quantity=quantity)["action"]
        return action


@pytest.fixture
def district(world: World) -> District:
    return District(world)


# --- the numbers --------------------------------------------------------------------------------------------


def test_computing_again_is_recording_with_the_other_factors(world: World, district: District) -> None:
    district.live(TODAY)
    for kind, values in OTHER.items():
        publish(world, kind, TOMORROW, **values)
    district.live(TOMORROW)
    versions = [f"{kind}@2" for kind in OTHER]
    forward = what_if(world, TODAY, TODAY, *versions)
    actual = what_if(world, TOMORROW, TOMORROW)
    assert by_row(forward, "recomputed") == by_row(actual, "recorded")
    backward = what_if(world, TOMORROW, TOMORROW, *(f"{kind}@1" for kind in OTHER))
    assert by_row(backward, "recomputed") == by_row(forward, "recorded")
    assert by_row(forward, "recorded") != by_row(forward, "recomputed")
    bikes = whatif.total(row for row in forward if row.kind == "bike_trip")
    assert (bikes.records, bikes.concerned, bikes.moved) == (16, 16, 16)
    assert bikes.own.recorded.records == bikes.city.recomputed.records == 0
    nox = bikes.own.recomputed.value("nox_ug")
    assert nox is not None
    assert nox < 0
    assert [bikes.own.recomputed.value("co_ug"), bikes.own.difference("co_ug")] == [None, None]
    assert whatif.total(row for row in forward if row.kind == "recycle_glass").concerned == 0


def test_the_figures_alone_could_not_have_told(world: World, district: District) -> None:
    """The negative control: computed from the summed quantities, every group would come out larger."""
    district.live(TODAY)
    new = publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    world.house.relay.drain()
    with world.house.db.reading() as connection:
        summed = statistics(connection, Period(TODAY, TODAY), ["kind"])
    quantity = next(row["quantity_milli"] for row in summed if row["kind"] == "recycle_paper")
    exact = whatif.total(
        row for row in what_if(world, TODAY, TODAY, "recycle_paper@2") if row.kind == "recycle_paper"
    ).own.recomputed
    assert quantify(quantity, new).co2e_mg > exact.value("co2e_mg")  # type: ignore[operator]
    assert quantify(quantity, new).so2_ug > exact.value("so2_ug")  # type: ignore[operator]


def test_what_was_recorded_is_what_the_bureaus_statistics_say(world: World, district: District) -> None:
    made = district.live(TODAY)
    district.live(TOMORROW, seed=2)
    void_action(world.house, world.officer, made[0], "扫错了")
    world.house.relay.drain()
    rows = what_if(world, TODAY, TOMORROW, newest=True)
    with world.house.db.reading() as connection:
        found = {
            by: statistics(connection, Period(TODAY, TOMORROW), by)
            for by in ((), ("kind",), ("division",), ("kind", "division"))
        }
    computed = {
        (): [whatif.total(rows)],
        ("kind",): whatif.by_kind(rows),
        ("division",): whatif.by_street(rows),
        ("kind", "division"): rows,
    }
    for by, said in found.items():
        assert len(said) == len(computed[by])
        for statistic, row in zip(said, computed[by], strict=True):
            assert [statistic[name] for name in by] == list(filter(None, (row.kind, row.street)))
            assert statistic["actions"] == row.records
            own, city = numbers(row.own, "recorded"), numbers(row.city, "recorded")
            assert own["records"] == statistic["own_actions"]
            assert {name: own[name] or 0 for name in own if name != "records"} == {
                name: statistic[name] for name in own if name != "records"
            }
            assert (city["records"], city["co2e_mg"]) == (
                statistic["city_actions"],
                statistic["city_co2e_mg"],
            )


def test_what_was_taken_back_is_not_computed(world: World, district: District) -> None:
    made = district.live(TODAY)
    before = whatif.total(what_if(world, TODAY, TODAY, newest=True))
    for action_id in made[::3]:
        void_action(world.house, world.officer, action_id, "扫错了")
    after = whatif.total(what_if(world, TODAY, TODAY, newest=True))
    assert (before.records, after.records) == (len(made), len(made) - len(made[::3]))
    assert after.own.recomputed.sums["co2e_mg"] < before.own.recomputed.sums["co2e_mg"]


# --- a record never changes ---------------------------------------------------------------------------------

PAST = ("action", "action_void", "event_log", "daily_figure", "daily_participant", "transfer", "account")


def test_publishing_a_newer_version_changes_no_number_of_the_past(world: World, district: District) -> None:
    district.live(TODAY)
    world.house.relay.drain()
    before = contents(world.house)
    publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    world.house.relay.drain()
    after = contents(world.house)
    assert {table: after[table] for table in PAST} == {table: before[table] for table in PAST}
    assert written(before, after).keys() == {"factor_version", "reference_state"}
    assert world.figure_differences() == []
    assert world.breaches() == []


def test_a_scan_uses_the_version_of_the_day_it_happened(world: World, district: District) -> None:
    publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    resident = district.residents[0]
    with clock.pretending(noon(TOMORROW)):
        fresh = world.scan(resident, district.codes["recycle_paper"], quantity="1.234")["action"]
        late = world.scan(
            resident, district.codes["recycle_paper"], quantity="1.234", occurred_at=noon(TODAY)
        )["action"]
    assert fresh["reduction"]["factor_version"] == "recycle_paper@2"
    assert late["reduction"]["factor_version"] == "recycle_paper@1"
    assert late["reduction"]["so2_ug"] is None
    assert fresh["reduction"]["so2_ug"] == 1234 * -1_234_567 // 1_000_000
    rows = what_if(world, TODAY, TOMORROW)
    assert whatif.total(rows).versions == {
        ("recycle_paper", "recycle_paper@1"): 1,
        ("recycle_paper", "recycle_paper@2"): 1,
    }


def test_asking_writes_nothing(world: World, district: District) -> None:
    district.live(TODAY)
    new = publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    proposal = propose(world, new, co2e_low_ng=1)
    world.house.relay.drain()
    token = world.token(world.officer, Role.OFFICER)
    reader = browser(world, world.officer)
    reader.get("/bureau/whatif")
    world.call("GET", "/statistics", token)
    before = contents(world.house)
    what_if(world, TODAY, TOMORROW, "recycle_paper@2")
    query = {"proposal": str(proposal.id), "preset": "newest"}
    assert world.call("GET", "/what-if", token, query_string=query).status_code == 200
    reader.get(f"/bureau/whatif?preset=newest&proposal={proposal.id}")
    reader.get(f"/bureau/whatif?preset=newest&proposal={proposal.id}&format=csv")
    assert written(before, contents(world.house)) == {}


# --- what to compute with -----------------------------------------------------------------------------------


def test_open_proposals_are_offered_and_closed_ones_are_not(world: World) -> None:
    reviewer = world.colleague(Role.OFFICER)
    with world.house.db.reading() as connection:
        factor = all_versions(connection, "recycle_paper")[-1]
    made = {state: propose(world, factor) for state in ("proposed", "reviewed", "declined")}
    other_unit = propose(world, factor, unit="t")
    table = SQLModel.metadata.tables["factor_proposal"]
    for state in ("reviewed", "declined"):
        values = {"state": ProposalState(state), "reviewed_by": reviewer.id, "reviewed_at": clock.now()}
        with world.house.db.transaction() as connection:
            connection.execute(sa.update(table).where(table.c.id == made[state].id).values(values))
    with world.house.db.snapshot() as connection:
        offered = whatif.choices(connection)
    assert offered.proposals.keys() == {str(made[state].id) for state in ("proposed", "reviewed")}
    assert str(other_unit.id) not in offered.proposals
    chosen = offered.replacements(proposals=[str(made["reviewed"].id)])["recycle_paper"]
    assert (whatif.proposal_of(chosen), chosen.co2e_low_ng) == (made["reviewed"].id, factor.co2e_low_ng)
    assert whatif.proposal_of(offered.versions["recycle_paper@1"]) is None


# --- the API ------------------------------------------------------------------------------------------------


@pytest.fixture
def token(world: World) -> str:
    return world.token(world.officer, Role.OFFICER)


def ask(world: World, token: str, **query: Any) -> Any:
    within = {"from": TODAY.isoformat(), "to": TOMORROW.isoformat()}
    return world.call("GET", "/what-if", token, query_string={**within, **query})


def test_the_api_tells_both_sides_and_the_difference(world: World, district: District, token: str) -> None:
    district.live(TODAY)
    for kind, values in OTHER.items():
        publish(world, kind, TOMORROW, **values)
    found = ask(world, token, version="recycle_paper@2,bike_trip@2").get_json()
    assert found == ask(world, token, version=["bike_trip@2", "recycle_paper@2"]).get_json()
    rows = what_if(world, TODAY, TOMORROW, "recycle_paper@2", "bike_trip@2")
    total = whatif.total(rows)
    own = found["total"]["own"]
    assert own["recorded"] == numbers(total.own, "recorded")
    assert own["recomputed"] == numbers(total.own, "recomputed")
    assert own["difference"]["co2e_mg"] == own["recomputed"]["co2e_mg"] - own["recorded"]["co2e_mg"]
    assert found["total"]["moved"] == total.moved == 16
    assert found["total"]["city"]["recomputed"]["nox_ug"] is None
    assert [row["kind"] for row in found["by_kind"]] == sorted(QUANTITIES)
    assert [row["division"] for row in found["by_division"]] == [STREET, OTHER_STREET]
    assert len(found["rows"]) == len(QUANTITIES) * 2
    glass = next(row for row in found["by_kind"] if row["kind"] == "recycle_glass")
    assert (glass["concerned"], glass["own"]["difference"]["co2e_mg"]) == (0, 0)
    assert [replaced["kind"] for replaced in found["replacements"]] == ["bike_trip", "recycle_paper"]
    paper = found["replacements"][1]
    assert [(used["version"], used["records"]) for used in paper["recorded"]] == [("recycle_paper@1", 16)]
    assert (paper["replacement"]["version"], paper["replacement"]["source"]) == (
        "recycle_paper@2",
        "recycle_paper 的新来源",
    )


def test_the_api_computes_with_a_proposal_and_with_the_newest(
    world: World, district: District, token: str
) -> None:
    district.live(TODAY)
    new = publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    proposal = propose(world, new, co2e_low_ng=0)
    newest = ask(world, token, preset="newest").get_json()
    assert {of["kind"]: of["replacement"]["version"] for of in newest["replacements"]}[
        "recycle_paper"
    ] == "recycle_paper@2"
    found = ask(world, token, preset="newest", proposal=str(proposal.id)).get_json()
    used = {of["kind"]: of["replacement"] for of in found["replacements"]}["recycle_paper"]
    assert (used["version"], used["proposal"]) == (None, str(proposal.id))
    paper = next(row for row in found["by_kind"] if row["kind"] == "recycle_paper")
    assert paper["own"]["recomputed"]["co2e_mg"] == 0
    assert paper["own"]["percent"]["co2e_mg"] == "-100.00"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"version": "recycle_paper@9"}, "version"),
        ({"version": "recycle_paper@1,nothing"}, "version"),
        ({"proposal": "0190c0de-0000-7000-8000-000000000000"}, "proposal"),
        ({"proposal": "x"}, "proposal"),
        ({}, "version"),
        ({"version": ","}, "version"),
        ({"preset": "oldest"}, "preset"),
        ({"version": "walk@1", "from": "2026-06-02", "to": "2026-06-01"}, "to"),
        ({"version": "walk@1", "from": "2020-06-02", "to": "2026-06-01"}, "to"),
        ({"version": "walk@1", "from": "yesterday"}, "from"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_at_its_field(
    world: World, token: str, query: dict[str, str], field: str
) -> None:
    answer = ask(world, token, **query)
    assert answer.status_code == 422, answer.get_json()
    assert [error["field"].split(".")[0] for error in answer.get_json()["errors"]] == [field]


def test_an_empty_period_is_answered_with_zeros(world: World, token: str) -> None:
    found = ask(world, token, version="walk@1").get_json()
    assert found["total"]["records"] == 0
    assert found["total"]["own"]["recorded"]["co2e_mg"] == 0
    assert found["total"]["own"]["percent"]["co2e_mg"] is None
    assert [row["kind"] for row in found["by_kind"]] == ["walk"]


@pytest.mark.parametrize("role", [Role.OFFICER, Role.AUDITOR, Role.ADMIN])
def test_the_bureau_and_its_auditors_may_ask(world: World, role: Role) -> None:
    who = world.colleague(role)
    assert ask(world, world.token(who, role), version="walk@1").status_code == 200
    assert "如果换一个因子，会差多少？" in browser(world, who).get("/bureau/whatif")


def outsiders(world: World) -> Iterator[Principal]:
    yield world.organiser
    yield world.colleague(Role.OFFICER, division=STREET)


def test_others_may_not_ask(world: World) -> None:
    for who, role in zip(outsiders(world), (Role.ORGANISER, Role.OFFICER), strict=True):
        assert ask(world, world.token(who, role), version="walk@1").status_code == 403
        visit = browser(world, who)
        visit.get("/bureau/whatif")
        assert visit.status == 403
    assert ask(world, world.token(world.resident()), version="walk@1").status_code == 403


# --- the page -----------------------------------------------------------------------------------------------


@pytest.fixture
def desk(world: World) -> Browser:
    return browser(world, world.officer)


WITHIN = f"from={TODAY}&to={TOMORROW}"


def test_the_address_holds_the_whole_question(world: World, district: District, desk: Browser) -> None:
    district.live(TODAY)
    publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    page = desk.get(f"/bureau/whatif?{WITHIN}&with=recycle_paper@1")
    assert "with=" not in desk.address
    page = desk.get(f"{desk.address}&with=recycle_paper@2")
    assert f"/bureau/whatif?{WITHIN}&version=recycle_paper@2" in unescape(desk.address).replace("%40", "@")
    assert "如果废纸回收用 recycle_paper@2 计算，会差多少？" in page
    assert "recycle_paper 的新来源" in page
    assert "不写入任何数据" in page
    assert desk.get(desk.address).partition("<main")[2] == page.partition("<main")[2]


def test_the_page_shows_every_street_and_the_records_concerned(
    world: World, district: District, desk: Browser
) -> None:
    district.live(TODAY)
    publish(world, "bike_trip", TOMORROW, **OTHER["bike_trip"])
    page = desk.get(f"/bureau/whatif?{WITHIN}&preset=newest")
    streets = re.findall(r'<th scope="row">([^<]*街道|[^<]*镇)</th>', page)
    assert len(streets) >= 14
    assert "其中 16 条会改变由谁核算" in page
    assert "暂无因子" in page


def test_a_question_that_changes_nothing_says_so(world: World, district: District, desk: Browser) -> None:
    district.live(TODAY)
    assert "所以没有差别" in desk.get(f"/bureau/whatif?{WITHIN}&preset=newest")
    publish(world, "bike_trip", TOMORROW, **OTHER["bike_trip"])
    assert "所以没有差别" not in desk.get(f"/bureau/whatif?{WITHIN}&preset=newest")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("version=walk@9", "没有这个因子版本。"),
        ("proposal=x", "没有这项待发布的提案"),
        ("version=walk@1&version=own_cup@1&version=walk@9", "没有这个因子版本。"),
        ("version=walk@1&from=2026-06-02&to=2026-06-01", "结束日期应不早于开始日期。"),
        ("version=walk@1&from=2020-06-02&to=2026-06-01", "一次最多查看三年。"),
        ("version=walk@1&from=yesterday", "请填写日期"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(desk: Browser, query: str, reason: str) -> None:
    page = desk.get(f"/bureau/whatif?{query}")
    assert desk.status == 422
    assert re.search(rf'class="error" id="(with|from|to)-error">.*?{reason}', page, re.S)


def test_a_page_without_a_choice_only_asks(desk: Browser) -> None:
    page = desk.get("/bureau/whatif")
    assert desk.status == 200
    assert "差额" not in page.split("</form>")[-1]


def test_the_csv_holds_every_number_and_runs_no_formula(
    world: World, district: District, desk: Browser
) -> None:
    district.live(TODAY)
    with world.house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE division SET name = '=1+1' WHERE code = :code"), {"code": STREET})
    publish(world, "recycle_paper", TOMORROW, **OTHER["recycle_paper"])
    desk.get(f"/bureau/whatif?{WITHIN}&version=recycle_paper@2&format=csv")
    body = desk.page.get_data()
    assert body.startswith(b"\xef\xbb\xbf")
    assert desk.page.headers["Content-Type"].startswith("text/csv")
    assert f"what-if-{TODAY}-{TOMORROW}.csv" in desk.page.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    assert {line["街镇"] for line in lines if line["街镇代码"] == STREET} == {"'=1+1"}
    wanted = {(row.kind, row.street): row for row in what_if(world, TODAY, TOMORROW, "recycle_paper@2")}
    told = [
        line
        for line in lines
        if (line["行为"], line["街镇代码"], line["由谁核算"]) == ("废纸回收", STREET, "本区")
    ]
    assert len(told) == len(MEASURES)
    paper = wanted["recycle_paper", STREET].own
    for line, measure in zip(told, MEASURES, strict=True):
        numbers_told = (line["记录值"], line["换算后的值"], line["差额"], line["差额百分比"])
        said = (
            paper.recorded.value(measure),
            paper.recomputed.value(measure),
            paper.difference(measure),
            paper.percent(measure),
        )
        assert numbers_told == tuple("" if number is None else str(number) for number in said)
    so2 = told[MEASURES.index("so2_ug")]
    assert (so2["记录值"], so2["其中有因子"], so2["换算后有因子"], so2["差额"]) == (
        "",
        "0",
        so2["换算后记录数"],
        "",
    )
