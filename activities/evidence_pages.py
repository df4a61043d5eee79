"""The pages of evidence packs for officers and organisers: what there is, to make one, to read and to take away."""

from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from activities import evidence_packs
from activities.evidence_packs import MAKERS, READERS
from activities.evidence_words import made, sections, title
from tanpuhui import clock
from tanpuhui.bureau.participation import reads_statistics
from tanpuhui.bureau.view import View
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.periods import CalendarPeriod
from tanpuhui.web.auth import house, roles_here, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("evidence", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/bureau/evidence")
@staff_required(*READERS)
def listed() -> Answer:
    """The packs that were made, and the form to make one."""
    return _listed()


def _listed(error: InvalidField | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = evidence_packs.packs(session, staff())
        options = evidence_packs.scopes(session, staff())
    page = render_template(
        "activities/evidence.html",
        packs=found,
        options=[(gettext(name), inside) for name, inside in options],
        may_make=bool(roles_here() & set(MAKERS)),
        year=clock.today().year,
        form=request.form,
        errors=form_errors(error) if error else {},
    )
    return (page, error.status) if error else page


@blueprint.post("/bureau/evidence")
@staff_required(*MAKERS)
def make() -> Answer:
    """Make a pack; then it is there to read. Sent twice, it is made once."""
    from activities.evidence_papers import pack_zip  # late: the type-setting would slow every start

    scope, year = request.form.get("scope", ""), request.form.get("year", "").strip()
    try:
        pack_id = evidence_packs.make(house(), staff(), scope, year, draw=pack_zip, chosen=chosen_id(staff()))
    except InvalidField as error:
        return _listed(error)
    return redirect(url_for("evidence.one", pack_id=pack_id), 303)


@blueprint.get("/bureau/evidence/<uuid:pack_id>")
@staff_required(*READERS)
def one(pack_id: UUID) -> Answer:
    """A pack to read."""
    with house().db.reading_session() as session:
        pack = evidence_packs.pack_of(session, staff(), pack_id)
        traced = pack.division_code if reads_statistics(session, house(), staff()) else None
    return render_template(
        "activities/evidence_pack.html",
        pack=pack,
        title=title(pack.snapshot),
        made=made(pack.snapshot),
        parts=sections(pack.snapshot),
        view=View(CalendarPeriod.parse(str(pack.year)), traced) if traced else None,
    )


@blueprint.get("/bureau/evidence/<uuid:pack_id>/<name>")
@staff_required(*READERS)
def file(pack_id: UUID, name: str) -> Response:
    """A file of a pack, or all of them as one ZIP: as they were drawn."""
    from activities.evidence_papers import KINDS, file_of

    with house().db.reading_session() as session:
        pack = evidence_packs.pack_of(session, staff(), pack_id)
    if name == "evidence.zip":
        body, kind = pack.files, "application/zip"
    elif name in KINDS:
        body, kind = file_of(pack.files, name), KINDS[name]
    else:
        raise NotFound
    where = pack.division_code or str(pack.organisation_id)
    disposition = f'attachment; filename="tanpuhui-{where}-{pack.year}-{pack.number}-{name}"'
    return Response(
        body, mimetype=kind, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"}
    )
