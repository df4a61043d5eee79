"""Staff's pages of printed cards: print a batch, hand one over, replace a lost one, revoke."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from activities import cards, choices, members
from activities.member_pages import cards_answer
from activities.members import HELPERS, PRINTERS
from tanpuhui import signing
from tanpuhui.csvtext import write_sheet
from tanpuhui.divisions import Division
from tanpuhui.errors import CardInUse, CodeIncomplete, InvalidField, NotFound, TanpuhuiError
from tanpuhui.people import consent_text
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("cards", __name__)

Answer = str | AnyResponse | tuple[str, int]

_NUMBER = "<int(max=1099511627775):number>"


@blueprint.get("/console/cards")
@staff_required(*HELPERS)
def listed() -> Answer:
    """The printed cards of one's scope, or those whose short code ends as asked; the form that prints more."""
    return _list_page()


def _list_page(errors: dict[str, str] | None = None) -> str:
    ending = request.args.get("ending", "")[:40]
    printed = request.args.get("printed", 0, type=int)
    with house().db.reading_session() as session:
        nowhere = choices.only_for_organisations(session, staff())
        return render_template(
            "activities/cards.html",
            cards=cards.listed(session, house().settings, staff(), ending),
            ending=ending,
            printed=printed if 0 < printed < 2**40 else 0,
            most=members.MOST_CARDS,
            communities=[] if nowhere else choices.communities(session, staff()),
            form=request.form,
            errors=errors,
        )


@blueprint.post("/console/cards")
@staff_required(*PRINTERS)
def print_cards() -> Answer:
    """A batch of blank cards; the answer leads to its sheet."""
    count = request.form.get("count", "").strip()
    wanted = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else 0
    try:
        made = members.print_cards(house(), staff(), request.form.get("division_code", ""), wanted)
    except InvalidField as error:
        return _list_page(form_errors(error)), error.status
    return redirect(url_for("cards.listed", printed=made[0].number), 303)


@blueprint.get(f"/console/cards/{_NUMBER}/sheet.<any(pdf, csv):form>")
@staff_required(*PRINTERS)
def sheet(number: int, form: str) -> Answer:
    """The batch of a card: ten to a page, or a list of the short codes. The same again each time."""
    with house().db.reading_session() as session:
        batch = cards.batch_of(session, staff(), number)
        community = session.get_one(Division, batch[0].division_code).name
    name = f"tanpuhui-cards-{batch[0].issued_at:%Y%m%d-%H%M%S}.{form}"
    if form == "pdf":
        return cards_answer(batch, community, name)
    codes = [signing.typed_form(members.token_of(house().settings, card.number)) for card in batch]
    body = write_sheet([_("短码"), _("居（村）委会")], [(code, community) for code in codes])
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, mimetype="text/csv", headers=headers)


# --- one card ----------------------------------------------------------------------------------------------


@blueprint.get("/console/cards/scan")
@staff_required(*HELPERS)
def scan() -> Answer:
    """Look a card up with the camera."""
    return render_template("activities/card_scan.html", public_url=house().settings.public_url)


@blueprint.post("/console/cards/find")
@staff_required(*HELPERS)
def find() -> Answer:
    """Look a card up by its code, or by the last letters of it."""
    typed = request.form.get("code", "")[:200]
    number = cards.number_in(house().settings, typed)
    if number is not None:
        with house().db.reading_session() as session:
            try:
                members.printed_card(session, staff(), number)
            except NotFound as error:
                return _list_page({"code": _("没有这张印好的会员卡。手机上的会员码不在这里。")}), error.status
        return redirect(url_for("cards.card", number=number), 303)
    return redirect(url_for("cards.listed", ending=signing.letters_of(typed)[-cards.ENDING :]), 303)


@blueprint.get(f"/console/cards/{_NUMBER}")
@staff_required(*HELPERS)
def card(number: int) -> Answer:
    """One card: whether it is blank, in use or ended, and what can be done with it."""
    return _card_page(number)


def _card_page(number: int, error: TanpuhuiError | None = None, form_of: str = "") -> Answer:
    """The page of a card; `form_of` names the form on it that `error` belongs to."""
    with house().db.reading_session() as session:
        found = cards.looked_up(session, house().settings, staff(), number)
    page = render_template(
        "activities/card.html",
        found=found,
        card=found.card,
        text=consent_text(language()),
        done=request.args.get("done", ""),
        may_print=bool(roles_here() & set(PRINTERS)),
        public_url=house().settings.public_url,
        form=request.form,
        errors={form_of: form_errors(error, _FIELD_OF.get(form_of, ""))} if error else {},
    )
    return (page, error.status) if error else page


#: The field of a form that a refusal is about.
_FIELD_OF = {"replace": "blank"}


@blueprint.post(f"/console/cards/{_NUMBER}/hand-over")
@staff_required(*HELPERS)
def hand_over(number: int) -> Answer:
    """Give a blank card to somebody who heard the privacy text and said yes."""
    try:
        members.hand_over(house(), staff(), number, consented=request.form.get("consented") == "yes")
    except CardInUse:
        return redirect(url_for("cards.card", number=number), 303)  # tapped twice
    except InvalidField as error:
        return _card_page(number, error, "hand-over")
    return redirect(url_for("cards.card", number=number, done="handed-over"), 303)


@blueprint.post(f"/console/cards/{_NUMBER}/replace")
@staff_required(*HELPERS)
def replace(number: int) -> Answer:
    """Make a blank card the one of the holder of this lost one."""
    try:
        blank = cards.number_in(house().settings, request.form.get("blank", "")[:200])
        if blank is None:
            raise CodeIncomplete
        members.replace_printed(house(), staff(), number, blank, _("卡片遗失"))
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _card_page(number, error, "replace")
    return redirect(url_for("cards.card", number=blank, done="replaced"), 303)


@blueprint.post(f"/console/cards/{_NUMBER}/revoke")
@staff_required(*HELPERS)
def revoke(number: int) -> Answer:
    """End a card for good."""
    try:
        members.revoke_printed(house(), staff(), number, request.form.get("reason", ""))
    except InvalidField as error:
        return _card_page(number, error, "revoke")
    return redirect(url_for("cards.card", number=number, done="revoked"), 303)
