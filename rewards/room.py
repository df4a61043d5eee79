"""What the room `rewards` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards import bonus, draw_letters, draw_ticks, draws, grants, honours, ledger, pools, rules
from rewards.bonus_invariants import BONUS_INVARIANTS
from rewards.crediting import CREDITING, POINTS_FEED, RELEASING, RETURNING, REVERSING
from rewards.draw_invariants import DRAW_INVARIANTS
from rewards.holdings import HOLDINGS
from rewards.honour_letters import LETTERS
from rewards.invariants import INVARIANTS
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from rewards import api, draw_api, draw_desk, draw_pages, honour_api, honour_desk, honour_pages, pages

    return (
        api.blueprint(house),
        api.public_blueprint(house),
        pages.blueprint,
        honour_pages.blueprint,
        honour_desk.blueprint,
        honour_api.public_blueprint(house),
        draw_pages.blueprint,
        draw_desk.blueprint,
        draw_api.blueprint(house),
        draw_api.public_blueprint(house),
    )


def _demo(house: House) -> None:
    from rewards.demo import add_draws, add_honours

    add_honours(house)
    add_draws(house)


room = Room(
    name="rewards",
    tables=(
        honours.HonourKind,
        honours.Honour,
        honours.HonourEvidence,
        honours.HonourConsent,
        ledger.Account,
        ledger.Transfer,
        rules.PointsRule,
        rules.EvidenceWeight,
        pools.CampaignPool,
        pools.CampaignBonus,
        grants.CampaignGrant,
        draws.Draw,
        draws.DrawEntry,
    ),
    blueprints=_blueprints,
    same_transaction=(CREDITING, RELEASING, RETURNING, REVERSING, pools.CHECKING, pools.FUNDING),
    later=(bonus.GRANTING,),
    feeds=(POINTS_FEED, bonus.BONUS_FEED),
    reference=rules.REFERENCE_FILES,
    jobs=(draw_ticks.JOB,),
    invariants=(*INVARIANTS, *BONUS_INVARIANTS, *DRAW_INVARIANTS),
    holdings=HOLDINGS,
    letters=(bonus.USED_UP, *LETTERS, *draw_letters.LETTERS),
    demo=_demo,
)
