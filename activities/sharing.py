"""What a record's grams are like, in words and as a picture; and the card of one's own record, to share."""

from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, render_template
from flask_babel import gettext as _, ngettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import reviews
from activities.actions import Action
from activities.catalogue import ActionKind
from activities.likeness import DURATIONS, GRID, LAMP_W, Light, light
from activities.pages import known, own_action
from tanpuhui.divisions import Division
from tanpuhui.errors import NotFound, Unprintable
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.formatting import Amount, mass, name_of, quantity

if TYPE_CHECKING:
    from activities.share_cards import Card

blueprint = Blueprint("sharing", __name__)

Answer = str | AnyResponse


# --- words for every template ------------------------------------------------------------------------------


@blueprint.app_template_global()
def light_of(co2e_mg: int, day: date) -> Light | None:
    """How long a lamp burns for these milligrams, by the factor of electricity that is valid on `day`."""
    return light(co2e_mg, known().factor_on(GRID, day))


@blueprint.app_template_filter()
def alike(found: Light) -> str:
    """What the grams are like, in a sentence."""
    if not found.seconds:
        return str(_("相当于一盏 %(watts)s 瓦的灯亮不到 1 秒的电", watts=LAMP_W))
    return str(
        _("相当于一盏 %(watts)s 瓦的灯亮 %(time)s的电", watts=LAMP_W, time=_time(found.tenths, found.unit))
    )


@blueprint.app_template_filter()
def each_lamp(found: Light) -> str:
    """What one lamp of the picture stands for."""
    return str(_("每盏灯代表 %(time)s", time=_time(found.each * 10, found.unit)))


def _time(tenths: int, unit: str) -> Amount:
    """Tenths of a duration: 340, ``hour`` -> 34 小时."""
    name = ngettext(DURATIONS[unit], DURATIONS[unit], 1 if tenths == 10 else 2)
    return quantity(tenths * 100, "")._replace(unit=name)


# --- the card ----------------------------------------------------------------------------------------------


@blueprint.get("/me/actions/<uuid:action_id>/card")
@resident_required
def page(action_id: UUID) -> Answer:
    """The card of one of the resident's own records, to look at, keep and pass on."""
    with house().db.reading_session() as session:
        action = _standing(session, action_id)
        card = _card(session, action)
    return render_template("activities/share_card.html", action=action, card=card)


@blueprint.get("/me/actions/<uuid:action_id>/card.png")
@resident_required
def card_png(action_id: UUID) -> Answer:
    """The picture itself."""
    with house().db.reading_session() as session:
        words = _card(session, _standing(session, action_id))
    from activities.share_cards import card_png as png  # late: the type-setting would slow every start
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs

    try:
        body = png(words)
    except MissingGlyphs as error:
        raise Unprintable(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise Unprintable(characters=words.kind) from error
    return Response(
        body, mimetype="image/png", headers={"Content-Disposition": 'inline; filename="tanpuhui.png"'}
    )


def _standing(session: Session, action_id: UUID) -> Action:
    """One of the resident's own records that was not taken back. Raises NotFound."""
    action, voided, _site = own_action(session, resident(), action_id)
    if voided or reviews.unconfirmed(session, action_id):
        raise NotFound
    return action


def _card(session: Session, action: Action) -> "Card":
    """The words of a record's card: what was done and saved, and nothing of who, where and when."""
    from activities.share_cards import Card

    kind = session.get_one(ActionKind, action.kind)
    district = session.get(Division, house().settings.district_code)
    saved, like = mass(action.co2e_mg), light_of(action.co2e_mg, action.day)
    notes = [each_lamp(like)] if like and like.lamps else []
    notes.append(
        _("减排量由市级方法学核算，本区不重复计入")
        if action.city_credited
        else _("按公开的减排因子估算，取较低值")
    )
    url = house().settings.public_url
    return Card(
        issuer=f"{district.name} · {_('碳普惠')}" if district else _("碳普惠"),
        kind=name_of(kind),
        quantity=str(quantity(action.quantity_milli, kind.unit)),
        label=_("估算减排量（二氧化碳当量）"),
        amount=saved.number,
        unit=saved.unit,
        likeness=alike(like) if like else "",
        lamps=like.lamps if like else 0,
        note=" · ".join(notes),
        invitation=_("做一件绿色小事，看见它省下多少"),
        address=urlsplit(url).netloc,
        url=f"{url}/",
    )
