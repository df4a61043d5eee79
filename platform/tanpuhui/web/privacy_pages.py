"""The privacy centre: what is held and why, a copy of it, switches and consents, and the nickname."""

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import clock, consents, families, people, privacy
from tanpuhui.errors import InvalidField, NotAllowed, NotFound
from tanpuhui.holdings import Holding
from tanpuhui.people import PRESENT, AccountKind, Document, Resident, consent_text
from tanpuhui.web.auth import house, person_required, resident, resident_required
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("privacy", __name__)

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def lasts(holding: Holding) -> str:
    """How long a kind of data is kept, in the page's language."""
    return privacy.lasts(holding, language())


@blueprint.app_template_filter()
def document_name(code: str) -> str:
    """What the text of a consent is called, in the page's language."""
    return str(gettext(consents.document_name(code)))


def _document(code: str) -> Document:
    try:
        return Document(code)
    except ValueError:
        raise NotFound from None


@blueprint.get("/privacy")
def text() -> Answer:
    """For everybody: the text that a consent is bound to, by document and version, and how long what is kept."""
    document = _document(request.args.get("document", Document.PRIVACY.value))
    version = request.args.get("version", PRESENT[document])
    return render_template(
        "privacy.html",
        document=document,
        text=consent_text(language(), version, document),
        holdings=house().holdings if document is Document.PRIVACY else (),
    )


@blueprint.get("/me/privacy")
@resident_required
def centre() -> Answer:
    """Everything at one place, for the resident."""
    return _centre()


def _centre(errors: dict[str, str] | None = None) -> str:
    who = resident()
    with house().db.reading_session() as session:
        given = consents.history(session, who.id)
        switched = consents.switches(session, who.id)
    return render_template(
        "privacy_centre.html",
        errors=errors,
        acting_for_family=who.guardian is not None,
        held=privacy.overview(house(), who.id),
        switches=[
            (
                document,
                name,
                line,
                switched[document],
                consent_text(language(), PRESENT[document], document),
            )
            for document, (name, line) in consents.SWITCHES.items()
            if document in switched
        ],
        present=PRESENT,
        consents=given,
        outdated=[consent for consent in given if consents.is_outdated(consent)],
    )


@blueprint.post("/me/privacy/consents")
@resident_required
def consent() -> Answer:
    """Say yes to a text, or take it back."""
    document = _document(request.form.get("document", ""))
    try:
        if document is Document.FAMILY and request.form.get("wanted") == "off":
            families.end(house(), resident().person)
        elif request.form.get("wanted") == "off":
            consents.withdraw(house(), resident().id, document)
        else:
            consents.give(house(), resident().id, document, request.form.get("version", ""))
    except InvalidField as error:
        return _centre({"": next(iter(form_errors(error).values()))}), error.status
    return redirect(url_for("privacy.centre", _anchor="switches"), 303)


@blueprint.post("/me/privacy/download")
@resident_required
def download() -> Answer:
    """A copy of everything that is held of the resident."""
    name = f"tanpuhui-{clock.today().isoformat()}.zip"
    return Response(
        privacy.download(house(), resident().id),
        mimetype="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@blueprint.route("/me/nickname", methods=["GET", "POST"])
@person_required
def nickname() -> Answer:
    """Choose a nickname, or none."""
    if request.method == "GET":
        with house().db.reading_session() as session:
            person = session.get_one(Resident, resident().id)
        if person.account_kind is not AccountKind.PERSON:
            raise NotAllowed
        return render_template("nickname.html", nickname=person.nickname or "")
    try:
        people.rename(house(), resident().id, request.form.get("nickname", ""))
    except InvalidField as error:
        page = render_template(
            "nickname.html", nickname=request.form.get("nickname", ""), errors=form_errors(error)
        )
        return page, error.status
    return redirect(url_for("pages.profile"), 303)
