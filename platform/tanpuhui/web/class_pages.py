"""Class accounts: the console's page that makes them, and the link that opens one on the teacher's phone."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from sqlmodel import select
from werkzeug.wrappers import Response as AnyResponse

from tanpuhui import classes, sessions
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.web import auth
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("classes", __name__)

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console/classes")
@staff_required(*classes.MANAGERS)
def listed() -> Answer:
    """The classes of one's organisations, and the form that makes another."""
    return _page()


@blueprint.post("/console/classes")
@staff_required(*classes.MANAGERS)
def create() -> Answer:
    """Make a class account; its link is shown once, on the answer itself."""
    try:
        token = classes.create(
            house(),
            staff(),
            organisation_id=_id(request.form.get("organisation", "")),
            label=request.form.get("label", ""),
            division_code=request.form.get("division_code", ""),
        )
    except InvalidField as error:
        return _page(form_errors(error)), error.status
    return _page(link=_address(token))


@blueprint.post("/console/classes/<uuid:account_id>/link")
@staff_required(*classes.MANAGERS)
def renew(account_id: UUID) -> Answer:
    """A new link, shown once."""
    return _page(link=_address(classes.renew(house(), staff(), account_id)))


@blueprint.post("/console/classes/<uuid:account_id>/close")
@staff_required(*classes.MANAGERS)
def close(account_id: UUID) -> Answer:
    """Close a class account."""
    classes.close(house(), staff(), account_id)
    return redirect(url_for("classes.listed"), 303)


@blueprint.route("/class/<token>", methods=["GET", "POST"])
def enter(token: str) -> Answer:
    """The teacher's link. Opening it asks; only the answer uses it up, so that a preview of the link does not."""
    label = classes.label_of(house(), token)
    if label is None:
        return render_template("class_enter.html", label=None), 404
    if request.method == "GET":
        return render_template("class_enter.html", label=label, token=token)
    subject = classes.open_with(house(), token)
    sessions.end_all(house(), "resident", subject)  # a class is open on one phone: the one lost is out
    session = sessions.new_session(house(), kind="resident", subject_id=subject)
    return auth.log_in_browser(redirect(url_for("pages.home"), 303), session, "resident")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def _address(token: str) -> str:
    return f"{house().settings.public_url}{url_for('classes.enter', token=token)}"


def _page(errors: dict[str, str] | None = None, link: str = "") -> str:
    with house().db.reading_session() as session:
        organisations = classes.organisations_of(session, staff())
        within = tuple(organisation.division_code for organisation in organisations)
        divisions = session.exec(select(Division).order_by(Division.code)).all()
        names = {division.code: division.name for division in divisions}
        communities: dict[str, list[tuple[str, str]]] = {}
        for division in divisions:
            if division.level == DivisionLevel.COMMUNITY and division.code.startswith(within):
                street = names.get(division.code[:9], "")
                communities.setdefault(street, []).append((division.code, division.name))
        return render_template(
            "staff/classes.html",
            form={} if link else request.form,
            errors=errors,
            link=link,
            accounts=classes.classes_of(session, staff()),
            organisations=[(organisation.id, organisation.name) for organisation in organisations],
            communities=list(communities.items()),
        )
