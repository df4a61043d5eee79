"""Spot checks: drawn by chance and once, drawn again alike, judged once by somebody else, told as error rates."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from sqlmodel import SQLModel, col, select

from activities import spot_judging
from activities.error_rates import Rate, error_rates
from activities.review import reject_action, void_action
from activities.reviews import Waits
from activities.spot_checks import (
    GUARDS,
    Outcome,
    Scope,
    SpotCheck,
    SpotCheckItem,
    draw,
    draw_again,
    draw_due,
    month_before,
    months_over,
    rank,
)
from activities.spot_judging import draw_month, judge, samples_of
from tanpuhui import clock, ids, people
from tanpuhui.errors import AlreadyJudged, InvalidField, JudgesOwnRecords, NotAllowed, NotFound
from tanpuhui.jobs import run_due
from tanpuhui.staff import Role, create_organisation
from tests.browser import browser
from tests.threads import at_once
from tests.world import COMMUNITY, World

WORDS = "当天没有开门"


def last_month(world: World) -> date:
    return months_over(world.house.settings, clock.now())[0]


def noon(month: date) -> datetime:
    return datetime(month.year, month.month, 15, 12, tzinfo=clock.SHANGHAI)


def lived(world: World, records: int, **more: Any) -> tuple[Any, list[UUID]]:
    """A site with so many records in the middle of the last month that is over."""
    with clock.pretending(noon(last_month(world))):
        site = world.site("clean_plate", **more)
        code = world.code_at(site)
        made = [UUID(world.scan(one, code)["action"]["id"]) for one in world.residents(records)]
    return site, made


def sample(world: World, scope: Scope) -> tuple[SpotCheck, list[UUID]]:
    with world.house.db.reading_session() as session:
        check = session.exec(
            select(SpotCheck).where(
                SpotCheck.site_id == scope.site_id, SpotCheck.campaign_id == scope.campaign_id
            )
        ).one()
        items = session.exec(
            select(SpotCheckItem.action_id)
            .where(SpotCheckItem.spot_check_id == check.id)
            .order_by(col(SpotCheckItem.ordinal))
        ).all()
        session.expunge_all()
        return check, list(items)


def counted(world: World, table: type[SQLModel] = SpotCheck) -> int:
    with world.house.db.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def again(world: World, check: SpotCheck, size: int) -> list[UUID]:
    with world.house.db.snapshot() as connection:
        return draw_again(connection, check, size)


@pytest.fixture
def time() -> Iterator[Any]:
    with time_machine.travel(datetime(2026, 10, 15, 12, tzinfo=clock.SHANGHAI), tick=True) as traveller:
        yield traveller


# --- drawing -----------------------------------------------------------------------------------------------


def test_a_draw_is_random_bounded_and_can_be_repeated(world: World) -> None:
    site, made = lived(world, 9)
    draw_month(world.house, world.officer, last_month(world))
    check, items = sample(world, Scope(site.id))
    assert check.population == 9
    assert items == sorted(made, key=lambda action_id: rank(check.seed, action_id))[:5]
    assert again(world, check, 5) == items
    void_action(world.house, world.officer, items[0], "抽查发现没有发生")
    void_action(world.house, world.officer, next(one for one in made if one not in items), "重复")
    assert again(world, check, 5) == items
    other = SpotCheck(**{**check.model_dump(), "seed": "0" * 32})
    assert again(world, other, 5) == sorted(made, key=lambda one: rank("0" * 32, one))[:5]


def test_what_does_not_count_is_not_drawn(world: World) -> None:
    site, made = lived(world, 3)
    with clock.pretending(noon(last_month(world)) + timedelta(hours=1)):
        code = world.code_at(site)
        waits, rejected = (
            UUID(world.scan(world.resident(), code, waits=Waits.PHOTO)["action"]["id"]) for _ in range(2)
        )
        reject_action(world.house, world.officer, rejected, "看不清")
        void_action(world.house, world.officer, made[0], "重复")
    world.scan(world.resident(), code)  # of this month
    draw_month(world.house, world.officer, last_month(world))
    check, items = sample(world, Scope(site.id))
    assert check.population == 2
    assert set(items) == set(made[1:])
    assert waits not in items


def test_a_campaign_has_a_sample_of_its_own(world: World) -> None:
    with clock.pretending(noon(last_month(world))):
        site = world.site("clean_plate")
        campaign = world.campaign(site)
        code = world.code_at(site)
        for one in world.residents(12):
            world.scan(one, code)
    draw_month(world.house, world.officer, last_month(world))
    check, items = sample(world, Scope(campaign_id=campaign.id))
    assert (check.population, len(items)) == (12, 10)
    assert len(sample(world, Scope(site.id))[1]) == 5


def test_of_many_who_draw_at_once_one_does(world: World) -> None:
    site, _ = lived(world, 7)
    month = last_month(world)

    def one() -> bool:
        return world.house.db.run(
            lambda connection: draw(world.house, connection, Scope(site.id), month, clock.now())
        )

    assert sorted(at_once([one] * 6)) == [False] * 5 + [True]
    assert (counted(world), counted(world, SpotCheckItem)) == (1, 5)


def test_the_database_knows_one_sample_of_a_scope_and_month(world: World) -> None:
    site, _ = lived(world, 1)
    draw_month(world.house, world.officer, last_month(world))
    check, _ = sample(world, Scope(site.id))
    twin = {**check.model_dump(), "id": ids.new_id()}
    earlier = twin | {"month": month_before(check.month)}
    for wrong in (twin, earlier | {"site_id": None}, earlier | {"seed": "x"}):
        with pytest.raises(sa.exc.DBAPIError):
            add(world, wrong)
    add(world, earlier)  # the control: another month is taken


def add(world: World, row: dict[str, Any]) -> None:
    with world.house.db.session() as session:
        session.add(SpotCheck(**row))


def test_the_job_draws_when_the_month_is_over_and_makes_up_for_what_was_missed(
    world: World, time: Any
) -> None:
    job = next(job for room in world.house.rooms for job in room.jobs if job.name == "spot_checks")
    code = world.code_at(world.site("clean_plate"))
    world.scan(world.resident(), code)
    time.move_to(datetime(2026, 11, 3, 23, tzinfo=clock.SHANGHAI))  # late records may still come
    assert run_due(world.house, job, clock.now())
    assert counted(world, SpotCheckItem) == 0
    time.move_to(datetime(2026, 11, 4, 1, tzinfo=clock.SHANGHAI))
    assert run_due(world.house, job, clock.now())
    assert not run_due(world.house, job, clock.now())
    assert counted(world, SpotCheckItem) == 1
    world.scan(world.resident(), code)
    time.move_to(datetime(2027, 3, 20, 12, tzinfo=clock.SHANGHAI))
    with world.house.db.transaction() as connection:
        draw_due(world.house, connection, clock.now())
        draw_due(world.house, connection, clock.now())
    assert (counted(world), counted(world, SpotCheckItem)) == (5, 2)  # October to February, each once


def test_only_officers_draw_and_only_months_that_are_over(world: World) -> None:
    for who in (
        world.organiser,
        world.colleague(Role.AUDITOR),
        world.colleague(Role.OFFICER, division=COMMUNITY),
    ):
        with pytest.raises(NotAllowed):
            draw_month(world.house, who, last_month(world))
    with pytest.raises(InvalidField):
        draw_month(world.house, world.officer, clock.today().replace(day=1))


# --- judging -----------------------------------------------------------------------------------------------


def drawn(world: World, records: int = 1, **more: Any) -> tuple[UUID, list[UUID]]:
    site, _ = lived(world, records, **more)
    draw_month(world.house, world.officer, last_month(world))
    check, items = sample(world, Scope(site.id))
    return check.id, items


def test_a_judgement_is_kept_once_and_twice_alike_is_once(world: World) -> None:
    check, (action,) = drawn(world)
    for outcome in (Outcome.WRONG_KIND, Outcome.CANNOT_TELL):
        with pytest.raises(InvalidField):
            judge(world.house, world.officer, check, action, outcome, " ")
    judge(world.house, world.officer, check, action, Outcome.RIGHT)
    judge(world.house, world.officer, check, action, Outcome.RIGHT)
    with pytest.raises(AlreadyJudged):
        judge(world.house, world.officer, check, action, Outcome.WRONG_KIND, WORDS)
    with pytest.raises(AlreadyJudged):
        judge(world.house, world.second_officer, check, action, Outcome.RIGHT)
    with pytest.raises(NotFound):
        judge(world.house, world.officer, check, check, Outcome.RIGHT)


def test_nobody_judges_their_own(world: World) -> None:
    with clock.pretending(noon(last_month(world))):
        admin = world.colleague(Role.ADMIN)
        tenant = create_organisation(world.house, admin, name="某居委会", division_code=COMMUNITY)
    check, (action,) = drawn(world, organisation_id=tenant.id)
    own = [
        world.organiser,  # set it up
        world.colleague(Role.ORGANISER, organisation=tenant.id),
        world.colleague(Role.OFFICER, Role.ORGANISER, division=COMMUNITY),
    ]
    for who in own:
        with pytest.raises(JudgesOwnRecords):
            judge(world.house, who, check, action, Outcome.RIGHT)
    for role in (Role.AUDITOR, Role.ADMIN, Role.ORGANISER):
        with pytest.raises(NotAllowed):
            judge(world.house, world.colleague(role), check, action, Outcome.RIGHT)
    judge(world.house, world.colleague(Role.OFFICER, Role.ORGANISER), check, action, Outcome.RIGHT)


def test_of_many_who_judge_at_once_one_does(world: World) -> None:
    check, (action,) = drawn(world)
    officers = [world.colleague(Role.OFFICER) for _ in range(6)]

    def say(number: int) -> str:
        try:
            judge(world.house, officers[number], check, action, Outcome.DID_NOT_HAPPEN, f"{WORDS} {number}")
        except AlreadyJudged:
            return "late"
        return str(number)

    said = at_once([lambda number=number: say(number) for number in range(6)])
    (first,) = [word for word in said if word != "late"]
    assert found(world, check, action) == (Outcome.DID_NOT_HAPPEN, f"{WORDS} {first}")


def found(world: World, check: UUID, action: UUID) -> tuple[Outcome | None, str | None]:
    with world.house.db.reading_session() as session:
        item = session.get_one(SpotCheckItem, (check, action))
        return item.outcome, item.words


def overwrite(world: World, check: UUID, words: str) -> None:
    """What a careless service would do: no look at what stands."""
    with world.house.db.session() as session:
        session.connection().execute(
            sa.update(SpotCheckItem)
            .where(col(SpotCheckItem.spot_check_id) == check)
            .values(
                outcome=Outcome.WRONG_OTHER, words=words, judged_at=clock.now(), judged_by=world.officer.id
            )
        )


def test_the_database_keeps_a_judgement_and_without_its_guard_it_would_not(world: World) -> None:
    check, (action,) = drawn(world)
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, check, "")  # no words
    overwrite(world, check, WORDS)
    with pytest.raises(sa.exc.DBAPIError):
        overwrite(world, check, "改口")
    guard = next(guard for guard in GUARDS if guard.name == "once")
    with world.house.db.transaction() as connection:
        for statement in guard.drop(connection.dialect.name):
            connection.execute(sa.text(statement))
    overwrite(world, check, "改口")
    assert found(world, check, action) == (Outcome.WRONG_OTHER, "改口")


# --- rates -------------------------------------------------------------------------------------------------


def test_rates_of_sites_campaigns_and_the_district(world: World) -> None:
    month = last_month(world)
    with clock.pretending(noon(month)):
        site = world.site("clean_plate")
        campaign = world.campaign(site)
        code = world.code_at(site)
        for one in world.residents(4):
            world.scan(one, code)
    draw_month(world.house, world.officer, month)
    check, items = sample(world, Scope(site.id))
    for action, (outcome, words) in zip(
        items,
        [(Outcome.RIGHT, ""), (Outcome.WRONG_QUANTITY, WORDS), (Outcome.CANNOT_TELL, WORDS)],
        strict=False,
    ):
        judge(world.house, world.officer, check.id, action, outcome, words)
    void_action(world.house, world.officer, items[1], "抽查发现数量不对")
    with world.house.db.reading() as connection:
        rates = error_rates(connection, month, month)
        before = error_rates(connection, month_before(month), month_before(month))
    judged = Rate(right=1, wrong=1, cannot_tell=1, open=1)
    assert [(line.name, line.verified, line.rate) for line in rates.sites] == [(site.name, True, judged)]
    assert [(line.name, line.rate) for line in rates.campaigns] == [(campaign.title, Rate(open=4))]
    assert rates.district == {True: judged, False: Rate()}
    assert before.sites == ()


def test_who_leaves_is_in_no_sample_and_the_outcome_stays(world: World) -> None:
    with clock.pretending(noon(last_month(world))):
        site = world.site("clean_plate")
        resident = world.resident()
        world.scan(resident, world.code_at(site))
    draw_month(world.house, world.officer, last_month(world))
    check, (action,) = sample(world, Scope(site.id))
    judge(world.house, world.officer, check.id, action, Outcome.DID_NOT_HAPPEN, WORDS)
    people.leave(world.house, resident.id)
    assert found(world, check.id, action) == (Outcome.DID_NOT_HAPPEN, WORDS)
    assert again(world, check, 1) == [action]


# --- pages -------------------------------------------------------------------------------------------------


def test_the_pages_tell_the_records_and_no_person(world: World) -> None:
    check, items = drawn(world, 3)
    desk = browser(world, world.officer)
    month = f"{last_month(world):%Y-%m}"
    assert "0 / 3" in desk.get("/bureau/spot-checks")
    page = desk.get(f"/bureau/spot-checks/{check}")
    with world.house.db.reading_session() as session:
        for item in spot_judging.one_sample(session, world.house, world.officer, check)[2]:
            assert str(item.action.resident_id) not in page
    desk.send(f"/bureau/spot-checks/{check}/{items[0]}")
    assert found(world, check, items[0]) == (Outcome.RIGHT, "")
    assert "1 / 3" in desk.get(f"/bureau/spot-checks?month={month}")
    assert "结果完全一样" in desk.get(f"/bureau/spot-checks/{check}?again=1")
    assert "0.0% – 79.4%" in desk.get("/bureau/spot-checks/rates")
    with world.house.db.reading_session() as session:
        (one,) = samples_of(session, last_month(world))
    assert (one.items, one.judged) == (3, 1)
