"""The pages of honours for everybody and for holders: checking one by its number, the list, accepting, one's own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from rewards import honour_holders, published_honours
from rewards.honours import HonourEvidence, HonourState, Told, evidence_of
from rewards.paper_answers import district_name, paper_answer
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Document, Resident, consent_text
from tanpuhui.web.auth import house, resident, resident_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("honours", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

blueprint.add_app_template_filter(clock.day_of, "local_day")


# --- everybody ---------------------------------------------------------------------------------------------


@blueprint.get("/honours")
def index() -> Answer:
    """Those who agreed to be listed, and the field for a number; a number leads to its page."""
    typed = request.args.get("number", "").strip()
    if typed:
        return redirect(url_for("honours.verify", honour=typed[:40]))
    with house().db.reading_session() as session:
        return render_template("rewards/honours.html", honours=published_honours.listed(session))


@blueprint.get("/honours/<honour>")
def verify(honour: str) -> Answer:
    """Whether an honour is genuine and stands: who, what for, when, by whom. A kind page for a number nobody has."""
    try:
        with house().db.reading_session() as session:
            found = published_honours.published(session, honour)
            district = district_name(session)
    except NotFound as error:
        return render_template("rewards/honour_unknown.html", typed=honour[:40]), error.status
    if found.honour.number != honour:
        return redirect(url_for("honours.verify", honour=found.honour.number))
    return render_template("rewards/honour.html", found=found, district=district)


@blueprint.get("/honours/<honour>/certificate.pdf")
def certificate_pdf(honour: str) -> Answer:
    """The certificate to print; none of an honour that was revoked, or whose holder is not named."""
    from rewards.honour_papers import certificate_of  # late: the type-setting would slow every start
    from tanpuhui.certificates import certificate_pdf as pdf

    with house().db.reading_session() as session:
        found = _named(session, honour)
        words = certificate_of(house().settings, found, district_name(session))
    return paper_answer(lambda: pdf(words), words, f"tanpuhui-{found.honour.number}.pdf")


@blueprint.get("/honours/<honour>/poster.png")
def poster_png(honour: str) -> Answer:
    """The poster to pass on; none where there is no certificate."""
    from rewards.honour_papers import poster_of  # late: the type-setting would slow every start
    from rewards.medal_posters import poster_png as png

    with house().db.reading_session() as session:
        found = _named(session, honour)
        words = poster_of(house().settings, found, district_name(session))
    return paper_answer(lambda: png(words), words, f"tanpuhui-{found.honour.number}.png")


def _named(session: Session, number: str) -> Told:
    """A standing honour whose holder may be named. Raises NotFound."""
    found = published_honours.published(session, number)
    if found.state is not HonourState.STANDING or found.consent is None:
        raise NotFound
    return found


def require_printable(texts: Mapping[str, str]) -> None:
    """Refuse, by field, what a certificate could not print. Raises InvalidField."""
    from tanpuhui.pdf import missing_glyphs

    reason = N_("这里有证书上印不出的字或表情，请换一种写法。")
    wrong = [
        {"field": name, "reason": reason}
        for name, text in texts.items()
        if missing_glyphs(" ".join(text.split()))
    ]
    if wrong:
        raise InvalidField(errors=wrong)


# --- accepting ---------------------------------------------------------------------------------------------


@blueprint.get("/honours/accept/<token>")
@resident_required
def invitation(token: str) -> Answer:
    """The invitation: what would become public, and the text one agrees to. Looking at it accepts nothing."""
    return _invitation(token)


def _invitation(token: str, errors: dict[str, str] | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = honour_holders.invitation(session, token)
        if found is None:
            return render_template("rewards/honour_accept.html", found=None), NotFound.status
        page = render_template(
            "rewards/honour_accept.html",
            found=found,
            token=token,
            evidence=evidence_of(session, found.honour.id),
            nickname=session.get_one(Resident, resident().id).nickname,
            errors=errors,
            form=request.form,
            **_consent(),
        )
    return (page, InvalidField.status) if errors else page


@blueprint.post("/honours/accept/<token>")
@resident_required
def accept(token: str) -> Answer:
    """Accept it under a name of one's choice. A second tap finds it accepted."""
    try:
        honour_holders.accept(house(), resident().id, token, **_said())
    except InvalidField as error:
        return _invitation(token, form_errors(error))
    return redirect(url_for("honours.mine", accepted=1), 303)


def _said() -> dict[str, Any]:
    """The name, whether to be listed, and the version of the text on the form. Raises InvalidField."""
    name = request.form.get("name", "")[:400]
    require_printable({"name": name})
    version = request.form.get("version", "")
    return {"name": name, "listed": request.form.get("listed") == "yes", "version": version}


def _consent() -> dict[str, str]:
    """The text one agrees to, and its version."""
    version = PRESENT[Document.HONOURS]
    return {"version": version, "text": consent_text(language(), version, Document.HONOURS)}


# --- one's own ---------------------------------------------------------------------------------------------


@blueprint.app_template_global()
def own_honours() -> list[Told]:
    """The logged-in resident's honours and nominations."""
    with house().db.reading_session() as session:
        return honour_holders.own(session, resident().id)


@blueprint.get("/me/honours")
@resident_required
def mine() -> Answer:
    """One's honours and nominations, each with what is public of it, and the switch for that."""
    return _mine()


def _mine(wrong: tuple[UUID, InvalidField] | None = None) -> Answer:
    """The page; `wrong`: the honour whose form was refused, and why."""
    with house().db.reading_session() as session:
        found: list[tuple[Told, list[HonourEvidence]]] = [
            (one, evidence_of(session, one.honour.id)) for one in honour_holders.own(session, resident().id)
        ]
    page = render_template(
        "rewards/own_honours.html",
        honours=found,
        form=request.form,
        errors={wrong[0]: form_errors(wrong[1])} if wrong else {},
        **_consent(),
    )
    return (page, wrong[1].status) if wrong else page


@blueprint.post("/me/honours/<uuid:honour_id>/show")
@resident_required
def show(honour_id: UUID) -> Answer:
    """Be named for it from now on, or otherwise."""
    try:
        honour_holders.show(house(), resident().id, honour_id, **_said())
    except InvalidField as error:
        return _mine((honour_id, error))
    return redirect(url_for("honours.mine", _anchor=f"honour-{honour_id}"), 303)


@blueprint.post("/me/honours/<uuid:honour_id>/hide")
@resident_required
def hide(honour_id: UUID) -> Answer:
    """Be named no more, at once."""
    honour_holders.hide(house(), resident().id, honour_id)
    return redirect(url_for("honours.mine", hidden=1), 303)
