"""The residents' pages of gatherings: what is coming, signing up with one tap, checking in, and the certificate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _, ngettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import check_ins, gathering_list, opened, sign_ups, taking_part
from activities.certificate_pages import certificate_answer
from activities.check_ins import CheckIn
from activities.gathering_list import Seen
from activities.gatherings import GATHERING_KIND_NAMES, GatheringKind
from activities.sign_ups import Standing
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound, TanpuhuiError
from tanpuhui.people import ClassAccount, Resident
from tanpuhui.web.auth import house, resident, resident_required, visitor
from tanpuhui.web.formatting import day as day_name
from tanpuhui.web.forms import form_errors
from tanpuhui.web.problems import document

if TYPE_CHECKING:
    from tanpuhui.certificates import Certificate

blueprint = Blueprint("gatherings", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: Of fewer who came nothing is told to everybody.
FEWEST_TOLD = 5


# --- for every template ------------------------------------------------------------------------------------


@blueprint.app_template_filter()
def gathering_title(gathering_id: str) -> str:
    """What a gathering is called."""
    with house().db.reading() as connection:
        return gathering_list.title_of(connection, UUID(gathering_id))


@blueprint.app_template_filter()
def gathering_kind(kind: GatheringKind) -> str:
    """What sort of gathering it is, in the page's language."""
    return str(_(GATHERING_KIND_NAMES[kind]))


@blueprint.app_template_global()
def gatherings_coming(most: int, campaign_id: UUID | None = None) -> list[Seen]:
    """The next gatherings near the visitor, or of a campaign."""
    only = {"campaign_id": campaign_id} if campaign_id else {}
    with house().db.reading_session() as session:
        return gathering_list.coming(session, clock.now(), home=_home(session), limit=most, **only)


def _home(session: Session) -> str | None:
    who = visitor()
    return session.get_one(Resident, who.id).division_code if who else None


# --- what is coming ----------------------------------------------------------------------------------------


@blueprint.get("/gatherings")
def index() -> Answer:
    """The gatherings that are coming, those of one's own community first."""
    with house().db.reading_session() as session:
        home = _home(session)
        found = gathering_list.coming(session, clock.now(), home=home)
    return render_template("activities/gatherings.html", found=found, home=home, now=clock.now())


@dataclass(frozen=True, slots=True)
class _Own:
    """What the visitor has to do with a gathering: where they stand, and whether they came."""

    standing: Standing | None = None
    check_in: CheckIn | None = None
    people: int = 0
    is_class: bool = False


def _own(session: Session, gathering_id: UUID) -> _Own:
    who = visitor()
    if who is None:
        return _Own()
    done = check_ins.own_check_in(session, who.id, gathering_id)
    return _Own(
        sign_ups.standing(session, gathering_id, who.id),
        done[0] if done else None,
        done[1] if done else 0,
        session.get(ClassAccount, who.id) is not None,
    )


@blueprint.get("/gatherings/<uuid:gathering_id>")
def one(gathering_id: UUID) -> Answer:
    """A gathering: when, where, how many places are left, and what one can do about it."""
    return _one(gathering_id)


def _one(gathering_id: UUID, refusal: TanpuhuiError | None = None) -> Answer:
    now = clock.now()
    with house().db.reading_session() as session:
        seen = gathering_list.seen(session, gathering_id)
        own = _own(session, gathering_id)
        came = check_ins.people_who_came(session, seen.gathering) if now >= seen.gathering.ends_at else 0
    in_field = isinstance(refusal, InvalidField)
    page = render_template(
        "activities/gathering.html",
        seen=seen,
        own=own,
        came=came if came >= FEWEST_TOLD else None,
        now=now,
        opens=seen.gathering.starts_at - check_ins.OPENS_BEFORE,
        most=sign_ups.MOST_PEOPLE,
        errors=form_errors(refusal) if refusal and in_field else {},
        problem=document(refusal) if refusal and not in_field else None,
        form=request.form,
    )
    return (page, refusal.status) if refusal else page


@blueprint.post("/gatherings/<uuid:gathering_id>/sign-up")
@resident_required
def sign_up(gathering_id: UUID) -> Answer:
    """Sign up, or wait in line where it is full. A second tap finds it done."""
    try:
        taking_part.sign_up(house(), resident().id, gathering_id, _people())
    except NotFound:
        raise
    except TanpuhuiError as refusal:
        return _one(gathering_id, refusal)
    return redirect(url_for("gatherings.one", gathering_id=gathering_id), 303)


def _people() -> int:
    """How many people a class is; one for everybody else. What is no number is refused as one."""
    text = request.form.get("people", "1").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


@blueprint.post("/gatherings/<uuid:gathering_id>/give-up")
@resident_required
def give_up(gathering_id: UUID) -> Answer:
    """Give the place up; the next in line gets it."""
    try:
        taking_part.give_up(house(), resident().id, gathering_id)
    except NotFound:
        raise
    except TanpuhuiError as refusal:
        return _one(gathering_id, refusal)
    return redirect(url_for("gatherings.one", gathering_id=gathering_id, given_up=1), 303)


# --- here --------------------------------------------------------------------------------------------------


@blueprint.get("/gatherings/here/<token>")
def here(token: str) -> Answer:
    """What the code on the screen at the place leads to: check in with one tap. Nothing is noted on the way."""
    return _here(token)


def _here(token: str, error: InvalidField | None = None) -> Answer:
    opened_at = opened.opened_at(token) or clock.now()
    with house().db.reading_session() as session:
        gathering = check_ins.gathering_of_token(session, house().settings, token, opened_at)
        seen, own = gathering_list.seen(session, gathering.id), _own(session, gathering.id)
    opened.remember(token)
    if own.check_in is None:
        check_ins.check_window(gathering, clock.now())
    errors = form_errors(error) if error else {}
    page = render_template(
        "activities/gathering_here.html", seen=seen, own=own, token=token, errors=errors, form=request.form
    )
    return (page, error.status) if error else page


@blueprint.post("/gatherings/here/<token>")
@resident_required
def check_in(token: str) -> Answer:
    """Check in by the code on the screen. The same again is answered the same."""
    opened_at = opened.opened_at(token) or clock.now()
    with house().db.reading_session() as session:
        gathering_id = check_ins.gathering_of_token(session, house().settings, token, opened_at).id
    try:
        done = check_ins.check_in(house(), resident().id, gathering_id, people=_people())
    except InvalidField as error:
        return _here(token, error)
    opened.spend(token)
    return redirect(url_for("gatherings.one", gathering_id=gathering_id, here=2 if done.again else 1), 303)


# --- one's own ---------------------------------------------------------------------------------------------


@blueprint.get("/me/gatherings")
@resident_required
def own() -> Answer:
    """What the resident signed up for, and the certificates."""
    with house().db.reading_session() as session:
        found = check_ins.own_gatherings(session, resident().id)
    return render_template("activities/own_gatherings.html", found=found, now=clock.now())


@blueprint.get("/me/gatherings/<uuid:gathering_id>/certificate.pdf")
@resident_required
def certificate_pdf(gathering_id: UUID) -> Answer:
    """The certificate of attendance, to print."""
    with house().db.reading_session() as session:
        seen = gathering_list.seen(session, gathering_id)
        done = check_ins.own_check_in(session, resident().id, gathering_id)
    if done is None:
        raise NotFound
    return certificate_answer(_words(seen, *done), done[0].number)


def _words(seen: Seen, done: CheckIn, people: int) -> "Certificate":
    from tanpuhui.certificates import Certificate

    gathering = seen.gathering
    address = house().settings.public_url + url_for("gatherings.certificate")
    came = ngettext("%(num)s 人到场，由现场签到确认。", "%(num)s 人到场，由现场签到确认。", people)
    return Certificate(
        title=_("参加证书"),
        headline=gathering.title,
        facts=(
            (_("举办"), seen.held_by),
            (_("日期"), day_name(gathering.day)),
            (_("地点"), seen.where),
            (_("证书编号"), done.number),
        ),
        text=came + "\n" + _("在 %(address)s 输入编号，可以核对这张证书。", address=address),
        footer=_("本证书只证明到场参加，不写姓名，不计时长，也不计分。绿色行为仍以现场扫码记录为准。"),
        issuer=_("碳普惠"),
    )


@blueprint.post("/me/gatherings/<uuid:gathering_id>/certificate/delete")
@resident_required
def delete_certificate(gathering_id: UUID) -> Answer:
    """Delete one's certificate; a second tap finds it gone."""
    check_ins.give_certificate_up(house(), resident().id, gathering_id)
    return redirect(url_for("gatherings.own", deleted=1), 303)


# --- for everybody -----------------------------------------------------------------------------------------


@blueprint.get("/gatherings/certificate")
def certificate() -> Answer:
    """Check the number of a certificate: which gathering, which day, and that it is good; never whose it is."""
    number = request.args.get("number", "").strip()[:80]
    seen = None
    if number:
        with house().db.reading_session() as session:
            seen = check_ins.verify(session, number)
    page = render_template("activities/gathering_certificate.html", number=number, seen=seen)
    return page if seen or not number else (page, NotFound.status)
