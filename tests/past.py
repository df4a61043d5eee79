"""Records made on days that are over: what can be declared."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from activities.declarations import Declaration
from activities.declaring import confirm, report
from tanpuhui import clock
from tests.world import World

FOOD, ITEMS = "catering_savings", "single_use_avoided"
DAY = clock.today() - timedelta(days=9)
DAYS = DAY, DAY + timedelta(days=2)


def recorded(
    world: World, count: int = 1, kind: str = "clean_plate", day: date = DAY, **more: Any
) -> list[UUID]:
    """Records of `kind` made on `day`, each of another resident."""
    with clock.pretending(datetime.combine(day, time(12), clock.SHANGHAI)):
        code = world.code(kind)
        answers = [world.scan(resident, code, **more) for resident in world.residents(count)]
    return [UUID(answer["action"]["id"]) for answer in answers]


def reported(world: World, count: int = 1) -> Declaration:
    """A declaration of as many fresh clean plates, and of whatever else was open."""
    recorded(world, count)
    return report(world.house, world.officer, FOOD, *DAYS)


def confirmed(world: World, reference: str = "沪环〔2026〕1号", milligrams: int = 100_000) -> Declaration:
    """A declaration that the city has confirmed."""
    made = reported(world)
    return confirm(world.house, world.officer, made.id, city_reference=reference, confirmed_mg=milligrams)
