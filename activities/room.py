"""What the room `activities` brings to the house."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from activities import actions, campaigns, catalogue, codes, observances, sites
from activities.feeds import ACTIONS_FEED
from activities.invariants import INVARIANTS
from activities.quantify import factors
from tanpuhui.rooms import House, Room

if TYPE_CHECKING:
    import click
    from flask import Blueprint


def _blueprints(house: House) -> Sequence["Blueprint"]:
    from activities import api, console, pages

    return (api.blueprint(house), api.public_blueprint(house), pages.blueprint, console.blueprint)


def _commands() -> Sequence["click.Command"]:
    from activities import commands, demo

    return (*commands.COMMANDS, demo.demo_command)


room = Room(
    name="activities",
    tables=(
        actions.Action,
        actions.ActionVoid,
        campaigns.Campaign,
        campaigns.CampaignSite,
        catalogue.ActionKind,
        catalogue.EvidenceTier,
        codes.Code,
        factors.FactorVersion,
        observances.Observance,
        sites.Site,
        sites.SiteCredits,
    ),
    blueprints=_blueprints,
    commands=_commands,
    feeds=(ACTIONS_FEED,),
    reference=(*catalogue.REFERENCE_FILES, factors.FACTORS_FILE, observances.OBSERVANCES_FILE),
    invariants=INVARIANTS,
)
