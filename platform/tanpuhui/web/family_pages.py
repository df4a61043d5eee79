"""The family account: making it, sharing it with a second guardian, changing over between oneself and the family, ending it."""

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import families, signing
from tanpuhui.errors import InvalidField, NotAllowed, NotFound, TanpuhuiError
from tanpuhui.people import PRESENT, AccountKind, Document, Resident, consent_text
from tanpuhui.web import auth
from tanpuhui.web.auth import house, resident, resident_required, safe_next, visitor
from tanpuhui.web.formatting import language
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("family", __name__)

Answer = str | AnyResponse | tuple[str, int]

#: What a form calls the accounts of a guardian.
ME, FAMILY = "me", "family"
ACCOUNTS = (ME, FAMILY)


@blueprint.app_template_global()
def own_family() -> families.Family | None:
    """The family that the visitor shares, if any; looked up once for a page, and only for guardians."""
    who = visitor()
    if who is None or who.family is None:
        return None
    if "_family" not in g:
        with house().db.reading_session() as session:
            g.setdefault("_family", families.family_of(session, who.person))
    found: families.Family | None = g.get("_family")
    return found


@blueprint.get("/me/family")
@resident_required
def page() -> Answer:
    """The family account of a guardian, or what it is and how to make one."""
    return _page()


def _page(error: TanpuhuiError | None = None, form_of: str = "", invitation: str = "") -> Answer:
    """The page; `form_of` names the form on it that `error` belongs to, `invitation` is shown this once."""
    with house().db.reading_session() as session:
        if session.get_one(Resident, resident().person).account_kind is AccountKind.CLASS:
            raise NotAllowed
    shown = render_template(
        "family.html",
        form=request.form,
        errors={form_of: form_errors(error, _FIELD_OF.get(form_of, ""))} if error else {},
        invitation=signing.typed_form(invitation),
        address=f"{house().settings.public_url}{url_for('family.join', code=invitation)}",
        **_text(),
    )
    return (shown, error.status) if error else shown


#: The field of a form that a refusal is about.
_FIELD_OF = {"enter": "code"}


def _text() -> dict[str, Any]:
    version = PRESENT[Document.FAMILY]
    return {"text": consent_text(language(), version, Document.FAMILY), "version": version}


@blueprint.post("/me/family")
@resident_required
def make() -> Answer:
    """Make the family account, and act for it from now on."""
    try:
        families.make(house(), resident().person, label=request.form.get("label", ""), **_agreed())
    except InvalidField as error:
        return _page(error, "make")
    return _arrived()


def _agreed() -> dict[str, Any]:
    return {"adult": request.form.get("adult") == "yes", "version": request.form.get("version", "")}


def _arrived() -> AnyResponse:
    """To the family's page, acting for it."""
    auth.look_again()
    auth.act_for(True)
    return redirect(url_for("family.page", done="made"), 303)


@blueprint.post("/me/family/account")
@resident_required
def change_over() -> Answer:
    """Act for the family from now on, or for oneself; and back to where one was."""
    auth.act_for(request.form.get("account") == FAMILY)
    return redirect(safe_next(request.form.get("next"), url_for("pages.home")), 303)


@blueprint.post("/me/family/name")
@resident_required
def rename() -> Answer:
    """Call the family something else."""
    try:
        families.rename(house(), resident().person, request.form.get("label", ""))
    except InvalidField as error:
        return _page(error, "name")
    return redirect(url_for("family.page", done="named"), 303)


@blueprint.post("/me/family/invitation")
@resident_required
def invite() -> Answer:
    """A code for the second guardian; shown once, on the answer itself."""
    return _page(invitation=families.invite(house(), resident().person))


@blueprint.get("/me/family/join")
@resident_required
def join() -> Answer:
    """What an invitation leads to. Opening it asks; only the answer uses it up."""
    return _join_page()


def _join_page(error: TanpuhuiError | None = None) -> Answer:
    code = request.values.get("code", "")[:40]
    with house().db.reading_session() as session:
        label = families.invited_to(session, code)
    if label is None:
        if not code:
            raise NotFound
        return render_template("family_join.html", label=None), 404
    errors = form_errors(error) if error else {}
    shown = render_template(
        "family_join.html", label=label, code=code, form=request.form, errors=errors, **_text()
    )
    return (shown, error.status) if error else shown


@blueprint.post("/me/family/join")
@resident_required
def accept() -> Answer:
    """Share the family of an invitation, and act for it from now on."""
    try:
        families.join(house(), resident().person, request.form.get("code", ""), **_agreed())
    except (InvalidField, NotFound) as error:
        return _join_page(error)
    return _arrived()


@blueprint.post("/me/family/end")
@resident_required
def end() -> Answer:
    """Take the consent back and share no longer."""
    auth.act_for(False)
    families.end(house(), resident().person)
    return redirect(url_for("family.page", done="ended"), 303)
