"""The residents' pages of this room: statement, balance and published rules."""

from datetime import date
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from flask import Blueprint, render_template, request
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from rewards import bonus_view, ledger, lots, rules, statements
from rewards.bonus_view import BonusOfRecord, PublicBonus
from rewards.crediting import confirm_reference, credit_reference
from rewards.evidence import tiers
from rewards.own_points import OwnPoints, own_lots, own_points
from rewards.rules import PointsLifetime
from rewards.statement_files import day_asked
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("rewards", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_LINES = 50
_LATEST = 2**62


@blueprint.app_template_global()
def own_balance() -> int:
    """The logged-in resident's points."""
    with house().db.reading() as connection:
        return ledger.balance(connection, resident().id)


@blueprint.app_template_global()
def points_waiting() -> int:
    """The logged-in resident's points that wait with records for review."""
    with house().db.reading() as connection:
        return ledger.held(connection, resident().id)


@blueprint.app_template_global()
def points_earned(action_id: UUID) -> dict[str, int]:
    """What an action of the logged-in resident posted, and the balance now."""
    with house().db.reading() as connection:
        balance = ledger.balance(connection, resident().id)
    return {"posted": points_posted(action_id), "balance": balance}


@blueprint.app_template_global()
def points_posted(action_id: UUID) -> int:
    """What an action posted; whoever shows it has seen that it may be shown."""
    references = [confirm_reference(action_id), credit_reference(action_id)]
    with house().db.reading() as connection:
        found = ledger.find(connection, references)
    transfer = found.get(references[0]) or found.get(references[1])
    return transfer.amount if transfer and transfer.destination.startswith("resident:") else 0


@blueprint.app_template_global()
def points_of_record(action_id: UUID) -> int:
    """What a record earns if it counts; whoever shows it has seen that it may be shown."""
    reference = credit_reference(action_id)
    with house().db.reading() as connection:
        transfer = ledger.find(connection, [reference]).get(reference)
    return transfer.amount if transfer else 0


@blueprint.app_template_global()
def points_share(evidence: str) -> int:
    """The share of the points that an evidence tier earns, in percent."""
    with house().db.reading() as connection:
        return rules.weights(connection).get(evidence, 0)


@blueprint.app_template_global()
def bonus_of_record(action_id: UUID, campaign_id: UUID | None) -> BonusOfRecord | None:
    """What a record gets on top in its campaign; whoever shows it has seen that it may be shown."""
    if campaign_id is None:
        return None
    with house().db.reading() as connection:
        return bonus_view.bonus_of_record(connection, action_id, campaign_id)


@blueprint.app_template_global()
def bonus_of_campaign(campaign_id: UUID) -> PublicBonus | None:
    """The bonus of a campaign, if it has one."""
    with house().db.reading() as connection:
        try:
            return bonus_view.public_bonus(connection, campaign_id)
        except NotFound:
            return None


@blueprint.app_template_global()
def bonus_for_organisers(campaign_id: UUID) -> PublicBonus | None:
    """The bonus of a campaign for a page of its own organisers, if it has one."""
    with house().db.reading() as connection:
        return bonus_view.organisers_bonus(connection, campaign_id)


@blueprint.get("/me/statement")
@resident_required
def statement() -> Answer:
    """What one did and what it earned, deed by deed; and the balance of a day that is asked about."""
    before = min(request.args.get("before", type=int) or _LATEST, _LATEST)
    asked = request.args.get("on", "").strip()[:10]
    with house().db.reading() as connection:
        found, errors = _points_on(connection, asked)
        rows = statements.rows(connection, resident().id, limit=_LINES, before=max(before, 0))
    days = groupby(rows, key=lambda row: clock.day_of(row.recorded_at))
    page = render_template(
        "rewards/statement.html",
        days=[(day, list(of_day)) for day, of_day in days],
        found=found,
        asked=asked,
        errors=errors,
        older=rows[-1].first.position if len(rows) == _LINES else None,
    )
    return (page, InvalidField.status) if errors else page


def _points_on(connection: Connection, asked: str) -> tuple[OwnPoints, dict[str, str]]:
    """What one has, and had at the end of the day `asked` for; what is wrong with that day, by field."""
    try:
        return own_points(connection, resident().id, day_asked(asked)), {}
    except InvalidField as error:
        return own_points(connection, resident().id), form_errors(error)


@blueprint.get("/rewards/campaigns/<uuid:campaign_id>")
def bonus(campaign_id: UUID) -> Answer:
    """What a campaign gives on top, by which rule, and how far its budget has gone."""
    with house().db.reading() as connection:
        found = bonus_view.public_bonus(connection, campaign_id)
    return render_template("rewards/bonus.html", bonus=found, fewest=bonus_view.FEWEST_TOLD)


@blueprint.get("/rewards")
def points() -> Answer:
    """What whoever is logged in has, and what of it expires when; and the rules by which points are earned."""
    with house().db.reading() as connection:
        found = own_points(connection, resident().id) if visitor() else None
        own = own_lots(connection, resident().id) if visitor() else None
        rows = [
            {"kind": kind, **_readable(rule.micro_points_per_unit)}
            for kind, versions in rules.rules(connection).items()
            if (rule := rules.rule_on(versions, clock.today())) and rule.micro_points_per_unit
        ]
        published = tiers(connection)
        lasts = rules.months_on(rules.lifetimes(connection), clock.today())
    return render_template(
        "rewards/points.html", found=found, lots=own, rows=rows, tiers=published, lasts=lasts
    )


@blueprint.get("/rewards/rules")
def history() -> Answer:
    """The rules of points in force, and every version there was."""
    with house().db.reading() as connection:
        kinds = [
            (kind, [(rule, _readable(rule.micro_points_per_unit)) for rule in versions])
            for kind, versions in rules.rules(connection).items()
        ]
        lifetimes = rules.lifetimes(connection)
    return render_template(
        "rewards/rules.html",
        kinds=kinds,
        lifetimes=lifetimes,
        example=_example(lifetimes),
        today=clock.today(),
    )


def _example(lifetimes: list[PointsLifetime]) -> tuple[date, date] | None:
    """Today, and the last day of what is given today; None while points last for good."""
    last = rules.expiry(lifetimes, clock.today())
    return None if last == lots.NEVER else (clock.today(), last)


@blueprint.get("/evidence")
def evidence() -> Answer:
    """The table of evidence: what each tier is worth, and in which total its grams stand."""
    with house().db.reading() as connection:
        return render_template("rewards/evidence.html", tiers=tiers(connection))


def _readable(micro_points: int) -> dict[str, str | int]:
    """Points for so many units that nobody has to read 0.001: one point for 1000 steps."""
    per = 1
    while 0 < micro_points * per < 1_000_000:
        per *= 10
    value = Decimal(micro_points * per) / 1_000_000
    return {"points": f"{value.normalize():f}", "per": per}
