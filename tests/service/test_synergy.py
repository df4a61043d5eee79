"""Synergy: the indicators of a period from the figures, the year's totals they are related to, page and API."""

import re
import threading
from datetime import date, timedelta
from fractions import Fraction
from html import unescape
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from activities.actions import Action, ActionVoid
from activities.quantify.factors import all_versions
from activities.review import void_action
from tanpuhui import audit, clock, reference
from tanpuhui.bureau import synergy as service
from tanpuhui.bureau.cocontrol import Pair, Quadrant, Reading, pairs
from tanpuhui.bureau.participation import Period
from tanpuhui.bureau.synergy import EmissionTotal, Synergy, TotalIn, enter_total, synergy, totals
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.measures import POLLUTANTS
from tanpuhui.staff import Role
from tests.browser import browser
from tests.threads import at_once, codes
from tests.world import DISTRICT, STREET, World

TODAY = clock.today()
YEAR = TODAY.year
WHOLE_YEAR = Period(date(YEAR, 1, 1), date(YEAR, 12, 31))


def publish(world: World, kind: str, begins: date, **values: Any) -> None:
    """Publish a version of the factor of `kind` through the database."""
    table = SQLModel.metadata.tables["factor_version"]
    with world.house.db.transaction() as connection:
        last = all_versions(connection, kind)[-1]
        before = begins - timedelta(days=1)
        connection.execute(sa.update(table).where(table.c.id == last.id).values(valid_to=before))
        fresh = {**last.model_dump(), "id": f"{kind}@{last.version + 1}", "version": last.version + 1}
        fresh |= {"valid_from": begins, "valid_to": None, "derivation": "", **values}
        connection.execute(sa.insert(table), fresh)
        reference.bump(connection)


def total_in(substance: str = "nox", kilograms: int | None = 4_000, **more: Any) -> TotalIn:
    """A total of this year, but for what is said otherwise."""
    return TotalIn(
        **{"year": YEAR, "source": "区排放清单 表 3", **more}, substance=substance, kilograms=kilograms
    )


def enter(world: World, substance: str, kilograms: int, **more: Any) -> EmissionTotal:
    return enter_total(world.house, world.officer, total_in(substance, kilograms, **more))


def read(
    world: World, within: Period = WHOLE_YEAR, kind: str | None = None, *, see_all: bool = True
) -> Synergy:
    world.house.relay.drain()
    with world.house.db.snapshot() as connection:
        return synergy(connection, within, DISTRICT, kind, see_all=see_all)


def five_scan(world: World, kind: str, **more: Any) -> None:
    """Five residents do the same: enough that it is told."""
    code = world.code(kind)
    for resident in world.residents(5):
        world.scan(resident, code, **more)


def audited(world: World) -> list[audit.AuditEntry]:
    with world.house.db.reading_session() as session:
        query = select(audit.AuditEntry).where(col(audit.AuditEntry.deed).startswith("emission_total"))
        return list(session.exec(query.order_by(col(audit.AuditEntry.at))))


def figure(world: World, day: date = TODAY, **values: Any) -> None:
    """A daily figure, as the relay would have written it."""
    key = {"division_code": STREET, "kind": "walk", "evidence": "site_code", "campaign": ""}
    row = {"day": day, **key, "city_credited": False, "actions": 1, **values}
    with world.house.db.transaction() as connection:
        connection.execute(sa.insert(SQLModel.metadata.tables["daily_figure"]), row)


# --- the indicators of a period ----------------------------------------------------------------------------


def test_the_indicators_are_those_of_the_records(world: World) -> None:
    """From the figures as from the records themselves, whatever was taken back; the city's part apart."""
    publish(world, "recycle_paper", TODAY, nox_ng=1_234_567_891, so2_ng=-987_654_321)
    first, second = world.resident(), world.resident()
    paper, plate, bike = (world.code(kind) for kind in ("recycle_paper", "clean_plate", "bike_trip"))
    for resident, quantity in ((first, "1.234"), (second, "5.678")):
        world.scan(resident, paper, quantity=quantity)
        world.scan(resident, plate)
        world.scan(resident, bike, quantity="3.3")
    voided = world.scan(world.resident(), paper, quantity="9")["action"]["id"]
    void_action(world.house, world.officer, UUID(voided), "误投")
    found = read(world)
    with world.house.db.reading_session() as session:
        gone = select(ActionVoid.action_id)
        standing = session.exec(select(Action).where(col(Action.id).not_in(gone))).all()
    for part, credited in ((found.own, False), (found.city, True)):
        records = [action for action in standing if action.city_credited == credited]
        assert {name: one.pair for name, one in part.indicators.items()} == pairs(records)
        assert part.numbers["actions"] == part.numbers["verified_actions"] == len(records)
        assert part.numbers["co2e_mg"] == sum(action.co2e_mg for action in records)
        assert part.numbers["co2e_high_mg"] == sum(action.co2e_high_mg for action in records)
    own = found.own.indicators
    assert (own["nox"].pair.known, own["nox"].pair.actions) == (2, 4)
    assert own["nox"].quadrant is Quadrant.BOTH_FALL
    assert own["so2"].quadrant is Quadrant.CARBON_FALLS
    assert own["co"].quadrant is None
    assert found.kinds == ["bike_trip", "clean_plate", "recycle_paper"]


def test_one_kind_alone(world: World) -> None:
    resident = world.resident()
    world.scan(resident, world.code("bike_trip"), quantity="3")
    world.scan(resident, world.code("clean_plate"))
    found = read(world, kind="bike_trip")
    assert (found.own.numbers["actions"], found.city.numbers["actions"]) == (0, 1)
    assert found.own.indicators["nox"].elasticity.reading is Reading.NO_RECORDS
    assert found.kinds == ["bike_trip", "clean_plate"]  # what could be chosen instead
    with pytest.raises(InvalidField) as refused:
        read(world, kind="teleporting")
    assert refused.value.params["errors"][0]["field"] == "kind"


def test_the_elasticity_relates_the_period_to_the_totals_of_its_year(world: World) -> None:
    figure(world, co2e_mg=2_000_000, nox_ug=3_000_000_000, nox_known=1)
    enter(world, "co2e", 1_000_000)
    enter(world, "nox", 5_000)
    enter(world, "nox", 999, year=YEAR - 1)
    found = read(world)
    assert [(total.substance, total.kilograms) for total in found.totals] == [
        ("co2e", 1_000_000),
        ("nox", 5_000),
    ]
    assert found.year == YEAR
    one = found.own.indicators["nox"].elasticity
    assert (one.value, one.reading) == (Fraction(300), Reading.POLLUTANT_FALLS_MORE)
    day = read(world, Period(TODAY, TODAY)).own.indicators["nox"].elasticity
    assert day == one  # nothing is scaled


def test_a_period_of_two_years_or_a_year_without_totals_has_none(world: World) -> None:
    figure(world, co2e_mg=2_000_000, nox_ug=3_000_000_000, nox_known=1)
    assert read(world).own.indicators["nox"].elasticity.reading is Reading.NO_TOTAL
    enter(world, "nox", 5_000)
    assert read(world).own.indicators["nox"].elasticity.reading is Reading.NO_TOTAL
    enter(world, "co2e", 5_000)
    found = read(world, Period(date(YEAR - 1, 12, 31), TODAY))
    one = found.own.indicators["nox"].elasticity
    assert (found.year, found.totals, one.value, one.reading) == (None, [], None, Reading.SEVERAL_YEARS)
    assert found.own.indicators["nox"].quadrant is Quadrant.BOTH_FALL  # what needs no total is still said


def test_a_day_on_which_the_factor_changed_is_summed_up_but_not_compared(world: World) -> None:
    """Two actions of one figure, one with a factor for NOx: whose carbon it is cannot be told."""
    figure(world, actions=2, co2e_mg=50, nox_ug=7, nox_known=1)
    alone = read(world).own.indicators["nox"]
    assert (alone.pair.saved_ug, alone.quadrant, alone.elasticity.reading) == (
        7,
        None,
        Reading.NOT_SEPARABLE,
    )
    figure(world, TODAY - timedelta(days=1), actions=3, co2e_mg=60, nox_ug=9, nox_known=3)
    assert read(world).own.indicators["nox"].pair == Pair(5, 4, 16, 3, 9, 60)


def test_a_figure_whose_actions_were_all_taken_back_counts_for_nothing(world: World) -> None:
    figure(world, actions=0)
    found = read(world)
    assert (found.own.kinds, found.own.numbers["actions"]) == ([], 0)


def test_kinds_of_a_few_people_are_left_out_of_every_sum(world: World) -> None:
    """What is told of all kinds is the sum of those that are told, so no kind comes back by subtraction, over whatever days."""
    five_scan(world, "clean_plate")
    five_scan(world, "own_cup")
    world.scan(world.resident(), world.code("bike_trip"), quantity="2")
    for within in (WHOLE_YEAR, Period(TODAY - timedelta(days=3), TODAY), Period(TODAY, TODAY)):
        found = read(world, within, see_all=False)
        assert "bike_trip" in found.withheld
        assert found.kinds == ["bike_trip", "clean_plate", "own_cup"]
        shown = [kind.kind for kind in (*found.own.kinds, *found.city.kinds)]
        assert sorted([*shown, *found.withheld]) == found.kinds
        assert found.own.numbers["actions"] == 5 * len(shown)
        assert found.city.numbers["actions"] == 0
        alone = read(world, within, "bike_trip", see_all=False)
        assert (alone.withheld, alone.city.kinds, alone.city.numbers["actions"]) == (["bike_trip"], [], 0)
        assert (
            read(world, within).city.numbers["actions"] == 1
        )  # the control: with every kind in the sums it is found
    page = browser(world, world.officer).get("/bureau/synergy")
    assert "没有算进来：" in page
    assert "bike_trip" in ask(world)["withheld"]
    seen = ask(world, reason="核对投诉")
    assert (seen["withheld"], seen["city"]["actions"]) == ([], 1)
    with world.house.db.reading_session() as session:
        (entry,) = session.exec(
            select(audit.AuditEntry).where(audit.AuditEntry.deed == "statistics.seen")
        ).all()
    assert (entry.actor_id, entry.reason) == (world.officer.id, "核对投诉")


# --- the year's totals -------------------------------------------------------------------------------------


def test_no_total_is_shipped(world: World) -> None:
    with world.house.db.reading() as connection:
        assert totals(connection) == []


def test_a_total_is_entered_and_audited(world: World) -> None:
    entered = enter(world, "co2e", 12_345_678, source="  区排放清单\n 表 3 ")
    assert (entered.year, entered.kilograms, entered.source) == (YEAR, 12_345_678, "区排放清单 表 3")
    (entry,) = audited(world)
    assert (entry.deed, entry.subject, entry.actor_id) == (
        "emission_total.entered",
        f"emission_total:{YEAR}:co2e",
        world.officer.id,
    )
    assert entry.detail == {"kilograms": 12_345_678, "source": "区排放清单 表 3"}


def test_a_total_is_replaced_with_a_reason_only_and_the_old_one_is_kept(world: World) -> None:
    enter(world, "nox", 5_000)
    for reason in ("", " ", "误"):
        with pytest.raises(InvalidField) as refused:
            enter(world, "nox", 6_000, reason=reason)
        assert [error["field"] for error in refused.value.params["errors"]] == ["reason"]
    other = world.colleague(Role.ADMIN)
    enter_total(world.house, other, total_in("nox", 6_000, source="修订版", reason="清单修订"))
    with world.house.db.reading() as connection:
        (now,) = totals(connection)
    assert (now.kilograms, now.source, now.entered_by) == (6_000, "修订版", other.id)
    entry = audited(world)[-1]
    assert (entry.deed, entry.reason, entry.actor_id) == ("emission_total.replaced", "清单修订", other.id)
    assert entry.detail == {
        "kilograms": 6_000,
        "source": "修订版",
        "old_kilograms": 5_000,
        "old_source": "区排放清单 表 3",
    }


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"year": None}, "year"),
        ({"year": 1999}, "year"),
        ({"year": YEAR + 1}, "year"),
        ({"substance": ""}, "substance"),
        ({"substance": "ch4"}, "substance"),
        ({"kilograms": None}, "kilograms"),
        ({"kilograms": 0}, "kilograms"),
        ({"kilograms": -5}, "kilograms"),
        ({"kilograms": 10**15 + 1}, "kilograms"),
        ({"source": " "}, "source"),
        ({"source": "表" * 301}, "source"),
    ],
)
def test_a_total_that_makes_no_sense_is_refused_at_its_field(
    world: World, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        enter_total(world.house, world.officer, total_in(**wrong))
    assert [error["field"] for error in refused.value.params["errors"]] == [field]
    assert audited(world) == []


def test_the_largest_total_is_kept(world: World) -> None:
    assert enter(world, "co2e", 10**15).kilograms == 10**15


def test_only_officers_and_admins_of_the_district_enter_totals(world: World) -> None:
    strangers = [world.colleague(role) for role in (Role.AUDITOR, Role.ORGANISER, Role.HELPER, Role.MERCHANT)]
    strangers.append(world.colleague(Role.OFFICER, division=STREET))
    for who in strangers:
        with pytest.raises(NotAllowed):
            enter_total(world.house, who, total_in())
    assert audited(world) == []


def test_of_several_who_enter_it_first_at_once_one_does_and_the_others_are_asked_for_a_reason(
    world: World,
) -> None:
    officer = world.officer
    calls = [lambda kg=kg: enter_total(world.house, officer, total_in("nox", kg)) for kg in range(1, 9)]
    assert sorted(codes(at_once(calls))) == ["invalid_fields"] * 7 + ["ok"]
    (entry,) = audited(world)
    with world.house.db.reading() as connection:
        (kept,) = totals(connection)
    assert entry.detail["kilograms"] == kept.kilograms


def _replacements(world: World, count: int) -> list[dict[str, Any]]:
    """Replace a total `count` times at once; what the audit says, the first entry before them."""
    officer = world.officer
    enter(world, "nox", 1)
    calls = [
        lambda kg=kg: enter_total(world.house, officer, total_in("nox", kg, reason="更正"))
        for kg in range(2, count + 2)
    ]
    assert codes(at_once(calls)) == ["ok"] * count
    return [entry.detail for entry in audited(world)]


def test_each_of_several_replacements_at_once_keeps_what_it_replaced(world: World) -> None:
    """The old numbers of the audit, with the present one, are all that was ever entered: none is lost."""
    told = _replacements(world, 8)
    with world.house.db.reading() as connection:
        (kept,) = totals(connection)
    old = [detail["old_kilograms"] for detail in told if "old_kilograms" in detail]
    assert sorted([*old, kept.kilograms]) == list(range(1, 10))


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)  # writers of SQLite take turns anyway
def test_without_the_lock_two_replace_the_same_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: both have looked before either writes."""
    looked = threading.Barrier(2)

    def without_lock(session: Session, year: int, substance: str) -> EmissionTotal | None:
        found = session.get(EmissionTotal, (year, substance))
        if found:
            looked.wait(20)
        return found

    monkeypatch.setattr(service, "_standing", without_lock)
    told = _replacements(world, 2)
    assert [detail.get("old_kilograms") for detail in told] == [None, 1, 1]


# --- the page ----------------------------------------------------------------------------------------------


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>|\s+", " ", page)).split())


def test_the_page_says_what_is_undefined_and_why(world: World) -> None:
    five_scan(world, "clean_plate")
    world.house.relay.drain()
    me = browser(world, world.officer)
    said = text_of(me.get("/bureau/synergy"))
    assert me.status == 200
    assert "污染当量 未定义" in said
    assert "NO x 暂无因子 0 / 5 – 未定义 未定义 没有一条记录有这种污染物的因子。" in said
    assert "本区的协同指标现在还算不出来。 这段时间本区 5 条记录的行为都还没有污染物因子。" in said
    assert "看市级核算的部分" not in said  # nothing there either
    assert "还没有填写。平台不自带任何排放总量" in said
    assert "5,000 千克 NOx ÷ 0.95 = 5,263.16" in said


def test_the_page_leads_from_what_is_undefined_to_the_citys_part(world: World) -> None:
    """With the shipped factors only the shared bike has pollutants, and the city credits it."""
    five_scan(world, "clean_plate")
    five_scan(world, "bike_trip", quantity="2")
    world.house.relay.drain()
    me = browser(world, world.officer)
    page = me.get("/bureau/synergy")
    assert "本区的协同指标现在还算不出来。" in page
    assert 'href="#city"' in page
    assert 'id="city"' in page
    assert 'href="/bureau/factors"' in page
    assert "哪些行为减污又降碳" not in page  # no empty picture
    world.publish_factor("own_cup", valid_from=clock.today(), nox_ng=5_000_000)
    five_scan(world, "own_cup")
    world.house.relay.drain()
    page = me.get("/bureau/synergy")
    assert "现在还算不出来" not in page
    assert "哪些行为减污又降碳" in page


def test_the_page_shows_the_citys_part_apart(world: World) -> None:
    five_scan(world, "bike_trip", quantity="2")
    world.house.relay.drain()
    page = browser(world, world.officer).get("/bureau/synergy")
    own, city = text_of(page).split("市级已核算的部分呢？")
    assert "本区记录 0" in own
    assert (
        "NO x 0.487 克 5 / 5 0.48 千克 0.0005131 未定义 第一象限：减污又降碳 还没有填写这一年的排放总量。"
        in city
    )
    assert "假定按烟尘计，不入合计" in city
    assert "法律没有 VOCs 总量的当量值" in city
    assert page.count('<svg class="quadrant"') == 4  # SO2 has no factor


def test_an_officer_enters_a_total_and_the_page_uses_it(world: World) -> None:
    figure(world, co2e_mg=2_000_000, nox_ug=1_000_000_000, nox_known=1)
    me = browser(world, world.officer)
    me.get("/bureau/synergy?kind=walk")
    for substance, kilograms in (("co2e", "2,000 000"), ("nox", "３１")):
        filled = {"year": str(YEAR), "substance": substance, "kilograms": kilograms, "source": "清单 表 3"}
        page = me.send("/bureau/synergy", **filled)
        assert (me.status, me.path) == (200, "/bureau/synergy")
        assert "kind=walk" in me.address
    assert "32,258.06 第一象限：减污又降碳 两者都减少，污染物减少的比例更大。" in text_of(page)
    me.send("/bureau/synergy", **{**filled, "kilograms": "32"})
    assert me.status == 422
    page = me.send("/bureau/synergy", **{**filled, "kilograms": "32", "reason": "更正"})
    assert "31,250.00" in text_of(page)


def test_a_wrong_total_is_said_at_its_field_and_what_was_typed_stays(world: World) -> None:
    me = browser(world, world.officer)
    me.get("/bureau/synergy")
    page = me.send(
        "/bureau/synergy", year="20XX", substance="nox", kilograms="3.5", source="某清单", reason=""
    )
    assert me.status == 422
    assert 'id="year-error"' in page
    assert 'id="kilograms-error"' in page
    assert 'id="source-error"' not in page
    for typed in ("20XX", "3.5", "某清单"):
        assert f'value="{typed}"' in page
    assert '<option value="nox" selected>' in page
    assert audited(world) == []


def test_an_auditor_reads_and_does_not_enter(world: World) -> None:
    me = browser(world, world.colleague(Role.AUDITOR))
    page = me.get("/bureau/synergy")
    assert me.status == 200
    assert "填写或更改一项总量" not in page


@pytest.mark.parametrize("query", ["from=2026-02-01&to=2026-01-01", "kind=teleporting", "from=soon"])
def test_a_wrong_question_is_said_at_its_field(world: World, query: str) -> None:
    me = browser(world, world.officer)
    page = me.get(f"/bureau/synergy?{query}")
    assert me.status == 422
    assert 'aria-invalid="true"' in page


# --- the API -----------------------------------------------------------------------------------------------


def ask(world: World, **query: str) -> dict[str, Any]:
    world.house.relay.drain()
    token = world.token(world.officer, Role.OFFICER)
    answer = world.call("GET", "/synergy", token, query_string=query)
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()
    return found


def test_undefined_is_null_with_its_reason(world: World) -> None:
    five_scan(world, "clean_plate")
    five_scan(world, "bike_trip", quantity="2")
    found = ask(world)
    assert (found["year"], found["kind"], found["emission_totals"], found["withheld"]) == (YEAR, None, [], [])
    assert found["own"]["equivalents"] == {"value": None, "of": []}
    assert [one["pollutant"] for one in found["own"]["pollutants"]] == list(POLLUTANTS)
    assert found["own"]["pollutants"][0] == {
        "pollutant": "nox",
        "reduction_ug": None,
        "known": 0,
        "equivalents": {"value": None, "basis": "no_factor"},
        "compared": {"actions": 0, "reduction_ug": 0, "co2e_mg": 0},
        "elasticity": {"value": None, "reading": "no_factor"},
        "quadrant": None,
    }
    city = {one["pollutant"]: one for one in found["city"]["pollutants"]}
    assert city["nox"]["equivalents"] == {"value": "0.000513142", "basis": "by_law"}
    assert city["pm25"]["equivalents"]["basis"] == "as_soot"
    assert city["voc"]["equivalents"] == {"value": None, "basis": "no_value"}
    assert city["co"]["elasticity"] == {"value": None, "reading": "no_emission_total"}
    assert city["co"]["quadrant"] == "both_fall"
    assert {line["pollutant"] for line in found["city"]["kinds"]} == {"nox", "pm25", "voc", "co"}


def test_decimals_are_texts_and_the_totals_name_their_source(world: World) -> None:
    figure(world, co2e_mg=3_000_000, nox_ug=5_000 * 10**9, nox_known=1)
    enter(world, "co2e", 1_000_000)
    enter(world, "nox", 7_000_000)
    found = ask(world, kind="walk", **{"from": TODAY.isoformat(), "to": TODAY.isoformat()})
    (nox, *_) = found["own"]["pollutants"]
    assert nox["equivalents"] == {"value": "5263.157895", "basis": "by_law"}
    assert found["own"]["equivalents"] == {"value": "5263.157895", "of": ["nox"]}
    assert nox["elasticity"] == {"value": "238.095238", "reading": "both_fall_pollutant_more"}
    assert found["emission_totals"][0] == {
        "year": YEAR,
        "substance": "co2e",
        "kilograms": 1_000_000,
        "source": "区排放清单 表 3",
    }


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("role", "status"), [(Role.AUDITOR, 200), (Role.ADMIN, 200), (Role.HELPER, 403)])
def test_who_may_ask(world: World, role: Role, status: int) -> None:
    token = world.token(world.colleague(role), role)
    assert world.call("GET", "/synergy", token).status_code == status
    assert world.call("GET", "/synergy").status_code == 401
