"""A certificate as the answer of a page."""

from typing import TYPE_CHECKING

from flask import Response

from tanpuhui.errors import Unprintable

if TYPE_CHECKING:
    from tanpuhui.certificates import Certificate


def certificate_answer(words: "Certificate", number: str) -> Response:
    """The certificate with this number as a PDF to print. Raises Unprintable."""
    from tanpuhui.certificates import certificate_pdf  # late: the type-setting would slow every start
    from tanpuhui.pdf import DoesNotFit, MissingGlyphs

    try:
        body = certificate_pdf(words)
    except MissingGlyphs as error:
        raise Unprintable(characters=" ".join(error.characters)) from error
    except DoesNotFit as error:
        raise Unprintable(characters=words.facts[0][1]) from error
    headers = {"Content-Disposition": f'inline; filename="tanpuhui-{number}.pdf"'}
    return Response(body, mimetype="application/pdf", headers=headers)
