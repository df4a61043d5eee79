"""Campaigns: drafted, approved by somebody else, frozen; a window from dates or from the calendar; open by time alone."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import time_machine
from pydantic import ValidationError
from sqlmodel import SQLModel, select

from activities import campaign_desk, campaigns, observance_changes
from activities.campaign_desk import CampaignIn, ChangeIn
from activities.campaign_notices import CampaignNotice, NoticeKind, mark_seen, notices_of, unseen
from activities.campaign_rules import Rules, by_dates
from activities.campaigns import Campaign, CampaignVersion, Stage, VersionState, open_version, stage_of
from activities.observance_words import Said
from tanpuhui import clock, ids
from tanpuhui.errors import (
    ApproverIsSubmitter,
    CampaignMovedOn,
    InvalidField,
    NotAllowed,
    NotFound,
    TanpuhuiError,
)
from tanpuhui.rooms import build_house
from tanpuhui.staff import Role
from tests.browser import browser
from tests.service.test_families import school_class
from tests.tables import contents, written
from tests.threads import at_once
from tests.world import COMMUNITY, DISTRICT, OTHER_COMMUNITY, STREET, World

NOW = datetime(2027, 6, 5, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def asked(world: World, *site_list: Any, hours: float = 2, **changed: Any) -> CampaignIn:
    now = clock.now()
    window = {"starts_at": now, "ends_at": now + timedelta(hours=hours)}
    return world.campaign_in(*site_list, **{"title": "六五环境日", **window, **changed})


def launch(world: World, *site_list: Any, **changed: Any) -> Campaign:
    return world.launch(asked(world, *site_list, **changed))


def change(campaign_in: CampaignIn, **rules: Any) -> ChangeIn:
    again = campaign_in.rules.model_copy(update={"words": "改过了"}).stored() | rules
    return ChangeIn(title=campaign_in.title, rules=Rules.model_validate(again))


def stage(world: World, campaign_id: UUID) -> Stage:
    with world.house.db.reading_session() as session:
        pending = open_version(session, campaign_id)
        campaign = session.get_one(Campaign, campaign_id)
        return stage_of(campaign, pending.state if pending else None, clock.now())


def campaign_of(world: World, code: str, **more: Any) -> UUID | None:
    resident = world.resident(more.pop("community", COMMUNITY))
    found = world.scan(resident, code, quantity="1", **more)["action"]["campaign_id"]
    return UUID(found) if found else None


def told(world: World, campaign_id: UUID) -> list[tuple[NoticeKind, dict[str, Any]]]:
    with world.house.db.reading_session() as session:
        return [(one.kind, one.params) for one in reversed(notices_of(session, campaign_id))]


# --- the way to approval -------------------------------------------------------------------------------------


def test_a_campaign_goes_through_every_stage(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code, second = world.code_at(site), world.colleague(Role.OFFICER)
    start = NOW + timedelta(days=10)
    campaign_in = asked(
        world, site, starts_at=start, ends_at=start + timedelta(hours=2), announce_days=7, title="玻璃周"
    )
    campaign = campaign_desk.draft(world.house, world.organiser, campaign_in)
    assert stage(world, campaign.id) is Stage.DRAFT
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.submit(world.house, world.organiser, campaign.id)  # asking again changes nothing
    assert stage(world, campaign.id) is Stage.SUBMITTED
    campaign_desk.send_back(world.house, second, campaign.id, 1, "请写明奖品来源")
    assert stage(world, campaign.id) is Stage.RETURNED
    campaign_desk.amend(world.house, world.organiser, campaign.id, change(campaign_in))
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.take_back(world.house, world.organiser, campaign.id)
    assert stage(world, campaign.id) is Stage.DRAFT
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.approve(world.house, second, campaign.id, 1)
    assert stage(world, campaign.id) is Stage.APPROVED
    assert told(world, campaign.id) == [
        (NoticeKind.RETURNED, {"version": 1}),
        (NoticeKind.APPROVED, {"version": 1}),
    ]
    for moment, expected in (
        (start - timedelta(days=7), Stage.ANNOUNCED),
        (start, Stage.OPEN),
        (start + timedelta(hours=2), Stage.CLOSED),
    ):
        time.move_to(moment - timedelta(seconds=1))
        assert stage(world, campaign.id) is not expected
        time.move_to(moment)
        assert stage(world, campaign.id) is expected
        assert campaign_of(world, code) == (campaign.id if expected is Stage.OPEN else None)


def test_nobody_approves_what_they_submitted_and_nobody_decides_twice(world: World) -> None:
    both = world.colleague(Role.ORGANISER, Role.OFFICER)
    campaign = campaign_desk.draft(world.house, both, asked(world, world.site("own_cup")))
    with pytest.raises(CampaignMovedOn):
        campaign_desk.approve(world.house, world.officer, campaign.id, 1)  # not submitted yet
    campaign_desk.submit(world.house, both, campaign.id)
    changed = change(asked(world, world.site("own_cup")))
    for refused, deed in (
        (ApproverIsSubmitter, lambda: campaign_desk.approve(world.house, both, campaign.id, 1)),
        (NotAllowed, lambda: campaign_desk.approve(world.house, world.organiser, campaign.id, 1)),
        (CampaignMovedOn, lambda: campaign_desk.approve(world.house, world.officer, campaign.id, 2)),
        (CampaignMovedOn, lambda: campaign_desk.amend(world.house, both, campaign.id, changed)),
        (InvalidField, lambda: campaign_desk.send_back(world.house, world.officer, campaign.id, 1, " ")),
    ):
        before = contents(world.house)
        with pytest.raises(refused):
            deed()
        assert written(before, contents(world.house)) == {}
    campaign_desk.approve(world.house, world.officer, campaign.id, 1)
    with pytest.raises(CampaignMovedOn):
        campaign_desk.send_back(world.house, world.officer, campaign.id, 1, "晚了")


def test_of_many_officers_at_once_one_decides(world: World) -> None:
    campaign = campaign_desk.draft(world.house, world.organiser, asked(world, world.site("own_cup")))
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    officers = [world.colleague(Role.OFFICER) for _ in range(6)]

    def decide(number: int) -> str:
        try:
            if number % 2:
                campaign_desk.approve(world.house, officers[number], campaign.id, 1)
            else:
                campaign_desk.send_back(world.house, officers[number], campaign.id, 1, "再想想")
        except TanpuhuiError as error:
            return error.code
        return "decided"

    found = at_once([lambda number=number: decide(number) for number in range(6)])
    assert sorted(found) == ["campaign_moved_on"] * 5 + ["decided"]
    assert len(told(world, campaign.id)) == 1


def test_rules_are_frozen_on_approval_and_a_change_is_a_new_version(world: World) -> None:
    one, other = world.site("recycle_glass"), world.site("recycle_glass")
    codes_of = [world.code_at(site) for site in (one, other)]
    campaign_in = asked(world, one)
    campaign = world.launch(campaign_in)
    version = campaign_desk.amend(
        world.house, world.organiser, campaign.id, change(campaign_in, site_ids=[str(other.id)])
    )
    assert (version.number, version.state) == (2, VersionState.DRAFT)
    assert stage(world, campaign.id) is Stage.OPEN  # the approved one goes on meanwhile
    assert [campaign_of(world, code) for code in codes_of] == [campaign.id, None]
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    campaign_desk.approve(world.house, world.officer, campaign.id, 2)
    assert [campaign_of(world, code) for code in codes_of] == [None, campaign.id]
    with world.house.db.reading_session() as session:
        versions = campaigns.versions_of(session, campaign.id)
        assert [one.read().words for one in versions] == ["改过了", ""]
    later = change(
        campaign_in, when=by_dates(clock.now() + timedelta(hours=1), clock.now() + timedelta(hours=5))
    )
    with pytest.raises(InvalidField):  # it has begun
        campaign_desk.amend(world.house, world.organiser, campaign.id, later)


def test_a_cancelled_campaign_counts_nothing_from_then_on(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    campaign = launch(world, site)
    second = World(build_house(world.house.settings))
    assert second.scan(world.resident(), code, key="a", quantity="1")["action"]["campaign_id"] == str(
        campaign.id
    )
    time.shift(timedelta(minutes=30))
    campaign_desk.cancel(world.house, world.organiser, campaign.id, "台风")
    cancelled_at = clock.now()
    assert second.scan(world.resident(), code, key="b", quantity="1")["action"]["campaign_id"] is None
    time.shift(timedelta(minutes=30))
    assert campaign_of(world, code) is None
    late = campaign_of(world, code, occurred_at=cancelled_at - timedelta(seconds=1))
    assert late == campaign.id  # what was done before it ended early still belongs to it
    campaign_desk.cancel(world.house, world.organiser, campaign.id, "又一次")
    with world.house.db.reading_session() as session:
        assert session.get_one(Campaign, campaign.id).cancelled_at == cancelled_at
    assert stage(world, campaign.id) is Stage.CANCELLED
    second.house.db.dispose()


# --- what a scan sees ----------------------------------------------------------------------------------------


def test_of_several_open_campaigns_the_one_that_began_last_has_the_scan(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    long = launch(world, site, hours=48)
    time.shift(timedelta(hours=1))
    short = launch(world, site, hours=1)
    start = clock.now() + timedelta(hours=6)
    future = launch(world, site, starts_at=start, ends_at=start + timedelta(hours=1))
    assert campaign_of(world, code) == short.id
    time.shift(timedelta(hours=1))
    assert campaign_of(world, code) == long.id
    time.shift(timedelta(hours=5))
    assert campaign_of(world, code) == future.id


def test_kinds_and_divisions_decide_what_counts(world: World) -> None:
    site = world.site("recycle_glass", "own_cup")
    code = world.code_at(site)
    glass = launch(world, site, kinds=["recycle_glass"], divisions=[STREET])
    assert campaign_of(world, code, kind="recycle_glass") == glass.id
    assert campaign_of(world, code, kind="own_cup") is None
    assert campaign_of(world, code, kind="recycle_glass", community=OTHER_COMMUNITY) is None


def test_whose_account_may_not_join_is_credited_as_ever_and_told_why(world: World) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    launch(world, site, accounts=["person", "class", "family"], title="人人都行", hours=3)
    classes = launch(world, site, accounts=["class"], divisions=[STREET], title="班级赛")
    person = world.resident()
    made = world.scan(person, code, quantity="1")
    assert made["action"]["campaign_id"] != str(classes.id)
    campaign_desk.cancel(world.house, world.organiser, UUID(made["action"]["campaign_id"]), "合并")
    other = world.resident()
    alone = world.scan(other, code, quantity="1")
    assert alone["action"]["campaign_id"] is None
    assert alone["points"]["posted"] == made["points"]["posted"] > 0
    klass = school_class(world)
    assert world.scan(klass, code, quantity="1")["action"]["campaign_id"] == str(classes.id)
    page = browser(world, other).get(f"/me/actions/{alone['action']['id']}")
    assert "只限班级账户" in re.sub(r"</?span[^>]*>", "", page)
    assert "只限班级账户" in browser(world).get(f"/campaigns/{classes.id}")


def test_a_weekly_campaign_is_open_in_its_hours_alone(world: World, time: Any) -> None:
    time.move_to(datetime(2027, 6, 4, tzinfo=UTC))
    site = world.site("recycle_glass")
    code = world.code_at(site)
    weekly = {
        "by": "weekly",
        "first": "2027-06-05",  # a Saturday
        "last": "2027-06-20",
        "weekdays": [6],
        "from_time": "09:00",
        "to_time": "11:00",
    }
    campaign = launch(world, site, when=weekly)
    for day, hour, inside in (
        (5, 9, True),
        (5, 11, False),
        (6, 10, False),
        (12, 10, True),
        (19, 8, False),
        (19, 10, True),
    ):
        time.move_to(datetime(2027, 6, day, hour, tzinfo=clock.SHANGHAI))
        assert campaign_of(world, code) == (campaign.id if inside else None), (day, hour)


# --- the calendar --------------------------------------------------------------------------------------------


def date_it(world: World, key: str, first: date | None, last: date | None, year: int = 2027) -> None:
    """An officer enters, moves or takes back the days of an observance."""
    with world.house.db.reading_session() as session:
        before = observance_changes.latest(session, key, year)
    seen = before.revision if before else 0
    if first and last:
        said = Said(str(first), str(last), "通知", "A")
        observance_changes.enter(world.house, world.officer, key, year, said, seen=seen)
    else:
        observance_changes.take_back(world.house, world.officer, key, year, "通知撤回", seen=seen)


def anchored(**more: Any) -> dict[str, Any]:
    return {"by": "observance", "key": "low_carbon_day", "year": 2027, **more}


def test_a_campaign_waits_for_its_date_and_moves_with_it(world: World, time: Any) -> None:
    site = world.site("recycle_glass")
    code = world.code_at(site)
    when = anchored(from_offset=-2, until="energy_saving_week", until_offset=0)
    campaign = launch(world, site, when=when)
    assert stage(world, campaign.id) is Stage.AWAITING
    date_it(world, "low_carbon_day", date(2027, 7, 7), date(2027, 7, 7))
    assert stage(world, campaign.id) is Stage.AWAITING  # of two days one is known
    date_it(world, "energy_saving_week", date(2027, 7, 5), date(2027, 7, 11))
    with world.house.db.reading_session() as session:
        found = session.get_one(Campaign, campaign.id)
        assert found.starts_at == datetime(2027, 7, 4, 16, tzinfo=UTC)  # midnight of the 5th in Shanghai
        assert found.ends_at == datetime(2027, 7, 11, 16, tzinfo=UTC)
    date_it(world, "low_carbon_day", date(2027, 7, 8), date(2027, 7, 8))
    date_it(world, "low_carbon_day", None, None)
    assert stage(world, campaign.id) is Stage.AWAITING
    date_it(world, "low_carbon_day", date(2027, 7, 7), date(2027, 7, 7))
    time.move_to(datetime(2027, 7, 6, 4, tzinfo=UTC))
    assert campaign_of(world, code) == campaign.id
    date_it(world, "low_carbon_day", date(2027, 7, 9), date(2027, 7, 9))  # too late: it has begun
    assert campaign_of(world, code) == campaign.id
    assert told(world, campaign.id)[1:] == [
        (NoticeKind.MOVED, {"first": "2027-07-05", "last": "2027-07-11"}),
        (NoticeKind.MOVED, {"first": "2027-07-06", "last": "2027-07-11", "was": "2027-07-05"}),
        (NoticeKind.AWAITING, {"was": "2027-07-06"}),
        (NoticeKind.MOVED, {"first": "2027-07-05", "last": "2027-07-11"}),
        (NoticeKind.NOT_MOVED, {}),
    ]


def test_days_that_leave_no_window_are_told_and_never_guessed(world: World) -> None:
    site = world.site("recycle_glass")
    campaign = launch(world, site, when=anchored(until="energy_saving_week"))
    other = launch(world, site, when=anchored(from_offset=1, until_offset=1))
    date_it(world, "energy_saving_week", date(2027, 7, 1), date(2027, 7, 3))
    date_it(world, "low_carbon_day", date(2027, 7, 7), date(2027, 7, 7))
    assert stage(world, campaign.id) is Stage.AWAITING
    assert told(world, campaign.id)[-1] == (NoticeKind.NO_DAYS, {})
    assert stage(world, other.id) is Stage.ANNOUNCED
    date_it(world, "low_carbon_day", date(2027, 5, 7), date(2027, 5, 7))  # past when it is entered
    assert stage(world, other.id) is Stage.AWAITING
    assert told(world, other.id)[-1] == (NoticeKind.NO_DAYS, {})
    with pytest.raises(InvalidField):
        launch(world, site, when=anchored(key="environment_day", until="arbor_day"))
    with pytest.raises(InvalidField):
        launch(world, site, when=anchored(key="nobody_knows"))


@pytest.mark.parametrize(
    ("year", "first", "last"),
    [
        (2019, date(2019, 6, 19), date(2019, 6, 19)),
        (2020, date(2020, 7, 2), date(2020, 7, 2)),  # the fourth day of the week
        (2021, date(2021, 8, 25), date(2021, 8, 25)),
        (2022, date(2022, 6, 15), date(2022, 6, 15)),
        (2023, date(2023, 7, 12), date(2023, 7, 12)),
        (2024, date(2024, 5, 15), date(2024, 5, 15)),
        (2025, date(2025, 6, 25), date(2025, 6, 25)),
        (2027, None, None),
    ],
)
def test_each_year_has_the_announced_day_or_none(
    world: World, time: Any, year: int, first: date | None, last: date | None
) -> None:
    time.move_to(datetime(year, 1, 5, tzinfo=UTC))
    campaign = launch(world, world.site("recycle_glass"), when=anchored(year=year))
    if first is None or last is None:
        assert stage(world, campaign.id) is Stage.AWAITING
    else:
        assert (campaign.starts_at, campaign.ends_at) == (
            clock.day_bounds(first)[0],
            clock.day_bounds(last)[1],
        )


# --- scopes, shapes, the database ----------------------------------------------------------------------------


def test_a_campaign_takes_sites_of_ones_own_scope(world: World) -> None:
    here, there = world.site("own_cup"), world.site("own_cup", community=OTHER_COMMUNITY)
    street = world.colleague(Role.ORGANISER, division=STREET)
    nowhere = asked(world, here, division_code=STREET)
    nowhere = nowhere.model_copy(
        update={"rules": nowhere.rules.model_copy(update={"site_ids": [ids.new_id()]})}
    )
    before = contents(world.house)
    for refused, campaign_in in (
        (NotAllowed, asked(world, here, there, division_code=STREET)),
        (NotFound, nowhere),
        (NotAllowed, asked(world, here)),
        (InvalidField, asked(world, here, division_code=STREET, kinds=["recycle_glass"])),
        (InvalidField, asked(world, here, division_code=STREET, kinds=["nothing"])),
        (InvalidField, asked(world, here, division_code=STREET, divisions=["310106999"])),
        (
            InvalidField,
            asked(world, here, division_code=STREET, starts_at=NOW - timedelta(days=2), ends_at=NOW, hours=1),
        ),
    ):
        with pytest.raises(refused):
            campaign_desk.draft(world.house, street, campaign_in)
    assert written(before, contents(world.house)) == {}
    mine = campaign_desk.draft(world.house, street, asked(world, here, here, division_code=STREET))
    wide = launch(world, here, there)
    with world.house.db.reading_session() as session:
        assert [found.id for found in campaigns.list_campaigns(session, street)] == [mine.id]
        assert {found.id for found in campaigns.list_campaigns(session, world.organiser)} == {
            mine.id,
            wide.id,
        }
        assert {found.id for found in campaigns.sites_of(session, wide.id)} == {here.id, there.id}
        assert campaigns.list_campaigns(session, world.colleague(Role.HELPER)) == []
        assert unseen(session, street) == []
        notice = session.exec(select(CampaignNotice).where(CampaignNotice.campaign_id == wide.id)).one()
    for deed in (
        lambda: campaign_desk.cancel(world.house, street, wide.id, "不归我管"),
        lambda: campaign_desk.amend(world.house, street, wide.id, change(asked(world, here))),
        lambda: campaign_desk.submit(world.house, street, wide.id),
        lambda: mark_seen(world.house, street, notice.id),
    ):
        with pytest.raises(NotAllowed):
            deed()
    with pytest.raises(NotFound):
        campaign_desk.cancel(world.house, street, ids.new_id(), "没有")
    mark_seen(world.house, world.organiser, notice.id)
    with world.house.db.reading_session() as session:
        assert unseen(session, world.organiser) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "x"},
        {"title": "题" * 61},
        {"site_ids": []},
        {"budget": 5},
        {"when": {"by": "dates", "starts_at": "2027-06-05T10:00:00", "ends_at": "2027-06-06T10:00:00+08:00"}},
        {"when": {"by": "dates", "starts_at": 1_780_000_000, "ends_at": "2027-06-06T10:00:00+08:00"}},
        {"when": by_dates(NOW, NOW)},
        {"when": {"by": "moon"}},
        {"when": anchored(from_offset=-61)},
        {"goals": {}},
        {"goals": {"kg": 0}},
        {"bonus": {"by": "percent", "amount": 50, "cap": 10, "budget": 0}},
        {"bonus": {"by": "percent", "amount": True, "cap": 10, "budget": 10}},
    ],
)
def test_a_campaign_out_of_shape_is_refused(changed: dict[str, Any]) -> None:
    rules = {"when": by_dates(NOW, NOW + timedelta(hours=1)), "site_ids": [str(ids.new_id())]}
    named = {"title": "六五环境日", "division_code": DISTRICT}
    assert CampaignIn.model_validate({**named, "rules": rules}).rules.goals is None
    other = {name: value for name, value in changed.items() if name != "title"}
    with pytest.raises(ValidationError):
        CampaignIn.model_validate(
            {**named, "title": changed.get("title", "六五环境日"), "rules": {**rules, **other}}
        )


def test_the_database_itself_guards_campaigns(world: World) -> None:
    site = world.site("own_cup")
    campaign = launch(world, site)
    waiting = campaign_desk.draft(world.house, world.organiser, asked(world, site))
    campaign_desk.submit(world.house, world.organiser, waiting.id)
    link, version = (SQLModel.metadata.tables[name] for name in ("campaign_site", "campaign_version"))
    approved = version.c.campaign_id == campaign.id
    for what in (
        sa.text("UPDATE campaign SET ends_at = starts_at"),
        sa.text("UPDATE campaign SET division_code = 'x'"),
        sa.text("UPDATE campaign SET archived_at = ends_at"),
        sa.text("UPDATE campaign SET version = 1"),  # also of the one that only waits
        sa.text("UPDATE campaign SET version = 7"),
        sa.insert(link).values(campaign_id=campaign.id, site_id=site.id),
        sa.insert(link).values(campaign_id=campaign.id, site_id=ids.new_id()),
        sa.update(version).where(approved).values(rules={}),
        sa.update(version).where(approved).values(state="draft"),
        sa.update(version).where(~approved).values(rules={}),
        sa.update(version).where(~approved).values(title="偷偷改"),
        sa.update(version)
        .where(~approved)
        .values(state="approved", decided_at=NOW, decided_by=world.organiser.id),
        sa.delete(version),
    ):
        with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
            connection.execute(what)
    assert site.division_code == COMMUNITY


def test_without_the_lock_two_decisions_meet_the_guard(world: World) -> None:
    """The negative control: what reads a version, and writes it later, finds that it was decided meanwhile."""
    campaign = campaign_desk.draft(world.house, world.organiser, asked(world, world.site("own_cup")))
    campaign_desk.submit(world.house, world.organiser, campaign.id)
    with world.house.db.reading_session() as session:
        stale = session.get_one(CampaignVersion, (campaign.id, 1)).model_copy()
    campaign_desk.approve(world.house, world.officer, campaign.id, 1)
    row = SQLModel.metadata.tables["campaign_version"]
    late = {"state": "returned", "reason": "晚了", "decided_at": NOW, "decided_by": world.officer.id}
    with pytest.raises(sa.exc.IntegrityError), world.house.db.transaction() as connection:
        connection.execute(
            sa.update(row)
            .where(row.c.campaign_id == campaign.id, row.c.number == stale.number)
            .values(**late)
        )
    assert stale.state is VersionState.SUBMITTED  # what the late one had read
