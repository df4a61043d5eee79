"""The public pages of donations: checking a certificate by its number, and the certificate on paper. They name nobody."""

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from rewards import donations
from rewards.paper_answers import district_name, paper_answer
from tanpuhui.errors import NotFound
from tanpuhui.web.auth import house

blueprint = Blueprint("donations", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/donations")
def index() -> Answer:
    """The field for a number; a number leads to its page."""
    typed = request.args.get("number", "").strip()[:80]
    if typed:
        return redirect(url_for("donations.verify", donation=typed))
    return render_template("rewards/donation.html", found=None, typed="")


@blueprint.get("/donations/<donation>")
def verify(donation: str) -> Answer:
    """Whether a certificate is genuine and its donation stands: what for, how many points, when; never whose."""
    try:
        with house().db.reading_session() as session:
            found = donations.donated(session, donation)
    except NotFound as error:
        return render_template("rewards/donation.html", found=None, typed=donation[:80]), error.status
    if found.certificate.number != donation:
        return redirect(url_for("donations.verify", donation=found.certificate.number))
    return render_template("rewards/donation.html", found=found, typed="")


@blueprint.get("/donations/<donation>/certificate.pdf")
def certificate_pdf(donation: str) -> Answer:
    """The certificate to print; none of a donation whose points came back."""
    from rewards.donation_papers import certificate_of  # late: the type-setting would slow every start
    from tanpuhui.certificates import certificate_pdf as pdf

    with house().db.reading_session() as session:
        found = donations.donated(session, donation)
        words = certificate_of(house().settings, found, district_name(session))
    if not found.stands:
        raise NotFound
    return paper_answer(lambda: pdf(words), words, f"tanpuhui-{found.certificate.number}.pdf")


@blueprint.get("/donations/<donation>/poster.png")
def poster_png(donation: str) -> Answer:
    """The poster to pass on; none where there is no certificate."""
    from rewards.donation_papers import poster_of  # late: the type-setting would slow every start
    from rewards.medal_posters import poster_png as png

    with house().db.reading_session() as session:
        found = donations.donated(session, donation)
        words = poster_of(house().settings, found, district_name(session))
    if not found.stands:
        raise NotFound
    return paper_answer(lambda: png(words), words, f"tanpuhui-{found.certificate.number}.png")
