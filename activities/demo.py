"""A believable month for trying things out: `tanpuhui demo`.

Everything goes through the real code paths, under a clock that is moved through the days: people join, sites
are registered, codes are scanned at the hours at which people eat, travel and sort, some records are voided, some people
write in and are answered. The first residents planted trees a year before, and today some of them count what is alive.
Names of places are made up; divisions, factors and limits are the loaded ones.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlmodel import Session, col, func, select

from activities import (
    campaign_desk,
    codes,
    drafts,
    evidence_packs,
    helping,
    members,
    plantings,
    review,
    scans,
    self_reports,
    signals,
    sites,
    spot_checks,
    spot_judging,
    teams,
    voiding,
)
from activities.actions import Action, ActionVoid
from activities.campaign_demo import run_campaigns
from activities.campaign_rules import Rules, by_dates
from activities.campaign_templates import shipped
from activities.campaigns import Campaign, rules_of
from activities.check_ins import check_in
from activities.codes import CodeKind
from activities.gathering_changes import change, count_walk_ins
from activities.gatherings import GatheringIn, GatheringKind, create_gathering
from activities.recovery_demo import recover
from activities.site_reports import WORDS_A_DAY, SiteCondition, report
from activities.sites import SiteKind
from activities.taking_part import sign_up
from tanpuhui import clock, divisions, families, feedback, ids, people, reference, schema, staff
from tanpuhui.bureau import answers
from tanpuhui.bureau.rollups import sums
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import Refused
from tanpuhui.periods import CalendarPeriod
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal, new_api_token
from tanpuhui.staff import Role

SEED = 310106


@dataclass(frozen=True)
class _Habit:
    """A kind of action: how often (per resident and day), at which hours, and how much of it."""

    kind: str
    chance: float
    hours: tuple[int, ...]
    quantities: tuple[str, ...] = ()


_HABITS = (
    _Habit("clean_plate", 0.22, (7, 12, 12, 12, 18, 18)),
    _Habit("own_cup", 0.08, (9, 14, 15)),
    _Habit("metro_trip", 0.12, (7, 8, 8, 18, 18, 19), ("4.5", "7", "11.2", "16")),
    _Habit("bus_trip", 0.07, (7, 8, 17, 18), ("2.5", "4", "6")),
    _Habit("bike_trip", 0.08, (8, 9, 17, 18, 20), ("0.9", "1.6", "2.4")),
    _Habit("recycle_paper", 0.03, (9, 10, 19), ("0.8", "1.5", "3.2", "6")),
    _Habit("recycle_glass", 0.015, (10, 19), ("0.4", "1.1", "2.6")),
    _Habit("recycle_plastic_pet", 0.02, (9, 19), ("0.2", "0.4", "0.75")),
    _Habit("clothing_reuse", 0.012, (10, 15, 16), ("1.2", "2.5", "4.8")),
    _Habit("parcel_box_return", 0.03, (18, 19, 20), ("1", "2", "3")),
)

_PLACES = (
    ("社区食堂", SiteKind.CANTEEN, ("clean_plate", "own_cup")),
    ("两网融合回收点", SiteKind.RECYCLING_POINT, ("recycle_paper", "recycle_glass", "recycle_plastic_pet")),
    ("旧衣回收箱", SiteKind.CLOTHES_BIN, ("clothing_reuse",)),
    ("绿色出行打卡点", SiteKind.TRANSIT_STOP, ("metro_trip", "bus_trip", "bike_trip")),
    ("快递驿站", SiteKind.PARCEL_STATION, ("parcel_box_return",)),
)


#: What people write in, and what they are answered.
_LETTERS = (
    (
        "question",
        "旧衣回收箱周末开放吗？",
        "周末照常开放，早上七点到晚上八点。箱子满了请打箱体上的电话，当天会清运。",
    ),
    (
        "complaint",
        "食堂窗口的海报被水泡花了，扫了好几次都扫不出来。",
        "谢谢您告诉我们。海报已经换新并加了塑封，今天起可以正常扫码。",
    ),
    (
        "suggestion",
        "希望在菜场门口也设一个玻璃瓶回收点，老人拎着玻璃走不远。",
        "这个建议很好，已列入下季度的选点，选定后会公布。",
    ),
    (
        "complaint",
        "快递驿站的纸箱回收处经常堆满，走到了又拎回来。",
        "已请驿站增加一次清运，也在现场加了提示。",
    ),
    ("complaint", "昨天带了自己的杯子，工作人员说没有码，没记上。", ""),
    ("suggestion", "字可以再大一点，我母亲看着吃力。", ""),
)
_SOLVED, _NOT_SOLVED = 1, 3

#: So many residents joined a year before the month, for a planting day.
_PLANTERS = 8


@dataclass
class _District:
    """What the demo has made so far."""

    house: House
    random: random.Random
    organiser: Principal
    officer: Principal
    residents: list[UUID] = field(default_factory=list)
    places: list[tuple[sites.Site, str, tuple[str, ...]]] = field(default_factory=list)
    plot: sites.Site | None = None
    slips: codes.Code | None = None
    recorded: list[UUID] = field(default_factory=list)
    refused: int = 0


@click.command("demo")
@click.option("--residents", type=click.IntRange(1, 1_000_000), default=200, show_default=True)
@click.option("--days", type=click.IntRange(1, 730), default=30, show_default=True)
@click.option(
    "--tokens",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write API tokens of everybody and the codes of all sites to this JSON file.",
)
def demo_command(residents: int, days: int, tokens: Path | None) -> None:
    """Fill the district with believable data through the real code paths."""
    house: House = click.get_current_context().obj
    if house.settings.production:
        raise click.ClickException("demo data has no place in production")
    schema.migrate(house)
    with house.db.reading() as connection:
        is_new = reference.current_version(connection) == 0
    if is_new:
        reference.load_reference(house)
    start = datetime.combine(clock.today() - timedelta(days=days), time(6), clock.SHANGHAI)
    district = _found(house, residents, start, days)
    _dine_last_month(district)
    for day in range(days):
        _live(district, start + timedelta(days=day))
        with clock.pretending(start + timedelta(days=day, hours=17)):
            house.relay.drain()
        click.echo(f"\rday {day + 1} of {days}: {len(district.recorded)} actions", nl=False, err=True)
    click.echo("", err=True)
    _live_as_a_family(district, start, days)
    _team_up(district, start + timedelta(days=days - 1))
    house.relay.drain()
    run_campaigns(house, district.organiser, district.residents)
    _void_some(district)
    _flag_codes(district)
    _write_in(district, start)
    _use_slips(district)
    _report_themselves(district)
    _hand_out_cards(district)
    _check_trees(district)
    _report_sites(district)
    _check_on_the_spot(district)
    recover(house, district.organiser, district.random, start, days)
    for room in house.rooms:
        room.demo(house)
    _gather(district, start)
    house.relay.drain()
    _show_evidence(district)
    if tokens:
        _write_tokens(district, tokens)
    everything = [
        staff.grant(role, division_code=house.settings.district_code)
        for role in (Role.ADMIN, Role.OFFICER, Role.ORGANISER)
    ]
    link = staff.invite(house, everything)
    click.echo(
        f"{len(district.residents)} residents, {len(district.places)} sites, {len(district.recorded)} actions, "
        f"{district.refused} refused by the limits.\n"
        f"To look at it as staff, start `tanpuhui serve` and open "
        f"{house.settings.public_url}/staff/first/{link} (once)"
    )


def _found(house: House, residents: int, start: datetime, days: int) -> _District:
    """Staff, sites with codes, campaigns and residents; the first of them a year before, who planted trees."""
    year_before = start - timedelta(days=366)
    with clock.pretending(year_before), house.db.session() as session:
        known = session.exec(select(func.count()).select_from(people.Resident)).one()
        chance = random.Random(SEED + known)  # noqa: S311 - made-up data, the same again on an empty database
        organiser = _member(session, house, Role.ORGANISER)
        officer = _member(session, house, Role.OFFICER)
        communities = list(
            session.exec(
                select(Division).where(Division.level == DivisionLevel.COMMUNITY).order_by(Division.code)
            )
        )
        session.expunge_all()
    district = _District(house, chance, organiser, officer)
    chosen = chance.sample(communities, min(len(communities), 12))
    with clock.pretending(start):
        for number, community in enumerate(chosen * 2):
            _open_site(district, community, *_PLACES[number % len(_PLACES)])
        _launch(district, days)
        _plan(district)
        _issue_other_codes(district)
        _open_self_reports(district)
    popular = chosen * 4 + communities
    for number in range(residents):
        with clock.pretending(year_before if number < _PLANTERS else start):
            joined = people.join(
                house,
                phone=f"+86139{chance.randrange(10**8):08d}",
                division_code=chance.choice(popular).code,
                consent_version=people.CONSENT_VERSION,
            )
        district.residents.append(joined.id)
    with clock.pretending(year_before):
        _plant_trees(district, chosen[0])
    return district


def _member(session: Session, house: House, role: Role) -> Principal:
    name = f"示范{staff.ROLE_NAMES[role]} {os.urandom(3).hex()}"
    grants = [staff.grant(role, division_code=house.settings.district_code)]
    member = staff.add_staff(session, name=name, password=os.urandom(16).hex(), grants=grants)
    return Principal("staff", member.id, member.id)


def _open_site(
    district: _District, community: Division, what: str, kind: SiteKind, kinds: tuple[str, ...]
) -> None:
    name = community.name.removesuffix("居委会").removesuffix("村委会") + what
    site_in = sites.SiteIn(
        name=name, kind=kind, division_code=community.code, hours="07:00–20:00", kinds=list(kinds)
    )
    site = sites.create_site(district.house, district.organiser, site_in)
    code = codes.issue_code(district.house, district.organiser, site.id)
    district.places.append((site, codes.token_of(district.house.settings, code.id), kinds))


def _issue_other_codes(district: _District) -> None:
    """At one recycling point everything there is: a rotating code, a batch of slips, a scale."""
    site = next(site for site, _token, _kinds in district.places if site.kind == SiteKind.RECYCLING_POINT)

    def issue(kind: CodeKind, **what: Any) -> codes.Code:
        return codes.issue_code(district.house, district.organiser, site.id, kind=kind, **what)

    issue(CodeKind.ROTATING)
    issue(CodeKind.MEASURED, action_kind="recycle_paper")
    district.slips = issue(CodeKind.SLIPS, copies=48, action_kind="recycle_glass", quantity_milli=500)


def _use_slips(district: _District) -> None:
    """Some of the residents got a slip for their glass."""
    assert district.slips is not None
    for serial, resident_id in enumerate(dict.fromkeys(district.residents[-7:]), start=1):
        token = codes.slip_token(district.house.settings, district.slips.id, serial)
        _record(district, resident_id, token)


def _open_self_reports(district: _District) -> None:
    """What residents may report without a code."""
    kinds = ("walk", "own_cup", "clean_plate")
    self_reports.set_desk(district.house, district.officer, kinds, is_open=True, reason="试行自报")


def _report_themselves(district: _District) -> None:
    """Every sixth resident walked today or brought a cup, where there is no code."""
    house = district.house
    for number, resident_id in enumerate(dict.fromkeys(district.residents[::6])):
        kind, steps = (
            ("own_cup", None) if number % 3 == 2 else ("walk", district.random.randrange(4000, 12000))
        )
        asked = self_reports.read_report(
            house, who=resident_id, key=f"demo-{ids.new_id()}", kind=kind, quantity=steps
        )
        _take(district, asked)


def _plant_trees(district: _District, community: Division) -> None:
    """A planting day: the first residents plant one to three trees each."""
    name = community.name.removesuffix("居委会").removesuffix("村委会") + "植树点"
    site_in = sites.SiteIn(
        name=name, kind=SiteKind.PLANTING_PLOT, division_code=community.code, kinds=["tree_planting"]
    )
    district.plot = sites.create_site(district.house, district.organiser, site_in)
    token = _staffed_code(district)
    for number, resident_id in enumerate(dict.fromkeys(district.residents[:_PLANTERS])):
        key = f"demo-{ids.new_id()}"
        plantings.plant(district.house, resident_id, key=key, code=token, trees=number % 3 + 1)


def _check_trees(district: _District) -> None:
    """Most of those who planted count what is alive; of three trees, one has died."""
    desk, token = district.house.part(scans.Desk), _staffed_code(district)
    for number, resident_id in list(enumerate(dict.fromkeys(district.residents[:_PLANTERS])))[:-2]:
        key, alive = f"demo-{ids.new_id()}", min(number % 3 + 1, 2)
        request = scans.read_request(
            district.house, who=resident_id, key=key, code=token, kind="tree_planting", quantity=alive
        )
        district.recorded.append(UUID(json.loads(desk.record(request).body)["action"]["id"]))


def _hand_out_cards(district: _District) -> None:
    """A batch of member cards: some handed over to residents without a phone, for whom a helper records; one replaced."""
    house = district.house
    site, _token, kinds = min(district.places, key=lambda place: place[0].name)
    habits = [habit for habit in _HABITS if habit.kind in kinds]
    with house.db.session() as session:
        helper = _member(session, house, Role.HELPER)
    numbers = [card.number for card in members.print_cards(house, district.organiser, site.division_code, 20)]
    for number in numbers[:6]:
        members.hand_over(house, helper, number, consented=True)
        habit = district.random.choice(habits)
        answer = helping.record_for(
            house,
            helper,
            site.id,
            key=f"demo-{ids.new_id()}",
            member=members.token_of(house.settings, number),
            kind=habit.kind,
            quantity=district.random.choice(habit.quantities) if habit.quantities else None,
        )
        district.recorded.append(UUID(json.loads(answer.body)["action"]["id"]))
    members.replace_printed(house, helper, numbers[0], numbers[6], "卡片遗失")


def _show_evidence(district: _District) -> None:
    """The evidence pack of this year of the 街镇 of which most people took part: of few nothing is told."""
    from activities.evidence_papers import pack_zip

    year = CalendarPeriod.containing("year", clock.today())
    house = district.house
    with house.db.reading_session() as session:
        streets = [one.code for one in divisions.children(session, house.settings.district_code)]
        found = sums(session.connection(), [year], streets, by=("area",))
    if found:
        most = max(found, key=itemgetter("participants"))
        evidence_packs.make(house, district.officer, most["area"], year.name, draw=pack_zip)


def _gather(district: _District, start: datetime) -> None:
    """A repair day that was yesterday, one that is on right now, a planting that is full, a training with places left."""
    house, now = district.house, clock.now()
    site = next(site for site, _token, _kinds in district.places if site.kind == SiteKind.CLOTHES_BIN)
    afternoon = datetime.combine(clock.today() - timedelta(days=1), time(14), clock.SHANGHAI)
    planned = (
        ("旧衣修补日", GatheringKind.REPAIR_DAY, afternoon, 20, 14, "社区活动室"),
        ("自行车修理角", GatheringKind.REPAIR_DAY, now - timedelta(minutes=20), 30, 9, "小区东门"),
        ("冬季植树", GatheringKind.PLANTING, afternoon + timedelta(days=5), 6, 8, "滨河绿地"),
        ("垃圾分类志愿者培训", GatheringKind.TRAINING, afternoon + timedelta(days=9), 40, 11, "街道会议室"),
    )
    people_here = list(dict.fromkeys(district.residents))
    for title, kind, starts_at, places, wanting, place in planned:
        with clock.pretending(start + timedelta(hours=1)):
            said = GatheringIn(
                title=title,
                kind=kind,
                words="请自带水杯，现场有工具。来不了请提前取消，把名额让给别人。",
                place=place,
                division_code=site.division_code,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=2),
                sign_up_until=starts_at,
                places=places,
            )
            gathering = create_gathering(house, district.organiser, said)
            coming = district.random.sample(people_here, min(wanting, len(people_here)))
            if kind is GatheringKind.PLANTING:
                coming = people_here[:wanting]  # those who planted before plant again
            for resident_id in coming:
                sign_up(house, resident_id, gathering.id)
            if kind is GatheringKind.PLANTING:
                moved = said.model_copy(update={"place": "滨河绿地东侧入口"})
                change(house, district.organiser, gathering.id, moved)
        if starts_at < now:
            with clock.pretending(starts_at + timedelta(minutes=1)):
                for resident_id in coming[: wanting * 2 // 3]:
                    check_in(house, resident_id, gathering.id)
                count_walk_ins(house, district.organiser, gathering.id, 3)


def _staffed_code(district: _District) -> str:
    assert district.plot is not None
    now = clock.now()
    code = codes.issue_code(
        district.house,
        district.organiser,
        district.plot.id,
        valid_from=now,
        valid_until=now + timedelta(hours=8),
    )
    return codes.token_of(district.house.settings, code.id)


def _launch(district: _District, days: int) -> None:
    """A campaign that is over by the end, two that are open then, one of them with teams, and one that is still to come."""
    start, end = clock.now(), clock.now() + timedelta(days=days)
    half = start + (end - start) / 2
    few, some = ({"by": "percent", "amount": 20, "cap": cap, "budget": 30 * cap} for cap in (10, 40))
    later = end + timedelta(days=20)
    for title, kind, starts_at, ends_at, bonus, teams_in in (
        ("光盘行动周", SiteKind.CANTEEN, start, half, few, None),
        ("绿色出行月", SiteKind.TRANSIT_STOP, half, later, some, None),
        (_CONTEST, SiteKind.CANTEEN, half, later, None, {"kind": "building", "names": _TEAMS}),
        (
            "旧衣新生周末",
            SiteKind.CLOTHES_BIN,
            end + timedelta(days=4),
            end + timedelta(days=6),
            None,
            {"kind": "community"},
        ),
    ):
        taking_part = [site.id for site, _token, _kinds in district.places if site.kind == kind]
        if taking_part:
            rules = Rules.model_validate(
                {
                    "when": by_dates(starts_at, ends_at),
                    "site_ids": taking_part,
                    "announce_days": 60,
                    "bonus": bonus,
                    "goals": {"participants": 60},
                    "teams": teams_in,
                }
            )
            campaign_in = campaign_desk.CampaignIn(
                title=title, division_code=district.house.settings.district_code, rules=rules
            )
            campaign = campaign_desk.draft(district.house, district.organiser, campaign_in)
            campaign_desk.submit(district.house, district.organiser, campaign.id)
            campaign_desk.approve(district.house, district.officer, campaign.id, 1)


#: The campaign with teams, and these.
_CONTEST = "楼宇光盘赛"
_TEAMS = ["一号楼", "二号楼", "临街商户"]


def _team_up(district: _District, last_day: datetime) -> None:
    """Most residents joined a team of the contest, few the last one, and ate together; some chose to be on its board."""
    house, agreed = district.house, people.PRESENT[people.Document.BOARDS]
    with house.db.reading_session() as session:
        contest = session.exec(
            select(Campaign.id).where(Campaign.title == _CONTEST).order_by(col(Campaign.created_at).desc())
        ).first()
    if contest is None:
        return
    token = next(token for site, token, _kinds in district.places if site.kind == SiteKind.CANTEEN)
    for number, resident_id in enumerate(dict.fromkeys(district.residents)):
        if number < 24:
            with clock.pretending(last_day + timedelta(hours=6)):
                _record(district, resident_id, token, kind="clean_plate")
        if number % 4 != 3:
            teams.join(house, resident_id, contest, _TEAMS[2 if number % 37 == 1 else number % 2])
        if number % 4 == 1:
            people.rename(house, resident_id, _NICKNAMES[number // 4 % len(_NICKNAMES)])
            teams.list_me(house, resident_id, contest, version=agreed)


_NICKNAMES = ("小满", "爱骑车的老周", "苏河晨跑", "绿豆汤", "阿拉环保", "一只喜鹊", "Lulu", "晒太阳的猫")


def _plan(district: _District) -> None:
    """For next year: a campaign that waits for approval, and one that waits for its day, with a change being written."""
    waiting = _draft_from(district, "environment-day")
    campaign_desk.submit(district.house, district.organiser, waiting.id)
    awaiting = _draft_from(district, "low-carbon-day")
    campaign_desk.submit(district.house, district.organiser, awaiting.id)
    awaiting = campaign_desk.approve(district.house, district.officer, awaiting.id, 1)
    with district.house.db.reading_session() as session:
        rules = rules_of(session, awaiting)
    assert rules is not None
    change = campaign_desk.ChangeIn(
        title=awaiting.title, rules=rules.model_copy(update={"announce_days": 14})
    )
    campaign_desk.amend(district.house, district.organiser, awaiting.id, change)


def _draft_from(district: _District, code: str) -> Campaign:
    """A draft for the whole district, as a template proposes it, around its observance of next year."""
    template = shipped()[code].template
    when = template.when.model_dump() | {"year": clock.today().year + 1}
    site_ids = [str(site.id) for site, _token, _kinds in district.places]
    rules = {"words": template.words.zh, "when": when, "site_ids": site_ids}
    campaign_in = campaign_desk.CampaignIn(
        title=template.title.zh,
        division_code=district.house.settings.district_code,
        template=code,
        rules=Rules.model_validate(rules),
    )
    return campaign_desk.draft(district.house, district.organiser, campaign_in)


def _report_sites(district: _District) -> None:
    """Residents say how they found a site today: most of them well, some full or shut, one seen to by staff."""
    now = clock.now()
    for number, (site, _token, _kinds) in enumerate(district.places[: WORDS_A_DAY // 2]):
        for minutes, said in ((150, SiteCondition.OPEN), (20, _SAID[number % len(_SAID)])):
            resident_id = district.random.choice(district.residents)
            with clock.pretending(now - timedelta(minutes=minutes + 7 * number % 60)):
                if said is not None:
                    report(district.house, Principal("resident", resident_id, resident_id), site.id, said)
    report(district.house, district.organiser, district.places[1][0].id, SiteCondition.OPEN)


#: What is said last, site by site; None: nobody speaks of it.
_SAID = (
    SiteCondition.OPEN,
    SiteCondition.FULL,
    None,
    SiteCondition.OPEN,
    SiteCondition.CLOSED,
    None,
    SiteCondition.OPEN,
)


def _live(district: _District, morning: datetime) -> None:
    """One day: everybody's deeds, in the order of the clock."""
    for moment, resident_id, habit in sorted(_deeds(district, morning), key=lambda deed: deed[0]):
        place = [token for _site, token, kinds in district.places if habit.kind in kinds]
        quantity = district.random.choice(habit.quantities) if habit.quantities else None
        with clock.pretending(moment):
            _record(
                district,
                resident_id,
                district.random.choice(place),
                kind=habit.kind,
                quantity=Decimal(quantity) if quantity else None,
            )


def _record(district: _District, resident_id: UUID, code: str, **what: Any) -> None:
    """A scan as the pages make it; the limits may refuse it."""
    request = scans.read_request(
        district.house, who=resident_id, key=f"demo-{ids.new_id()}", code=code, **what
    )
    _take(district, request)


def _take(district: _District, request: drafts.ScanRequest) -> None:
    try:
        answer = json.loads(district.house.part(scans.Desk).record(request).body)
    except Refused:
        district.refused += 1
    else:
        district.recorded.append(UUID(answer["action"]["id"]))


def _deeds(district: _District, morning: datetime) -> Iterator[tuple[datetime, UUID, _Habit]]:
    weekend = morning.weekday() >= 5
    for number, resident_id in enumerate(district.residents):
        eager = 0.25 + 2.2 * ((number * 7919) % 100 / 100) ** 2  # few are very active, many a little
        for habit in _HABITS:
            travel = habit.kind.endswith("_trip")
            likely = habit.chance * eager * (0.4 if weekend and travel else 1.0)
            if district.random.random() < likely:
                hour = district.random.choice(habit.hours)
                seconds = district.random.randrange(3600)
                yield morning.replace(hour=hour) + timedelta(seconds=seconds), resident_id, habit


def _live_as_a_family(district: _District, start: datetime, days: int) -> None:
    """Two of the residents share a family account, and in the evening record for it what they did together."""
    house, (first, *second) = district.house, list(dict.fromkeys(district.residents[-2:]))
    agreed: dict[str, Any] = {"adult": True, "version": people.PRESENT[people.Document.FAMILY]}
    with clock.pretending(start):
        family = families.make(house, first, label="三楼那家", **agreed)
        for guardian in second:
            families.join(house, guardian, families.invite(house, first), **agreed)
    _site, token, _kinds = district.places[0]
    for day in range(min(days, 10)):
        with clock.pretending(start + timedelta(days=day, hours=13)):
            _record(district, family, token, kind="clean_plate")


def _last_month(district: _District) -> date:
    """The first day of the last month whose records can be drawn."""
    return spot_checks.months_over(district.house.settings, clock.now())[0]


def _dine_last_month(district: _District) -> None:
    """A canteen had guests in the last month that is over."""
    noon = datetime.combine(_last_month(district) + timedelta(days=14), time(12), clock.SHANGHAI)
    with district.house.db.reading_session() as session:
        community = session.get_one(Division, district.places[0][0].division_code)
        session.expunge_all()
    with clock.pretending(noon):
        _open_site(district, community, "邻里食堂", SiteKind.CANTEEN, ("clean_plate",))
        _site, token, _kinds = district.places.pop()
        for resident_id in dict.fromkeys(district.residents[:_PLANTERS]):
            _record(district, resident_id, token, kind="clean_plate")


def _check_on_the_spot(district: _District) -> None:
    """Some of the records of the last month were drawn, and most looked into."""
    house = district.house
    month = _last_month(district)
    spot_judging.draw_month(house, district.officer, month)
    with house.db.reading_session() as session:
        checks = [sample.check for sample in spot_judging.samples_of(session, month)]
        items = spot_judging.one_sample(session, house, district.officer, checks[0].id)[2]
    for looked, (outcome, words) in zip(items, _FOUND, strict=False):
        found = looked.item
        spot_judging.judge(house, district.officer, found.spot_check_id, found.action_id, outcome, words)


#: What is found of the first records that are drawn; the others wait.
_FOUND = (
    (spot_checks.Outcome.RIGHT, ""),
    (spot_checks.Outcome.RIGHT, ""),
    (spot_checks.Outcome.DID_NOT_HAPPEN, "当天食堂没有开门"),
    (spot_checks.Outcome.CANNOT_TELL, "当天没有值班记录"),
)


def _void_some(district: _District) -> None:
    for action_id in district.random.sample(district.recorded, len(district.recorded) // 200):
        review.void_action(district.house, district.organiser, action_id, "抽查发现重复登记")


def _flag_codes(district: _District) -> None:
    """Two codes were seen online: of one a record was voided for it, the other one waits for staff to look."""
    house = district.house
    with house.db.reading_session() as session:
        voided = select(ActionVoid.action_id)
        action = session.exec(
            select(Action).where(col(Action.id).not_in(voided)).order_by(col(Action.recorded_at))
        ).first()
        other = session.exec(select(codes.Code.id).where(codes.Code.kind == CodeKind.ROTATING)).first()
    if action is None or other is None:
        return
    signals.tell_posted(house, district.organiser, action.code_id)
    voiding.order(
        house,
        district.organiser,
        action.code_id,
        since=action.recorded_at,
        reason="点位码被发到了网上",
        only=[action.id],
    )
    signals.tell_posted(house, district.organiser, other)


def _write_in(district: _District, start: datetime) -> None:
    """The first residents complain, suggest and ask: some are answered, one says that it is solved, one that it is not."""
    house, writers = district.house, list(dict.fromkeys(district.residents))
    for number, (kind, text, reply) in enumerate(_LETTERS):
        writer = writers[number % len(writers)]
        about = feedback.About("site", district.places[number][0].id) if number % 2 else None
        with clock.pretending(start + timedelta(hours=3 + number)):
            answer = feedback.write_in(
                house, writer, key=f"demo-{ids.new_id()}", kind=kind, text=text, about=about
            )
            made = UUID(json.loads(answer.body)["feedback"]["id"])
        if reply:
            with clock.pretending(min(start + timedelta(hours=27 + number), clock.now())):
                with house.db.reading_session() as session:
                    seen = feedback.entries(session, made)[-1].id
                answers.answer(house, district.officer, made, text=reply, seen=seen)
        if number == _SOLVED:
            feedback.close(house, writer, made)
        elif number == _NOT_SOLVED:
            feedback.say(house, writer, made, "今天又去看了，还是老样子，请再跟进一下。")


def _write_tokens(district: _District, file: Path) -> None:
    house = district.house

    def member(principal: Principal, role: Role) -> dict[str, str]:
        token = new_api_token(house, kind="staff", subject_id=principal.id, role=role)
        return {"id": str(principal.id), "token": token}

    content: dict[str, Any] = {
        "base_url": house.settings.public_url,
        "organiser": member(district.organiser, Role.ORGANISER),
        "officer": member(district.officer, Role.OFFICER),
        "sites": [
            {"id": str(site.id), "name": site.name, "kinds": kinds, "code": token}
            for site, token, kinds in district.places
        ],
        "residents": [
            {"id": str(resident), "token": new_api_token(house, kind="resident", subject_id=resident)}
            for resident in district.residents
        ],
    }
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(content, out, ensure_ascii=False, indent=1)
