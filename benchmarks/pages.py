"""`python -m benchmarks.pages`: the server's time for the page and the wall of a campaign of 200,000 participants, and for opening and
closing it; and for the statement of a resident with 5,000 transfers.

A house of its own on a SQLite file and, where its programs are, on PostgreSQL; asked in the process, so that nothing but the
server's own work is measured. Participants are folded into the figures by the code that the relay runs.
"""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
import time_machine

from activities import campaign_life
from activities.events import ActionRecorded
from benchmarks import engines, report
from benchmarks.crowd import numbered_id
from tanpuhui import clock, figures, ids
from tanpuhui.events import Event
from tanpuhui.figures import Contribution, Feed
from tanpuhui.people import Resident
from tanpuhui.rooms import House
from tests.browser import browser
from tests.world import COMMUNITY, World

PARTICIPANTS = 200_000
TRANSFERS = 5_000
LOOKS = 50


def _take_part(house: House, campaign_id: UUID) -> None:
    """Let the figures count every participant, a thousand a batch."""
    day = clock.today()
    for start in range(0, PARTICIPANTS, 1000):
        found = [
            Contribution(
                day=day,
                division_code=COMMUNITY,
                kind="clean_plate",
                evidence="printed_code",
                campaign=str(campaign_id),
                city_credited=False,
                measures={"actions": 1, "co2e_mg": 79_000},
                resident_id=numbered_id(number),
                participations=1,
            )
            for number in range(start, start + 1000)
        ]
        feed = Feed((Event,), lambda _connection, _events, found=found: found)
        with house.db.transaction() as connection:
            fact = campaign_life.CampaignAdvanced(
                subject_id=campaign_id,
                recorded_at=clock.now(),
                step="open",
                due_at=clock.now(),
                late=False,
            )
            figures.fold(connection, [feed], [fact])


def _milliseconds(work: Callable[[], object], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def _transfers(world: World) -> Resident:
    """A resident with so many credited records: like one that was scanned, through the events that a scan publishes."""
    resident = world.resident()
    world.scan(resident, world.code("clean_plate"))
    query = sa.text("SELECT payload FROM event_log WHERE type = 'action.recorded'")
    with world.house.db.reading() as connection:
        like = ActionRecorded.from_payload(connection.scalars(query).one())
    for start in range(1, TRANSFERS, 500):
        more = [
            like.model_copy(
                update={
                    "subject_id": ids.new_id(),
                    "recorded_at": like.recorded_at + timedelta(minutes=number),
                }
            )
            for number in range(start, min(start + 500, TRANSFERS))
        ]
        with world.house.db.transaction() as connection:
            world.house.publish(connection, more)
    return resident


def statement(world: World) -> dict[str, list[float]]:
    """Milliseconds of each look at the newest page of a long statement, at its oldest, and at a past balance."""
    resident = _transfers(world)
    me = browser(world, resident).client
    with world.house.db.reading() as connection:
        first = connection.scalar(
            sa.text("SELECT min(position) FROM event_log WHERE type = 'action.recorded'")
        )
    asked = {
        "statement": "/me/statement",
        "oldest": f"/me/statement?before={first + 60}",
        "past balance": f"/me/statement?on={clock.today()}",
        "points": "/rewards",
    }

    def look(path: str) -> None:
        assert me.get(path).status_code == 200

    for path in asked.values():
        look(path)
    return {name: _milliseconds(lambda path=path: look(path), LOOKS) for name, path in asked.items()}


def measure(world: World) -> dict[str, list[float]]:
    """Milliseconds of each look at the page and at the wall, and of the ticks that open and close the campaign."""
    house = world.house
    site = world.site("clean_plate")
    now = clock.now()
    campaign = world.launch(
        world.campaign_in(site, starts_at=now + timedelta(minutes=1), ends_at=now + timedelta(minutes=2))
    )
    _take_part(house, campaign.id)
    client = world.client()

    def look() -> None:
        answer = client.get(f"/campaigns/{campaign.id}")
        assert answer.status_code == 200
        assert "200,000" in answer.get_data(as_text=True)

    def look_at_the_wall() -> None:
        answer = client.get(f"/campaigns/{campaign.id}/screen")
        assert answer.status_code == 200
        assert "200,000" in answer.get_data(as_text=True)

    def tick(minutes: int) -> float:
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):

            def once() -> None:
                with house.db.transaction() as connection:
                    campaign_life.tick(house, connection, clock.now())

            return _milliseconds(once, 1)[0]

    look()
    look_at_the_wall()
    found = {
        "page": _milliseconds(look, LOOKS),
        "wall": _milliseconds(look_at_the_wall, LOOKS),
        "open": [tick(1)],
        "close": [tick(2)],
    }
    with house.db.reading() as connection:
        taken = connection.scalar(sa.text("SELECT count(*) FROM campaign_step"))
    assert taken >= 3, taken
    return found


def _both(world: World) -> dict[str, list[float]]:
    """All of it in one district."""
    return statement(world) | measure(world)


def _show(engine: str, found: dict[str, list[float]]) -> None:
    page, wall = sorted(found["page"]), sorted(found["wall"])
    for name, taken in found.items():
        if len(taken) > 1 and name not in {"page", "wall"}:
            print(f"{engine}: {name} of {TRANSFERS} transfers {statistics.median(taken):.1f} ms")
    print(
        f"{engine}: page {statistics.median(page):.1f} ms (95 %: {page[int(len(page) * 0.95)]:.1f}), "
        f"wall {statistics.median(wall):.1f} ms (95 %: {wall[int(len(wall) * 0.95)]:.1f}); "
        f"opening {found['open'][0]:.1f} ms, closing {found['close'][0]:.1f} ms"
    )


def main() -> None:
    """Measure, print, keep."""
    outcomes = {}
    for engine in engines.each(None, "pages"):
        with engine.house() as house:
            outcomes[engine.name] = _both(World(house))
        _show(engine.name, outcomes[engine.name])
    report.keep("pages", outcomes)


if __name__ == "__main__":
    main()
