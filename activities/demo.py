"""A believable month for trying things out: `tanpuhui demo`.

Everything goes through the real code paths, under a clock that is moved through the days: people join, sites
are registered, codes are scanned at the hours at which people eat, travel and sort, some records are voided.
Names of places are made up; divisions, factors and limits are the loaded ones.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from sqlmodel import Session, func, select

from activities import codes, review, scans, sites
from activities.campaigns import CampaignIn, create_campaign
from activities.sites import SiteKind
from tanpuhui import clock, ids, people, reference, schema, staff
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import Refused
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


@dataclass
class _District:
    """What the demo has made so far."""

    house: House
    random: random.Random
    organiser: Principal
    officer: Principal
    residents: list[UUID] = field(default_factory=list)
    places: list[tuple[sites.Site, str, tuple[str, ...]]] = field(default_factory=list)
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
    with clock.pretending(start):
        district = _found(house, residents)
    for day in range(days):
        _live(district, start + timedelta(days=day))
        click.echo(f"\rday {day + 1} of {days}: {len(district.recorded)} actions", nl=False, err=True)
    click.echo("", err=True)
    _void_some(district)
    house.relay.drain()
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


def _found(house: House, residents: int) -> _District:
    """Staff, sites with codes, a campaign and residents."""
    with house.db.session() as session:
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
    for number, community in enumerate(chosen * 2):
        _open_site(district, community, *_PLACES[number % len(_PLACES)])
    _launch(district)
    popular = chosen * 4 + communities
    for _ in range(residents):
        phone = f"+86139{chance.randrange(10**8):08d}"
        joined = people.join(
            house,
            phone=phone,
            division_code=chance.choice(popular).code,
            consent_version=people.CONSENT_VERSION,
        )
        district.residents.append(joined.id)
    return district


def _member(session: Session, house: House, role: Role) -> Principal:
    name = f"demo {role.value} {os.urandom(3).hex()}"
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


def _launch(district: _District) -> None:
    canteens = [site.id for site, _token, _kinds in district.places if site.kind == SiteKind.CANTEEN]
    now = clock.now()
    campaign = CampaignIn(
        title="光盘行动周",
        division_code=district.house.settings.district_code,
        starts_at=now + timedelta(days=7),
        ends_at=now + timedelta(days=14),
        site_ids=canteens,
    )
    create_campaign(district.house, district.organiser, campaign)


def _live(district: _District, morning: datetime) -> None:
    """One day: everybody's deeds, in the order of the clock."""
    desk = district.house.part(scans.Desk)
    for moment, resident_id, habit in sorted(_deeds(district, morning), key=lambda deed: deed[0]):
        place = [token for _site, token, kinds in district.places if habit.kind in kinds]
        quantity = district.random.choice(habit.quantities) if habit.quantities else None
        with clock.pretending(moment):
            request = scans.read_request(
                district.house,
                who=resident_id,
                key=f"demo-{ids.new_id()}",
                code=district.random.choice(place),
                kind=habit.kind,
                quantity=Decimal(quantity) if quantity else None,
            )
            try:
                answer = json.loads(desk.record(request).body)
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


def _void_some(district: _District) -> None:
    for action_id in district.random.sample(district.recorded, len(district.recorded) // 200):
        review.void_action(district.house, district.organiser, action_id, "抽查发现重复登记")


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
