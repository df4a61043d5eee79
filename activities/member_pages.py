"""A resident's own code on the phone: shown to a helper who scans it, replaced with one tap, printed as a card."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, Response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from activities.codes import address_of
from activities.members import MemberCard, own_card, replace_own, token_of
from tanpuhui import qr, signing
from tanpuhui.errors import NotFound, Unprintable
from tanpuhui.web.auth import house, resident, resident_required

if TYPE_CHECKING:
    from activities.card_sheets import Words

blueprint = Blueprint("members", __name__)

Answer = str | AnyResponse


@blueprint.get("/me/code")
@resident_required
def own_code() -> Answer:
    """The resident's own code, as large as the phone is wide. It is made when first asked for."""
    card = own_card(house(), resident().id)
    token = token_of(house().settings, card.number)
    picture = qr.svg(address_of(house().settings, token), level="M")
    return render_template(
        "activities/own_code.html",
        number=card.number,
        picture=Markup(picture),  # noqa: S704 - drawn here
        short_code=signing.typed_form(token),
    )


@blueprint.post("/me/code/replace")
@resident_required
def replace() -> Answer:
    """End the code that was shown and give another; a second tap changes nothing."""
    number = request.form.get("number", "")
    if not (number.isascii() and number.isdigit()) or len(number) > 13:
        raise NotFound
    replace_own(house(), resident().id, int(number))
    return redirect(url_for("members.own_code", replaced=1), 303)


@blueprint.get("/me/code/card.pdf")
@resident_required
def own_card_pdf() -> Answer:
    """The same code as a card to print and cut."""
    card = own_card(house(), resident().id)
    return cards_answer([card], "现场工作人员", "tanpuhui-card.pdf")


def cards_answer(cards: Sequence[MemberCard], place: str, name: str) -> Response:
    """Cards as a PDF to print; a lost one is replaced at `place`. Raises Unprintable."""
    from activities.card_sheets import Card, cards_pdf  # late: the type-setting would slow every start
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs

    settings = house().settings
    tokens = [token_of(settings, card.number) for card in cards]
    printed = [Card(address_of(settings, token), signing.typed_form(token)) for token in tokens]
    try:
        body = cards_pdf(printed, _words(place))
    except MissingGlyphs as error:
        raise Unprintable(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise Unprintable(characters=place) from error
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(body, mimetype="application/pdf", headers=headers)


def _words(place: str) -> "Words":
    """A card is handed to anybody and read by any helper, so its words are Chinese whatever the reader's language."""
    from activities.card_sheets import Words

    settings = house().settings
    site = settings.public_url.partition("://")[2]
    return Words(
        title="碳普惠会员卡",
        how="给现场工作人员扫这个码，或报下面的短码，替您记录绿色行动。",
        lost=f"卡丢了：带上存根，到{place}或任一登记台换一张，记录和积分都还在。",
        help=f"打电话问人：{settings.help_phone}\n{site}" if settings.help_phone else site,
        stub="会员卡存根",
        stub_hint="请留在家里，\n丢了卡凭它\n换一张",
        cutting="沿十字线裁开；沿虚线撕下的存根交给持卡人",
    )
