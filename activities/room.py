"""What the room `activities` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from activities import (
    actions,
    attempts,
    campaign_dates,
    campaign_life,
    campaign_notices,
    campaigns,
    catalogue,
    clashes,
    codes,
    declarations,
    devices,
    members,
    observances,
    photos,
    place_hints,
    poster_prints,
    reviews,
    sightings,
    signals,
    site_reports,
    sites,
    spot_checks,
    trees,
    voiding,
)
from activities.feeds import ACTIONS_FEED
from activities.holdings import HOLDINGS
from activities.invariants import INVARIANTS
from activities.letters import LETTERS, TELLING_REVIEWED, TELLING_VOIDED
from activities.quantify import factor_sheet, factors, methodologies, proposals
from activities.topics import TOPICS
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    import click
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from activities import (
        api,
        attempt_pages,
        card_pages,
        code_pages,
        console,
        declaration_api,
        declaration_pages,
        factor_api,
        factor_desk,
        factor_forms,
        factor_pages,
        helping_api,
        helping_pages,
        impact_pages,
        limit_pages,
        member_pages,
        methodology_desk,
        occasion_pages,
        pages,
        photo_pages,
        place_api,
        place_hint_pages,
        place_pages,
        poster_pages,
        published_api,
        published_pages,
        record_api,
        review_pages,
        screen_pages,
        self_report_api,
        self_report_pages,
        sharing,
        signal_pages,
        spot_check_pages,
        tree_api,
        tree_pages,
        whatif_api,
        whatif_pages,
    )

    return (
        api.blueprint(house),
        pages.blueprint,
        sharing.blueprint,
        impact_pages.blueprint,
        attempt_pages.blueprint,
        factor_api.blueprint(house),
        factor_pages.blueprint,
        record_api.blueprint(house),
        console.blueprint,
        limit_pages.blueprint,
        published_api.blueprint(house),
        published_pages.blueprint,
        code_pages.blueprint,
        review_pages.blueprint,
        screen_pages.blueprint,
        signal_pages.blueprint,
        poster_pages.blueprint,
        declaration_api.blueprint(house),
        declaration_pages.blueprint,
        tree_api.blueprint(house),
        tree_pages.blueprint,
        whatif_api.blueprint(house),
        whatif_pages.blueprint,
        factor_desk.blueprint,
        factor_forms.blueprint,
        methodology_desk.blueprint,
        place_api.public_blueprint(house),
        place_api.blueprint(house),
        place_pages.blueprint,
        place_hint_pages.blueprint,
        occasion_pages.blueprint,
        member_pages.blueprint,
        card_pages.blueprint,
        helping_pages.blueprint,
        helping_api.blueprint(house),
        self_report_pages.blueprint,
        self_report_api.blueprint(house),
        photo_pages.blueprint,
        spot_check_pages.blueprint,
    )


def _commands() -> Sequence["click.Command"]:
    from activities import commands, demo

    return (*commands.COMMANDS, demo.demo_command)


room = Room(
    name="activities",
    tables=(
        actions.Action,
        actions.ActionVoid,
        attempts.ScanAttempt,
        campaigns.Campaign,
        campaigns.CampaignSite,
        campaigns.CampaignVersion,
        campaign_life.CampaignStep,
        campaign_notices.CampaignNotice,
        catalogue.ActionKind,
        catalogue.EvidenceTier,
        clashes.ClashRule,
        codes.Code,
        codes.CodeUse,
        declarations.Declaration,
        declarations.DeclaredAction,
        devices.DeviceUse,
        factors.FactorVersion,
        methodologies.Methodology,
        methodologies.MethodologyKind,
        members.MemberCard,
        observances.Observance,
        photos.ActionPhoto,
        photos.PhotoFingerprint,
        place_hints.PlaceHint,
        poster_prints.PosterPrint,
        proposals.FactorProposal,
        signals.Signal,
        reviews.ActionReview,
        sites.Site,
        sites.SiteCredits,
        site_reports.SiteReport,
        spot_checks.SpotCheck,
        spot_checks.SpotCheckItem,
        trees.Planting,
        trees.TreeCheck,
        voiding.VoidOrder,
    ),
    blueprints=_blueprints,
    commands=_commands,
    same_transaction=(campaign_dates.FOLLOWING,),
    later=(TELLING_VOIDED, TELLING_REVIEWED, place_hints.FLAGGING_FAR),
    feeds=(ACTIONS_FEED,),
    jobs=(campaign_life.JOB, *sightings.JOBS, photos.JOB, *spot_checks.JOBS),
    reference=(
        *catalogue.REFERENCE_FILES,
        clashes.CLASHES_FILE,
        methodologies.METHODOLOGIES_FILE,
        factor_sheet.FACTORS_FILE,
        observances.OBSERVANCES_FILE,
    ),
    invariants=INVARIANTS,
    holdings=HOLDINGS,
    letters=LETTERS,
    topics=TOPICS,
)
