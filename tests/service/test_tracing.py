"""From a number to its figures, its events, its actions and their factor version: every level adds up to the one above."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel, select

from activities.actions import Action
from activities.review import confirm_action, void_action
from activities.reviews import Waits
from tanpuhui.audit import AuditEntry
from tanpuhui.bureau import traced_people, tracing
from tanpuhui.bureau.target_changes import set_target
from tanpuhui.bureau.target_forms import TargetIn
from tanpuhui.bureau.tracing import MADE_OF, PEOPLE, Asked, FigureKey
from tanpuhui.bureau.tracing_pages import KEPT
from tanpuhui.bureau.view import View
from tanpuhui.people import Resident
from tanpuhui.periods import CalendarPeriod
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role
from tanpuhui.web.formatting import in_grams, in_kilograms, whole
from tests.browser import Browser, browser
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOON = datetime(2027, 6, 7, 4, 0, tzinfo=UTC)
JUNE = CalendarPeriod.parse("2027-06")
REASON = "核对六月的统计"


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def june(world: World, time: time_machine.Traveller) -> list[Resident]:
    """Three days with everything that can become of a record, folded in several batches."""
    people = [*world.residents(6), world.resident(OTHER_COMMUNITY)]
    site = world.site("clean_plate", "own_cup", "metro_trip")
    world.campaign(site, hours=40)
    code, outside = world.code_at(site), world.code("clean_plate", "own_cup")
    for person in people:
        world.scan(person, code, kind="clean_plate")
    voided = world.scan(people[0], outside, kind="own_cup")["action"]["id"]
    world.scan(people[1], code, kind="metro_trip", quantity=7)
    waiting = [
        world.scan(person, outside, kind="own_cup", waits=Waits.PHOTO)["action"]["id"]
        for person in people[2:4]
    ]
    world.house.relay.drain()
    world.publish_factor(
        "clean_plate", co2e_low_ng=100_000_000_000, valid_from=NOON.date() + timedelta(days=1)
    )
    time.shift(timedelta(days=1))
    void_action(world.house, world.organiser, UUID(voided), "扫错了")
    confirm_action(world.house, world.organiser, UUID(waiting[0]), "看得清")
    for person in people[:5]:
        world.scan(person, code, kind="clean_plate")
    late = world.scan(people[5], outside, kind="own_cup", occurred_at=NOON + timedelta(hours=3))["action"][
        "id"
    ]
    world.house.relay.drain()
    void_action(world.house, world.organiser, UUID(late), "重复")
    both = world.scan(people[6], outside, kind="own_cup")["action"]["id"]
    void_action(world.house, world.organiser, UUID(both), "扫错了")
    world.house.relay.drain()
    return people


def all_figures(connection: sa.Connection, asked: Asked) -> list[tracing.Figure]:
    """Every page of the figures of a number, one after the other."""
    found, more = tracing.figures_of(connection, asked)
    while more:
        following, more = tracing.figures_of(connection, asked, found[-1].key.name)
        found += following
    return found


def test_every_level_adds_up_to_the_level_above(
    world: World, time: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After voids, confirmations, late records and a changed factor; and what is summed is what the records say."""
    june(world, time)
    monkeypatch.setattr(tracing, "PAGE", 3)
    numbers = [
        Asked(View(CalendarPeriod.parse(period), area, kind), measure)
        for measure in MADE_OF
        for period, area, kind in (
            ("2027", DISTRICT, None),
            ("2027-06", STREET, None),
            ("2027-W23", COMMUNITY, "clean_plate"),
            ("2027-06-07", DISTRICT, "own_cup"),
        )
    ]
    with world.house.db.snapshot() as connection:
        campaign = connection.scalar(sa.select(SQLModel.metadata.tables["campaign"].c.id))
        numbers.append(Asked(View(JUNE, DISTRICT, campaign=str(campaign)), "co2e_mg"))
        actions = {row["id"]: row for row in connection.execute(sa.select(Action.__table__)).mappings()}  # type: ignore[attr-defined]
        voided = set(connection.scalars(sa.text("SELECT action_id FROM action_void")))
        opened: set[FigureKey] = set()
        nonzero = 0
        for asked in numbers:
            told = tracing.number(connection, asked, whole=True)
            assert told.withheld is None
            parts = tracing.parts(connection, asked, whole=True)
            if asked.view.period.unit != "day":
                assert sum(one.amount or 0 for _, one in parts) == told.amount, asked
            figures = all_figures(connection, asked)
            assert tracing.figures_total(connection, asked) == (len(figures), told.amount), asked
            assert sum(one.amount for one in figures) == told.amount
            assert [one.key for one in figures] == sorted({one.key for one in figures})
            nonzero += bool(told.amount)
            if asked.measure not in {"co2e_mg", "actions", "points", "verified_nox_ug", "city_co2e_mg"}:
                continue
            for one in figures:
                assert tracing.figure(connection, asked, one.key.name) == one
                folded = tracing.folded(connection, world.house.feeds, asked, one.key)
                assert (folded.total, folded.waiting) == (one.amount, 0), (asked, one)
                opened.add(one.key)
                if asked.measure != "co2e_mg":
                    continue
                for subject in {event.subject_id for event in folded.events}:
                    action = actions[subject]
                    of_action = [event.amount for event in folded.events if event.subject_id == subject]
                    stands = str(subject) not in {str(UUID(str(one))) for one in voided}
                    assert sum(of_action) == (action["co2e_mg"] if stands else 0)
                    assert len(of_action) == (1 if stands else 2)
        assert nonzero > 30
        assert len(opened) >= 7
        assert {actions[one]["factor_version"] for one in actions} >= {"clean_plate@1", "clean_plate@2"}


def test_events_that_are_not_folded_yet_are_counted_apart(world: World, time: time_machine.Traveller) -> None:
    people = june(world, time)
    code = world.code("clean_plate")
    asked = Asked(View(JUNE, COMMUNITY, "own_cup"), "actions")
    with world.house.db.snapshot() as connection:
        (today,) = [
            one for one in all_figures(connection, asked) if one.key.day == NOON.date() and one.amount
        ]
    assert code
    with world.house.db.session() as session:
        event = session.execute(
            sa.text("SELECT max(position) FROM event_log WHERE type = 'action.confirmed'")
        ).scalar_one()
        failure = "INSERT INTO event_failure (subscriber, position, attempts, next_attempt_at, error) "
        session.execute(sa.text(f"{failure} VALUES ('figures', {event}, 1, '2027-06-09 00:00:00', 'x')"))
    with world.house.db.snapshot() as connection:
        folded = tracing.folded(connection, world.house.feeds, asked, today.key)
        assert (folded.total, folded.waiting) == (today.amount - 1, 1)
        plan = _plan(connection, tracing._events(connection, world.house.feeds, today.key))
    assert "ix_event_log_resident_id_position" in plan
    assert len(people) == 7


def _plan(connection: sa.Connection, query: Any) -> str:
    """How the database finds it, where reading through a table is the last resort."""
    text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        return "\n".join(connection.scalars(sa.text(f"EXPLAIN {text}".replace(":", r"\:"))))
    return "\n".join(
        row[3] for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {text}".replace(":", r"\:")))
    )


# --- people --------------------------------------------------------------------------------------------------


def all_places(connection: sa.Connection, asked: Asked) -> list[traced_people.Present]:
    """Every page of the days and communities of a number, one after the other."""
    found, more = traced_people.places_of(connection, asked)
    while more:
        following, more = traced_people.places_of(connection, asked, found[-1].place.name)
        found += following
    return found


def test_each_participant_is_listed_once_with_records_that_stand(
    world: World, time: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who moved, who took part in two weeks, years and communities, and whose records were voided or confirmed."""
    people = june(world, time)
    code = world.code("clean_plate", "own_cup")
    with world.house.db.session() as session:
        session.get_one(Resident, people[0].id).division_code = OTHER_COMMUNITY
    world.scan(people[0], code, kind="own_cup")  # on one day in two communities
    time.move_to(datetime(2027, 12, 31, 4, tzinfo=UTC))
    world.scan(people[1], code, kind="clean_plate")
    time.move_to(datetime(2028, 1, 1, 4, tzinfo=UTC))
    world.scan(people[1], code, kind="clean_plate")
    world.scan(world.resident(OTHER_COMMUNITY), code, kind="own_cup")
    world.house.relay.drain()
    monkeypatch.setattr(traced_people, "PAGE", 2)
    monkeypatch.setattr(traced_people, "_AT_ONCE", 3)
    with world.house.db.snapshot() as connection:
        campaign = str(connection.scalar(sa.select(SQLModel.metadata.tables["campaign"].c.id)))
        views = [
            View(CalendarPeriod.parse(period), area, kind)
            for period in (
                "2027",
                "2028",
                "2027-Q2",
                "2027-06",
                "2027-W23",
                "2027-W52",
                "2027-06-07",
                "2027-06-08",
            )
            for area in (DISTRICT, STREET, COMMUNITY, OTHER_COMMUNITY)
            for kind in (None, "own_cup", "clean_plate")
        ]
        voided = {UUID(str(one)) for one in connection.scalars(sa.text("SELECT action_id FROM action_void"))}
        most = pages = 0
        for view in (*views, View(JUNE, DISTRICT, campaign=campaign)):
            asked = Asked(view, PEOPLE)
            told = tracing.number(connection, asked, whole=True)
            places = all_places(connection, asked)
            assert sum(one.counted for one in places) == told.amount, asked
            assert [one.place for one in places] == sorted({one.place for one in places})
            listed = []
            for one in places:
                here = traced_people.people_at(connection, asked, one.place)
                assert len(here) == one.counted <= one.people
                listed += here
                records = traced_people.records_of(connection, world.house.feeds, asked, one.place, here)
                assert all(records[who] for who in here), asked
                for record in (record for own in records.values() for record in own):
                    assert record.action_id not in voided
                    assert (record.figure.day, record.figure.division_code) == one.place
                    assert tracing.figure(connection, asked, record.figure.name) is not None
            assert len(set(listed)) == len(listed) == told.amount
            most, pages = max(most, told.amount or 0), max(pages, len(places))
        assert (most, pages > 2) == (7, True)


# --- pages ---------------------------------------------------------------------------------------------------


def seen(world: World, who: Principal) -> list[tuple[str, str, str]]:
    """What the trail says that somebody saw."""
    with world.house.db.reading_session() as session:
        found = session.exec(
            select(AuditEntry).where(AuditEntry.actor_id == who.id).order_by(AuditEntry.at, AuditEntry.id)  # type: ignore[arg-type]
        ).all()
        return [(one.deed, one.subject, one.reason) for one in found if one.deed.endswith(".seen")]


def links(page: str, to: str) -> list[str]:
    """The addresses on a page that lead to a path."""
    return [unescape(one) for one in re.findall(r'href="([^"#]+)', page) if urlsplit(one).path.startswith(to)]


def people_on(page: str) -> list[str]:
    """The pseudonyms on a page, in order."""
    return re.findall(r"<code>([A-Z2-7]{4}-[A-Z2-7]{4})</code>", page)


def walk(eye: Browser, address: str) -> dict[str, str]:
    """From the number through its first figure and first event to the action: the pages by level."""
    number = eye.get(address)
    events = eye.get(links(number, "/bureau/trace/events")[0])
    action = eye.get(links(events, "/bureau/trace/actions/")[0])
    return {"number": number, "events": events, "action": action}


def test_four_clicks_with_a_reason_and_nobody_is_named(world: World, time: time_machine.Traveller) -> None:
    people = june(world, time)
    officer = world.officer
    eye = browser(world, officer)
    address = f"/bureau/trace?period=2027-06&area={STREET}&kind=clean_plate&measure=co2e_mg"
    page = eye.get(address)
    assert (eye.status, links(page, "/bureau/trace/events")) == (200, [])
    assert "为什么要看到单条记录" in page
    # 6 people of the street did it: told; of a day of one kind nothing is.
    assert "太细，不提供" in page
    assert seen(world, officer) == []
    eye.send("/bureau/trace", reason="x")
    assert eye.status == 422
    assert "请写明原因" in eye.page.text
    page = eye.send("/bureau/trace", reason=f" {REASON} ")
    assert (eye.status, eye.path) == (200, "/bureau/trace")
    assert "加起来正好" in page
    assert "相差" not in page
    assert seen(world, officer) == [("figure.seen", f"figure:2027-06:{STREET}", REASON)]

    # A figure, its events, an action, its factor version: three more clicks.
    pages = walk(eye, address)
    factor = eye.get(links(pages["action"], "/factors/clean_plate")[0])
    assert eye.status == 200
    assert "clean_plate@1" in factor.replace("<wbr>", "")
    assert [deed for deed, _, _ in seen(world, officer)] == [*["figure.seen"] * 3, "action.seen"]
    assert {why for _, _, why in seen(world, officer)} == {REASON}
    for name, text in pages.items():
        assert "相差" not in text, name
    assert all(words in pages["action"] for words in ("怎么算的", "所在点位", "在这个数里算了多少", "点位码"))
    with world.house.db.reading() as connection:
        ids = [str(one) for one in connection.scalars(sa.text("SELECT id FROM resident"))]
    secrets = {UUID(one).hex for one in ids} | {str(UUID(one)) for one in ids} | {"139000000"}
    for text in pages.values():  # with every address on them
        assert not [secret for secret in secrets if secret in text]

    # Six people with six pseudonyms, the same on every page of the day and others on the next one.
    first = people_on(pages["events"])
    assert len(first) == len(set(first)) == 6
    assert people_on(pages["action"]) == first[:1]
    other_days = [link for link in links(pages["number"], "/bureau/trace/events") if "2027-06-08" in link]
    second = people_on(eye.get(other_days[0]))
    assert len(second) == 5
    assert not set(first) & set(second)
    assert len(people) == 7


def test_without_a_reason_that_stands_nothing_single_is_shown(
    world: World, time: time_machine.Traveller
) -> None:
    june(world, time)
    eye = browser(world, world.officer)
    address = f"/bureau/trace?period=2027-06&area={COMMUNITY}&measure=co2e_mg"
    eye.get(address)
    eye.send("/bureau/trace", reason=REASON)
    pages = walk(eye, address)
    deeper = [
        links(pages["number"], "/bureau/trace/events")[0],
        links(pages["events"], "/bureau/trace/actions/")[0],
    ]
    first = people_on(pages["events"])

    # Nobody else, and not for another number.
    auditor = browser(world, world.colleague(Role.AUDITOR))
    for link in deeper:
        text = auditor.get(link)
        assert auditor.status == 403
        assert "为什么要看到单条记录" in text
        assert people_on(text) == []
        eye.get(link.replace("2027-06&", "2027-Q2&"))
        assert eye.status == 403
    assert seen(world, auditor_of := world.colleague(Role.AUDITOR)) == []
    assert auditor_of
    text = auditor.send("/bureau/trace", reason="抽查")
    assert (auditor.status, auditor.path) == (200, urlsplit(deeper[1]).path)
    assert people_on(text) != first[:1]  # another trace, other pseudonyms

    # An action of another figure, and a figure of another number.
    other = next(link for link in links(pages["number"], "/bureau/trace/events") if "own_cup" in link)
    figure = parse_qs(urlsplit(other).query)["figure"][0]
    eye.get(re.sub(r"figure=[^&]+", f"figure={figure}", deeper[1]))
    assert eye.status == 404
    eye.get(deeper[0].replace(COMMUNITY, "310106006001", 1))
    assert eye.status in {403, 404}
    for wrong in (
        "period=2027-13",
        "area=1",
        "measure=participants&evidence=photo",
        "measure=co2e_mg&evidence=x",
        "measure=log_ins",
        "kind=x",
        "campaign=x",
    ):
        eye.get(f"/bureau/trace?{wrong}")
        assert eye.status == 422, wrong
        eye.get(f"/bureau/trace/events?{wrong}")
        assert eye.status == 422, wrong
        eye.get(f"/bureau/trace/people?{wrong}")
        assert eye.status == 422, wrong
    for name in ("", "x", "2027-06-07~~~~~1", "2027-06-07~x~x~x~x~x~x"):
        eye.get(f"/bureau/trace/events?{urlsplit(address).query}&figure={name}")
        assert eye.status == 404, name

    # Half an hour later the same officer is asked again, and the people have other pseudonyms.
    time.shift(KEPT)
    eye.get(deeper[0])
    assert eye.status == 403
    text = eye.send("/bureau/trace", reason=REASON)
    assert (eye.status, eye.path) == (200, "/bureau/trace/events")
    assert not set(people_on(text)) & set(first)

    # Whoever does not read the statistics of the district is let in nowhere.
    for stranger in (world.organiser, world.colleague(Role.OFFICER, division=STREET)):
        them = browser(world, stranger)
        for link in (address, *deeper):
            them.get(link)
            assert them.status == 403
            assert "为什么要看到单条记录" not in them.page.text


def test_from_a_number_of_people_to_their_records(world: World, time: time_machine.Traveller) -> None:
    people = june(world, time)
    officer = world.officer
    eye = browser(world, officer)
    address = f"/bureau/trace?period=2027-06&area={STREET}&measure=participants"
    page = eye.get(address)
    assert (eye.status, links(page, "/bureau/trace/people")) == (200, [])
    deeper = (
        f"/bureau/trace/people?period=2027-06&area={STREET}&measure=participants&at=2027-06-07~{COMMUNITY}"
    )
    assert people_on(eye.get(deeper)) == []
    assert (eye.status, seen(world, officer)) == (403, [])
    page = eye.send("/bureau/trace", reason=REASON)
    assert (eye.status, eye.path) == (200, "/bureau/trace/people")
    number = eye.get(address)
    assert "加起来正好" in number
    # Six of the street on the first day; on the second they are all known already.
    assert [urlsplit(one).query.split("~")[0][-10:] for one in links(number, "/bureau/trace/people")] == [
        "2027-06-07"
    ]
    assert "前面已算过" in number
    page = eye.get(links(number, "/bureau/trace/people")[0])
    names = people_on(page)
    assert len(names) == len(set(names)) == 6
    action = eye.get(links(page, "/bureau/trace/actions/")[0])
    assert (eye.status, people_on(action)) == (200, names[:1])
    eye.get(links(action, "/factors/")[0])
    assert eye.status == 200
    assert {why for _, _, why in seen(world, officer)} == {REASON}
    assert [subject for _, subject, _ in seen(world, officer)][:2] == [
        f"figure:2027-06-07:{COMMUNITY}",
        f"figure:2027-06:{STREET}",
    ]
    with world.house.db.reading() as connection:
        ids = [UUID(str(one)) for one in connection.scalars(sa.text("SELECT id FROM resident"))]
    for text in (number, page, action):
        assert not [one for one in ids if str(one) in text or one.hex in text]
    for wrong in ("", "x", "2027-06-08~x", f"2027-06-08~{COMMUNITY}", f"2027-05-08~{COMMUNITY}"):
        eye.get(f"/bureau/trace/people?{urlsplit(address).query}&at={wrong}")
        assert eye.status == 404, wrong
    eye.get(deeper.replace("participants", "actions"))
    assert eye.status == 403  # another number
    stranger = browser(world, world.colleague(Role.OFFICER, division=STREET))
    stranger.get(deeper)
    assert stranger.status == 403
    assert len(people) == 7


def test_a_number_of_one_tier_of_evidence(world: World, time: time_machine.Traveller) -> None:
    june(world, time)
    with world.house.db.snapshot() as connection:
        told = {}
        for tier in tracing.tiers(connection):
            asked = Asked(View(JUNE, DISTRICT), "co2e_mg", tier)
            one = tracing.number(connection, asked, whole=True)
            told[tier] = one.amount
            assert one.amount == tracing.figures_total(connection, asked)[1]
            assert (
                sum(part.amount or 0 for _, part in tracing.parts(connection, asked, whole=True))
                == one.amount
            )
        assert (
            sum(amount or 0 for amount in told.values())
            == tracing.number(connection, Asked(View(JUNE, DISTRICT), "co2e_mg"), whole=True).amount
        )
        assert told["measured"] == 0 < (told["site_code"] or 0)
        few = tracing.number(
            connection, Asked(View(JUNE, COMMUNITY, "metro_trip"), "actions", "measured"), whole=False
        )
        assert (few.amount, bool(few.withheld)) == (None, True)


_NUMBER = re.compile(r'<a href="(/bureau/trace\?[^"#]+)">([0-9,.\u2212]+)</a>')


def lead_to_themselves(world: World, page: str) -> list[Asked]:
    """The numbers of a page that are linked: each leads to the number that it is, and none in a row of what is withheld."""
    rows = re.findall(r"<tr.*?</tr>", page, re.S)
    assert not [row for row in rows if "/bureau/trace" in row and ("人少，不显示" in row or "太细" in row)]
    found = []
    with world.house.db.snapshot() as connection:
        for address, words in _NUMBER.findall(page):
            asked, _, wrong = tracing.read_asked(
                connection, dict(parse_qsl(urlsplit(unescape(address)).query)), DISTRICT
            )
            told = tracing.number(connection, asked, whole=False)
            assert (wrong, told.withheld) == ({}, None), asked
            ends = asked.measure.rpartition("_")[2]
            shown = {"mg": in_kilograms, "ug": in_grams}.get(ends, whole)(told.amount or 0)
            assert words == shown, asked
            found.append(asked)
    return found


def test_the_numbers_of_the_dashboard_lead_to_themselves(world: World, time: time_machine.Traveller) -> None:
    site = world.site("clean_plate", "metro_trip")
    world.campaign(site, hours=40)
    code = world.code_at(site)
    people = [*world.residents(6), *(world.resident(OTHER_COMMUNITY) for _ in range(6))]
    for person in people:
        world.scan(person, code, kind="clean_plate")
        world.scan(person, code, kind="metro_trip", quantity=7)
    world.house.relay.drain()
    eye = browser(world, world.officer)
    linked = lead_to_themselves(world, eye.get("/bureau?period=2027-06"))
    assert {one.measure for one in linked} >= {
        "participants",
        "actions",
        "co2e_known",
        "nox_known",
        "city_co2e_mg",
    }
    assert {one.view.period.unit for one in linked} == {"day", "month", "year"}  # the trend, and campaigns
    assert {len(one.view.area) for one in linked} == {6, 9}
    assert {one.view.kind for one in linked} >= {None, "clean_plate"}
    assert {one.evidence for one in linked} >= {None, "site_code"}
    assert any(one.view.campaign for one in linked)
    assert lead_to_themselves(world, eye.get(f"/bureau?period=2027&area={STREET}&kind=clean_plate"))
    time.shift(timedelta(days=1))
    world.scan(people[0], code, kind="clean_plate")
    world.house.relay.drain()
    page = browser(world, world.officer).get("/bureau?period=2027-06")
    assert "人少，不显示" in page
    assert lead_to_themselves(world, page)


def test_the_progress_of_a_target_leads_to_its_number(world: World, time: time_machine.Traveller) -> None:
    june(world, time)
    officer, street = world.officer, world.colleague(Role.OFFICER, division=STREET)
    for measure, division, kind, due_on, words in (
        ("participants", DISTRICT, "", "2027-12-31", "7"),
        ("verified_actions", DISTRICT, "clean_plate", "2027-12-31", "12"),
        (
            "participants",
            DISTRICT,
            "own_cup",
            "2027-06-07",
            "",
        ),  # of some days of the year: no number of the figures
        ("venues", DISTRICT, "", "2027-12-31", ""),
    ):
        said = TargetIn(
            measure=measure,
            kind=kind,
            amount="50",
            division_code=division,
            answerer_id=str(street.id),
            basis="方案",
            due_on=due_on,
        )
        target = set_target(world.house, officer, 2027, said)
        page = browser(world, officer).get(f"/bureau/targets/{target}")
        found = links(page, "/bureau/trace")[1:]  # after the one of the menu
        assert bool(found) is bool(words), measure
        if found:
            with world.house.db.snapshot() as connection:
                query = dict(parse_qsl(urlsplit(found[0]).query))
                asked, _, wrong = tracing.read_asked(connection, query, DISTRICT)
                assert (wrong, whole(tracing.number(connection, asked, whole=True).amount or 0)) == (
                    {},
                    words,
                )
            assert f"{words}\u00a0" in page or f">{words}<" in page
        answering = browser(world, street)
        assert links(answering.get(f"/bureau/targets/{target}"), "/bureau/trace")[1:] == []
        assert answering.status == 200
