"""The organisers' pages of posters for many sites: choose, look on while they are made, open the file."""

from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlmodel import Session
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from activities import campaigns, poster_prints
from activities.poster_prints import PAPERS, RUNNING
from activities.sites import MANAGERS, SITE_KIND_NAMES, Site, list_sites
from tanpuhui import clock
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("posters", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console/posters")
@staff_required(*MANAGERS)
def choose() -> Answer:
    """Which sites, on which paper, with which campaign; of a campaign that the address names, its sites with its name."""
    return _choose_page()


def _choose_page(error: InvalidField | None = None) -> Answer:
    now = clock.now()
    form: MultiDict[str, str] = request.form
    with house().db.reading_session() as session:
        sites = list_sites(session, staff())
        if campaign_id := request.args.get("campaign", type=UUID):
            form = _for_campaign(session, campaign_id)
        page = render_template(
            "activities/posters.html",
            sites=sites,
            kinds=[
                (kind.value, name)
                for kind, name in SITE_KIND_NAMES.items()
                if kind in {one.kind for one in sites}
            ],
            papers=PAPERS,
            campaigns=[
                (str(one.id), one.title)
                for one in campaigns.list_campaigns(session, staff())
                if one.cancelled_at is None and one.ends_at and one.ends_at > now
            ],
            form=form,
            errors=form_errors(error) if error else {},
        )
    return (page, error.status) if error else page


def _for_campaign(session: Session, campaign_id: UUID) -> MultiDict[str, str]:
    """The form with the sites of a campaign of one's own."""
    campaign = campaigns.managed(session, staff(), campaign_id)
    form = MultiDict({"which": "ticked", "campaign": str(campaign.id)})
    form.setlist("site_ids", [str(site.id) for site in campaigns.sites_of(session, campaign.id)])
    return form


@blueprint.post("/console/posters")
@staff_required(*MANAGERS)
def ask() -> Answer:
    """Ask for the posters, and look on."""
    with house().db.reading_session() as session:
        chosen = [site.id for site in list_sites(session, staff()) if _is_chosen(site)]
    try:
        made = poster_prints.order(
            house(), staff(), chosen, request.form.get("paper", ""), request.form.get("campaign", RUNNING)
        )
    except InvalidField as error:
        return _choose_page(error)
    return redirect(url_for("posters.progress", print_id=made), 303)


def _is_chosen(site: Site) -> bool:
    match request.form.get("which"):
        case "all":
            return True
        case "kinds":
            return site.kind.value in request.form.getlist("site_kinds")
        case _:
            return str(site.id) in request.form.getlist("site_ids")


@blueprint.get("/console/posters/<uuid:print_id>")
@staff_required(*MANAGERS)
def progress(print_id: UUID) -> Answer:
    """How far it is; then the file, or the sites whose posters cannot be printed."""
    with house().db.reading_session() as session:
        asked = poster_prints.asked_for(session, staff(), print_id)
    poster_prints.tend(house(), asked)
    return render_template("activities/poster_print.html", asked=asked, rest=poster_prints.printable(asked))


@blueprint.post("/console/posters/<uuid:print_id>/rest")
@staff_required(*MANAGERS)
def rest(print_id: UUID) -> Answer:
    """Ask again, without the sites whose posters cannot be printed."""
    with house().db.reading_session() as session:
        asked = poster_prints.asked_for(session, staff(), print_id)
    made = poster_prints.order(house(), staff(), poster_prints.printable(asked), asked.paper, asked.campaign)
    return redirect(url_for("posters.progress", print_id=made), 303)


@blueprint.get("/console/posters/<uuid:print_id>.pdf")
@staff_required(*MANAGERS)
def pdf(print_id: UUID) -> Response:
    """The file, once it is whole."""
    with house().db.reading_session() as session:
        asked = poster_prints.asked_for(session, staff(), print_id)
    if asked.file is None:
        raise NotFound
    name = f"tanpuhui-posters-{asked.paper}-{len(asked.site_ids)}.pdf"
    return Response(
        asked.file, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )
