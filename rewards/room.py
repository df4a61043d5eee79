"""What the room `rewards` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rewards import (
    adjustments,
    bonus,
    bonus_view,
    donations,
    draw_letters,
    draw_ticks,
    draws,
    expiry,
    given_honours,
    grants,
    honours,
    ledger,
    offer_letters,
    offer_pictures,
    offers,
    pool_notices,
    pools,
    reward_pools,
    rules,
    sealing,
    seals,
    vouchers,
)
from rewards.bonus_invariants import BONUS_INVARIANTS
from rewards.crediting import CREDITING, POINTS_FEED, RELEASING, RETURNING, REVERSING
from rewards.datasets import DATASETS
from rewards.draw_invariants import DRAW_INVARIANTS
from rewards.holdings import HOLDINGS
from rewards.honour_letters import LETTERS
from rewards.invariants import INVARIANTS
from rewards.offer_invariants import OFFER_INVARIANTS
from rewards.points_invariants import POINTS_INVARIANTS
from rewards.quality_checks import CHECKS
from rewards.seal_invariants import SEAL_INVARIANTS
from rewards.trail_words import TRAIL
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from rewards import (
        adjustment_desk,
        api,
        counter_pages,
        donation_pages,
        draw_api,
        draw_desk,
        draw_pages,
        honour_api,
        honour_desk,
        honour_pages,
        ledger_api,
        ledger_pages,
        offer_api,
        offer_desk_api,
        offer_desk_pages,
        offer_pages,
        pages,
        statement_files,
    )

    return (
        api.blueprint(house),
        api.public_blueprint(house),
        pages.blueprint,
        statement_files.blueprint,
        adjustment_desk.blueprint,
        honour_pages.blueprint,
        honour_desk.blueprint,
        honour_api.public_blueprint(house),
        ledger_pages.blueprint,
        ledger_api.public_blueprint(house),
        offer_pages.blueprint,
        offer_desk_pages.blueprint,
        counter_pages.blueprint,
        donation_pages.blueprint,
        offer_api.public_blueprint(house),
        offer_api.blueprint(house),
        offer_desk_api.blueprint(house),
        draw_pages.blueprint,
        draw_desk.blueprint,
        draw_api.blueprint(house),
        draw_api.public_blueprint(house),
    )


def _demo(house: House) -> None:
    from rewards.demo import add_adjustments, add_draws, add_honours
    from rewards.offer_demo import add_offers

    add_honours(house)
    add_adjustments(house)
    add_offers(house)
    add_draws(house)
    sealing.seal_all(house)


room = Room(
    name="rewards",
    tables=(
        honours.HonourKind,
        honours.Honour,
        honours.HonourEvidence,
        honours.HonourConsent,
        ledger.Account,
        ledger.Transfer,
        seals.SealedTransfer,
        seals.LedgerSeal,
        seals.LedgerTile,
        seals.LedgerSealing,
        rules.PointsRule,
        rules.EvidenceWeight,
        rules.PointsLifetime,
        expiry.ExpiryPass,
        adjustments.Adjustment,
        pools.CampaignPool,
        pools.CampaignBonus,
        grants.CampaignGrant,
        reward_pools.RewardPool,
        offers.Offer,
        offer_pictures.OfferPicture,
        vouchers.Redemption,
        offers.OfferCoupon,
        donations.DonationCertificate,
        pool_notices.PoolNotice,
        draws.Draw,
        draws.DrawEntry,
    ),
    blueprints=_blueprints,
    same_transaction=(CREDITING, RELEASING, RETURNING, REVERSING, pools.CHECKING, pools.FUNDING),
    later=(bonus.GRANTING,),
    feeds=(POINTS_FEED, bonus.BONUS_FEED),
    jobs=(expiry.JOB, sealing.JOB, draw_ticks.JOB, *offer_letters.JOBS, pool_notices.JOB),
    reference=rules.REFERENCE_FILES,
    invariants=(
        *INVARIANTS,
        *BONUS_INVARIANTS,
        *POINTS_INVARIANTS,
        *OFFER_INVARIANTS,
        *DRAW_INVARIANTS,
        *SEAL_INVARIANTS,
    ),
    holdings=HOLDINGS,
    datasets=DATASETS,
    letters=(
        bonus.USED_UP,
        expiry.EXPIRING,
        adjustments.ADJUSTED,
        *LETTERS,
        *offer_letters.LETTERS,
        *draw_letters.LETTERS,
    ),
    demo=_demo,
    report=bonus_view.reported,
    evidence=given_honours.in_evidence,
    trail=TRAIL,
    checks=CHECKS,
)
