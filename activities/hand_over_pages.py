"""The pages of the hand-over file: to take it from a declaration, the script that checks it, and a site's number in the register."""

from pathlib import Path
from tempfile import TemporaryFile
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, send_file, url_for
from werkzeug.wrappers import Response as AnyResponse

from activities import hand_over, sites, source_register, verify_hand_over
from activities.declarations import Declaration
from activities.sites import MANAGERS
from tanpuhui.errors import InvalidField, TanpuhuiError
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("hand_over", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.post("/bureau/declarations/<uuid:declaration_id>/hand-over")
@staff_required(*hand_over.TAKERS)
def take(declaration_id: UUID) -> Response:
    """The hand-over file of a declaration; that it was taken is noted."""
    file = TemporaryFile()  # noqa: SIM115 - closed with the answer
    try:
        fingerprint = hand_over.hand_over(house(), staff(), declaration_id, file)
    except TanpuhuiError:
        file.close()
        raise
    with house().db.reading_session() as session:
        found = session.get_one(Declaration, declaration_id)
    name = f"tanpuhui-hand-over-{found.methodology}-{found.first}-{found.last}-{fingerprint[:8]}.zip"
    file.seek(0)
    return send_file(file, "application/zip", as_attachment=True, download_name=name, max_age=0)


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
