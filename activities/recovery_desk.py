"""The console's pages of the recovery chain: what waits to be confirmed, entering a hand-over, one hand-over, and the own balance."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from pydantic import ValidationError
from sqlmodel import Session, col
from werkzeug.wrappers import Response as AnyResponse

from activities import alarm_answers, material_hand_overs as hand_overs, recovery_words as words, stock
from activities.mass_balance import balance
from activities.material_hand_overs import HandOverIn
from activities.materials import all_materials
from activities.recycling import Fate, HandOverConfirmation, HandOverReversal
from activities.sites import MANAGERS, RecoveryLevel, Site, get_site
from tanpuhui import clock
from tanpuhui.errors import Conflict, InvalidField, TanpuhuiError
from tanpuhui.i18n import N_
from tanpuhui.web.api import invalid
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import name_of
from tanpuhui.web.forms import chosen_id, form_errors, local_moment

blueprint = Blueprint("recovery_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

for _filter in (words.level_name, words.fate_name, words.alarm_name, words.alarm_to_do, words.weight):
    blueprint.app_template_filter()(_filter)

#: How many of the latest are listed.
LATEST = 40


def asked_month() -> date:
    """The month that the address or the form names (2026-11), at most the present one; the present one where it names none."""
    now = clock.today().replace(day=1)
    try:
        return min(date.fromisoformat(f"{request.values.get('month', '')}-01"), now)
    except ValueError:
        return now


def last_months(number: int = 12) -> list[date]:
    """So many months, the present one first."""
    found = [clock.today().replace(day=1)]
    while len(found) < number:
        found.append(stock.month_before(found[-1]))
    return found


# --- what waits, and what was handed over -------------------------------------------------------------------


@blueprint.get("/console/hand-overs")
@staff_required(*MANAGERS)
def listed() -> Answer:
    """What waits for one's own sites to confirm, what is on the way, and the latest."""
    return _listed()


def _listed(error: TanpuhuiError | None = None, of: UUID | None = None) -> Answer:
    with house().db.reading_session() as session:
        own = {site.id: site for site in hand_overs.own_sites(session, staff())}
        unsettled = (
            col(HandOverConfirmation.hand_over_id).is_(None),
            col(HandOverReversal.hand_over_id).is_(None),
        )
        on_the_way = [one for one in hand_overs.of_sites(session, own, *unsettled) if one.waits]
        page = render_template(
            "activities/hand_overs.html",
            sites=own,
            arriving=[one for one in on_the_way if one.hand_over.to_site_id in own],
            leaving=[one for one in on_the_way if one.hand_over.to_site_id not in own],
            latest=hand_overs.of_sites(session, own, limit=LATEST),
            form=request.form,
            errors={of: form_errors(error, "grams")} if error and of else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/console/hand-overs/<uuid:hand_over_id>/confirm")
@staff_required(*MANAGERS)
def confirm(hand_over_id: UUID) -> Answer:
    """Say what arrived; what was typed stays in the field until it is taken."""
    try:
        grams = words.read_weight(request.form.get("grams", ""))
        hand_overs.confirm(house(), staff(), hand_over_id, grams)
    except (InvalidField, Conflict) as error:
        if request.form.get("on") == "page":
            return _one(hand_over_id, error, "confirm")
        with house().db.reading_session() as session:
            hand_overs.one(session, staff(), hand_over_id)
        return (
            _one(hand_over_id, error, "confirm")
            if isinstance(error, Conflict)
            else _listed(error, hand_over_id)
        )
    return redirect(url_for("recovery_desk.one", hand_over_id=hand_over_id, done="confirmed"), 303)


# --- entering one -------------------------------------------------------------------------------------------


@blueprint.route("/console/hand-overs/new", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def new() -> Answer:
    """Enter a hand-over: first from where (if there is a choice), then what, how much, to whom."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            said = _hand_over_in()
            row = hand_overs.record(house(), staff(), said, chosen=chosen_id(staff()))
            return redirect(url_for("recovery_desk.one", hand_over_id=row.id, done="recorded"), 303)
        except (InvalidField, Conflict) as error:
            errors = form_errors(error)
    with house().db.reading_session() as session:
        own = hand_overs.own_sites(session, staff())
        sender = _sender(session, own)
        if sender is None:
            return render_template("activities/hand_over_from.html", sites=own)
        page = render_template(
            "activities/hand_over_new.html", errors=errors, **_choices(session, own, sender)
        )
    return page, 422 if errors else 200


def _sender(session: Session, own: Any) -> Site | None:
    """The site that hands over: the one that is named, or the only one there is."""
    named = request.values.get("from_site_id", "")
    if not named:
        return own[0] if len(own) == 1 else None
    try:
        return get_site(session, staff(), UUID(named))
    except ValueError:
        return None


def _choices(session: Session, own: Any, sender: Site) -> dict[str, Any]:
    """What the form of `sender` offers."""
    groups: dict[RecoveryLevel, list[tuple[str, str]]] = {}
    for site in hand_overs.receivers(session, sender):
        groups.setdefault(site.level, []).append((str(site.id), site.name))
    form: Mapping[str, str] = request.form
    return {
        "form": form or {"handed_at": f"{clock.local(clock.now()):%Y-%m-%dT%H:%M}"},
        "sender": sender,
        "several": len(own) > 1,
        "leaves": sender.level is RecoveryLevel.YARD,
        "receivers": [(words.level_name(level), found) for level, found in groups.items()],
        "materials": [("", [(one.code, name_of(one)) for one in all_materials(session)])],
        "fates": [("", [(fate.value, words.fate_name(fate)) for fate in Fate])],
        "now": f"{clock.local(clock.now()):%Y-%m-%dT%H:%M}",
    }


def _hand_over_in() -> HandOverIn:
    """What the form says. Raises InvalidField with everything that cannot be read."""
    form = request.form
    wrong = []
    given: dict[str, Any] = {
        name: text for name in HandOverIn.model_fields if (text := form.get(name, "").strip())
    }
    given["handed_at"] = local_moment(form.get("handed_at", ""))
    if given["handed_at"] is None:
        wrong.append({"field": "handed_at", "reason": N_("请填写日期和时间。")})
    try:
        given["grams"] = words.read_weight(form.get("grams", ""))
    except InvalidField as error:
        wrong += error.params["errors"]
    for name in ("material",):
        if name not in given:
            wrong.append({"field": name, "reason": N_("请从列表中选择材料。")})
    if wrong:
        raise InvalidField(errors=wrong)
    try:
        return HandOverIn.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from error


# --- one ----------------------------------------------------------------------------------------------------


@blueprint.get("/console/hand-overs/<uuid:hand_over_id>")
@staff_required(*MANAGERS)
def one(hand_over_id: UUID) -> Answer:
    """A hand-over with both weights; who received it confirms, either side reverses."""
    return _one(hand_over_id)


def _one(hand_over_id: UUID, error: TanpuhuiError | None = None, form_of: str = "") -> Answer:
    with house().db.reading_session() as session:
        found = hand_overs.one(session, staff(), hand_over_id)
        own = {site.id for site in hand_overs.own_sites(session, staff())}
        page = render_template(
            "activities/hand_over.html",
            one=found,
            sends=found.sender.id in own,
            receives=found.receiver is not None and found.receiver.id in own,
            done=request.args.get("done", ""),
            form=request.form,
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/console/hand-overs/<uuid:hand_over_id>/reverse")
@staff_required(*MANAGERS)
def reverse(hand_over_id: UUID) -> Answer:
    """Take a hand-over back, with a reason that both sides read."""
    try:
        hand_overs.reverse(house(), staff(), hand_over_id, request.form.get("reason", ""))
    except (InvalidField, Conflict) as error:
        return _one(hand_over_id, error, "reverse")
    return redirect(url_for("recovery_desk.one", hand_over_id=hand_over_id), 303)


# --- the own balance ----------------------------------------------------------------------------------------


@blueprint.get("/console/recovery")
@staff_required(*MANAGERS)
def own_balance() -> Answer:
    """The balance of one's own sites, what does not add up there, and the stock at the end of a month."""
    return _balance()


def _balance(error: TanpuhuiError | None = None, form_of: str = "") -> Answer:
    month = asked_month()
    with house().db.snapshot() as connection, Session(connection) as session:
        own = hand_overs.own_sites(session, staff())
        found = balance(connection, clock.today().replace(day=1), [site.id for site in own])
        page = render_template(
            "activities/recovery_desk.html",
            found=found,
            lines=[line for line in found.lines if line.month == month],
            month=month,
            months=[("", [(f"{one:%Y-%m}", f"{one:%Y-%m}") for one in last_months()])],
            sites=[("", [(str(site.id), site.name) for site in own])],
            materials=[("", [(one.code, name_of(one)) for one in all_materials(session)])],
            form=request.form,
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/console/recovery/stock")
@staff_required(*MANAGERS)
def take_stock() -> Answer:
    """Say what lay at a site at the end of a month."""
    form = request.form
    try:
        grams = words.read_weight(form.get("grams", ""))
        try:
            site_id = UUID(form.get("site_id", ""))
            month = date.fromisoformat(f"{form.get('month', '')}-01")
        except ValueError:
            reason = N_("请选择点位和月份。")
            raise InvalidField(errors=[{"field": "site_id", "reason": reason}]) from None
        stock.take_stock(
            house(), staff(), site_id, form.get("material", ""), month, grams, form.get("reason", "")
        )
    except InvalidField as error:
        return _balance(error, "stock")
    return redirect(url_for("recovery_desk.own_balance", month=f"{month:%Y-%m}"), 303)


def answer_asked() -> str:
    """Answer the alarm that a form names; the key of the alarm. Raises what the service raises."""
    form = request.form
    alarm, difference = form.get("alarm", ""), form.get("difference", "")
    number = int(difference) if difference.removeprefix("-").isdecimal() and len(difference) < 16 else 0
    alarm_answers.answer(house(), staff(), alarm, number, form.get("reason", ""))
    return alarm


@blueprint.post("/console/recovery/alarms")
@staff_required(*MANAGERS)
def answer() -> Answer:
    """Say why weights differ."""
    try:
        answer_asked()
    except (InvalidField, Conflict) as error:
        return _balance(error, request.form.get("alarm", ""))
    return redirect(url_for("recovery_desk.own_balance"), 303)
