"""The bureau's pages of methodologies: where each stands with the city, and amending what they say."""

from collections.abc import Mapping, Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import factor_words as words
from activities.factor_desk import may_change
from activities.quantify.filing import RULES, amend_methodology
from activities.quantify.forms import SHAPES
from activities.quantify.methodologies import (
    FILING_NAMES,
    FilingStatus,
    Methodology,
    MethodologyKind,
    all_methodologies,
)
from activities.quantify.register import entries, followers
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.staff import Role
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("methodology_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/bureau/methodologies")
@staff_required(*READERS)
def methodologies() -> Answer:
    """Every methodology with its kinds and where it stands with the city."""
    may_read(house(), staff())
    with house().db.reading_session() as session:
        kinds: dict[str, list[str]] = {}
        for follows in session.exec(select(MethodologyKind).order_by(col(MethodologyKind.kind))):
            kinds.setdefault(follows.methodology, []).append(follows.kind)
        found = all_methodologies(session)
        return render_template(
            "activities/methodology_desk.html",
            methodologies=found,
            counted_twice=_counted_twice(session, found),
            kinds=kinds,
            shapes=SHAPES,
            may_change=may_change(),
        )


def _counted_twice(session: Session, found: Sequence[Methodology]) -> list[str]:
    """The kinds whose factor of today still counts for the district, although the city has a methodology of its own."""
    everything, today = entries(session), clock.today()
    return [
        entry.kind.code
        for one in found
        if one.filing_status is FilingStatus.CITY_METHOD
        for entry in followers(everything, one.code, today)
        if not entry.version.city_credited
    ]


@blueprint.route("/bureau/methodologies/<code>", methods=["GET", "POST"])
@staff_required(Role.OFFICER)
def methodology(code: str) -> Answer:
    """Amend the texts of a methodology and where it stands."""
    may_read(house(), staff(), {Role.OFFICER})
    with house().db.reading_session() as session:
        found = session.get(Methodology, code)
    if found is None:
        raise NotFound
    form: Mapping[str, str] = request.form if request.method == "POST" else found.model_dump(mode="json")
    errors: dict[str, str] = {}
    if request.method == "POST":
        texts = {name: request.form.get(name, "") for name in RULES}
        try:
            amend_methodology(house(), staff(), code, texts, request.form.get("reason", ""))
            return redirect(url_for("methodology_desk.methodologies", _anchor=code), 303)
        except InvalidField as error:
            errors = form_errors(error)
    page = render_template(
        "activities/methodology_desk_form.html",
        methodology=found,
        shape=SHAPES[found.form],
        form=form,
        errors=errors,
        filing=words.options(FILING_NAMES),
    )
    return page, 422 if errors else 200
