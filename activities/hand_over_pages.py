"""The pages of the hand-over file: to have it made of a declaration and take it, the script that checks it, and a site's number in the register."""

from pathlib import Path
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import declaration_files, sites, source_register, verify_hand_over
from activities.declarations import Declaration
from activities.factor_words import title_of
from activities.quantify.methodologies import Methodology
from activities.sites import MANAGERS
from tanpuhui.bureau.participation import may_read
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("hand_over", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/bureau/declarations/<uuid:declaration_id>/hand-over")
@staff_required(*declaration_files.TAKERS)
def one(declaration_id: UUID) -> Answer:
    """The hand-over file of a declaration: to be made, how far it is, or to be taken."""
    may_read(house(), staff(), declaration_files.TAKERS)
    with house().db.reading_session() as session:
        declaration = session.get(Declaration, declaration_id)
        if declaration is None:
            raise NotFound
        file = declaration_files.latest(session, declaration_id)
        methodology = session.get_one(Methodology, declaration.methodology)
    if file:
        declaration_files.tend(house(), file)
    return render_template(
        "activities/declaration_file.html",
        declaration=declaration,
        title=title_of(methodology),
        file=file,
        kept_until=file.asked_at + declaration_files.KEPT if file else None,
    )


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/hand-over")
@staff_required(*declaration_files.TAKERS)
def order(declaration_id: UUID) -> Answer:
    """Have the hand-over file of a declaration made, and look on."""
    declaration_files.order(house(), staff(), declaration_id)
    return redirect(url_for("hand_over.one", declaration_id=declaration_id), 303)


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/hand-over.zip")
@staff_required(*declaration_files.TAKERS)
def take(declaration_id: UUID) -> Response:
    """The hand-over file of a declaration, once it is whole; that it was taken is noted."""
    file, declaration, pieces = declaration_files.take(house(), staff(), declaration_id)
    period = f"{declaration.methodology}-{declaration.first}-{declaration.last}"
    name = f"tanpuhui-hand-over-{period}-{(file.fingerprint or '')[:8]}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(file.size),
        "Cache-Control": "no-store",
    }
    return Response(pieces, mimetype="application/zip", headers=headers)


@blueprint.get("/hand-over/verify_hand_over.py")
def script_download() -> Response:
    """The script that checks a hand-over file without the platform."""
    text = Path(verify_hand_over.__file__).read_text(encoding="utf-8")
    headers = {"Content-Disposition": 'attachment; filename="verify_hand_over.py"'}
    return Response(text, mimetype="text/x-python", headers=headers)


@blueprint.route("/console/sites/<uuid:site_id>/source-register", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def number(site_id: UUID) -> Answer:
    """Show and say under which number a site stands in the register of sources."""
    with house().db.reading_session() as session:
        site = sites.get_site(session, staff(), site_id)
    errors: dict[str, str] = {}
    if request.method == "POST":
        said = (request.form.get("source_register", ""), request.form.get("reason", ""))
        try:
            source_register.set_number(house(), staff(), site_id, *said)
            return redirect(url_for("console.site", site_id=site_id), 303)
        except InvalidField as error:
            errors = form_errors(error)
    form = request.form if request.method == "POST" else {"source_register": site.source_register or ""}
    page = render_template("activities/site_register.html", site=site, form=form, errors=errors)
    return (page, 422) if errors else page
