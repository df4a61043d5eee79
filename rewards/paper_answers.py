"""Papers as the answers of pages, and the name of the district that stands on them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Response
from sqlmodel import Session

from tanpuhui.divisions import Division
from tanpuhui.errors import Unprintable
from tanpuhui.web.auth import house

if TYPE_CHECKING:
    from rewards.medal_posters import MedalPoster
    from tanpuhui.certificates import Certificate


def district_name(session: Session) -> str:
    """The name of the district that gives points and honours."""
    division = session.get(Division, house().settings.district_code)
    return division.name if division else ""


def paper_answer(draw: Callable[[], bytes], words: "Certificate | MedalPoster", name: str) -> Response:
    """What `draw` draws of `words`, as a file of this name. Raises Unprintable."""
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs  # late: the type-setting would slow every start

    try:
        body = draw()
    except MissingGlyphs as error:
        raise Unprintable(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise Unprintable(characters=words.title) from error
    kind = "application/pdf" if name.endswith(".pdf") else "image/png"
    return Response(body, mimetype=kind, headers={"Content-Disposition": f'inline; filename="{name}"'})
