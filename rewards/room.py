"""What the room `rewards` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards import honours, ledger, rules
from rewards.crediting import CREDITING, POINTS_FEED, RELEASING, RETURNING, REVERSING
from rewards.holdings import HOLDINGS
from rewards.honour_letters import LETTERS
from rewards.invariants import INVARIANTS
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from rewards import api, honour_api, honour_desk, honour_pages, pages

    return (
        api.blueprint(house),
        api.public_blueprint(house),
        pages.blueprint,
        honour_pages.blueprint,
        honour_desk.blueprint,
        honour_api.public_blueprint(house),
    )


def _demo(house: House) -> None:
    from rewards.demo import add_honours

    add_honours(house)


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
    ),
    blueprints=_blueprints,
    same_transaction=(CREDITING, RELEASING, RETURNING, REVERSING),
    feeds=(POINTS_FEED,),
    reference=rules.REFERENCE_FILES,
    invariants=tuple(INVARIANTS),
    holdings=HOLDINGS,
    letters=LETTERS,
    demo=_demo,
)
