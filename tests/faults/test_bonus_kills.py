"""kill -9 of the relay while it grants bonuses: nothing is half there, and the next relay grants what is due, once."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rewards import bonus, ledger
from rewards.pools import CampaignPool
from tanpuhui.rooms import build_house
from tests.databases import settings_for
from tests.world import World

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def _relay_and_die(url: str, var: Path, step: str) -> None:
    """Bring everything, and be killed as soon as `step` of a batch is done, before it is committed."""
    house, done = build_house(settings_for(url, var)), getattr(bonus, step)

    def dying(*given: Any) -> None:
        done(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(bonus, step, dying)
    house.relay.drain()


def _pool(world: World, campaign_id: Any) -> tuple[int, int]:
    """What was granted, and what the account of the pool holds."""
    with world.house.db.reading_session() as session:
        granted = session.get_one(CampaignPool, campaign_id).granted
        return granted, ledger.in_pool(session.connection(), campaign_id)


def test_a_relay_killed_while_it_grants_leaves_nothing_half_done(world: World, tmp_path: Path) -> None:
    site = world.site("clean_plate")
    campaign = world.campaign(site, bonus={"by": "points", "amount": 5, "cap": 50, "budget": 17})
    code = world.code_at(site)
    for resident in world.residents(4):
        world.scan(resident, code)
    url = world.house.db.url.render_as_string(hide_password=False)
    for step in ("_pay", "_announce"):
        relay = multiprocessing.get_context("spawn").Process(
            target=_relay_and_die, args=(url, tmp_path, step), daemon=True
        )
        relay.start()
        relay.join(120)
        assert relay.exitcode == -signal.SIGKILL
        assert _pool(world, campaign.id) == (0, 17)
        assert world.breaches() == []
    world.house.relay.drain()
    world.house.relay.drain()
    assert _pool(world, campaign.id) == (17, 0)
    assert world.breaches() == []
    assert world.figure_differences() == []
