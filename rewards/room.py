"""What the room `rewards` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards import ledger, rules
from rewards.crediting import CREDITING, POINTS_FEED, RELEASING, RETURNING, REVERSING
from rewards.holdings import HOLDINGS
from rewards.invariants import INVARIANTS
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from rewards import api, pages

    return (api.blueprint(house), api.public_blueprint(house), pages.blueprint)


room = Room(
    name="rewards",
    tables=(ledger.Account, ledger.Transfer, rules.PointsRule, rules.EvidenceWeight),
    blueprints=_blueprints,
    same_transaction=(CREDITING, RELEASING, RETURNING, REVERSING),
    feeds=(POINTS_FEED,),
    reference=rules.REFERENCE_FILES,
    invariants=tuple(INVARIANTS),
    holdings=HOLDINGS,
)
