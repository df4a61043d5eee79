"""The residents' pages of this room: statement, balance and published rules."""

from decimal import Decimal
from itertools import groupby
from uuid import UUID

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from rewards import ledger, rules, statements
from rewards.crediting import credit_reference
from tanpuhui import clock
from tanpuhui.web.auth import house, resident, resident_required, visitor

blueprint = Blueprint("rewards", __name__, template_folder="templates")

Answer = str | AnyResponse

_LINES = 50
_LATEST = 2**62


@blueprint.app_template_global()
def own_balance() -> int:
    """The logged-in resident's points."""
    with house().db.reading() as connection:
        return ledger.balance(connection, resident().id)


@blueprint.app_template_global()
def points_earned(action_id: UUID) -> dict[str, int]:
    """What an action of the logged-in resident posted, and the balance now."""
    reference = credit_reference(action_id)
    with house().db.reading() as connection:
        transfer = ledger.find(connection, [reference]).get(reference)
        return {
            "posted": transfer.amount if transfer else 0,
            "balance": ledger.balance(connection, resident().id),
        }


@blueprint.get("/me/statement")
@resident_required
def statement() -> Answer:
    """What one did and what it earned, day by day."""
    before = min(request.args.get("before", type=int) or _LATEST, _LATEST)
    with house().db.reading() as connection:
        lines = statements.statement(connection, resident().id, limit=_LINES, before=max(before, 0))
        balance = ledger.balance(connection, resident().id)
    days = groupby(lines, key=lambda line: clock.day_of(line.deed.recorded_at))
    return render_template(
        "rewards/statement.html",
        days=[(day, list(of_day)) for day, of_day in days],
        balance=balance,
        older=lines[-1].position if len(lines) == _LINES else None,
    )


@blueprint.get("/rewards")
def points() -> Answer:
    """The balance of whoever is logged in, and the rules by which points are earned."""
    with house().db.reading() as connection:
        balance = ledger.balance(connection, resident().id) if visitor() else None
        rows = [
            {"kind": kind, **_readable(rule.micro_points_per_unit)}
            for kind, versions in rules.rules(connection).items()
            if (rule := rules.rule_on(versions, clock.today())) and rule.micro_points_per_unit
        ]
        weights = sorted(rules.weights(connection).items(), key=lambda weight: (weight[1], weight[0]))
    return render_template("rewards/points.html", balance=balance, rows=rows, weights=weights)


def _readable(micro_points: int) -> dict[str, str | int]:
    """Points for so many units that nobody has to read 0.001: one point for 1000 steps."""
    per = 1
    while micro_points * per < 1_000_000:
        per *= 10
    value = Decimal(micro_points * per) / 1_000_000
    return {"points": f"{value.normalize():f}", "per": per}
