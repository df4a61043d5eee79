"""Photos as pictures: for who may decide upon the record, and for the resident who offered it. Nobody else, and no cache."""

from uuid import UUID

from flask import Blueprint, Response

from activities import photos
from activities.sites import MANAGERS
from tanpuhui.web.auth import house, resident, resident_required, staff, staff_required

blueprint = Blueprint("photos", __name__, template_folder="templates")


@blueprint.get("/console/photos/<uuid:action_id>")
@staff_required(*MANAGERS)
def look(action_id: UUID) -> Response:
    """The photo of a record that waits; who looked is written down."""
    with house().db.session() as session:
        return _picture(photos.look(session, staff(), action_id))


@blueprint.get("/me/actions/<uuid:action_id>/photo")
@resident_required
def own(action_id: UUID) -> Response:
    """One's own photo, while it is there."""
    with house().db.reading_session() as session:
        return _picture(photos.own_photo(session, resident().person, action_id))


@blueprint.app_template_global()
def photo_with(action_id: UUID) -> photos.ActionPhoto | None:
    """The photo that was offered with a record, deleted or not."""
    with house().db.reading_session() as session:
        return photos.photo_of(session, action_id)


def _picture(jpeg: bytes) -> Response:
    headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Content-Disposition": "inline"}
    return Response(jpeg, mimetype="image/jpeg", headers=headers)
