"""The organisers' pages on which a campaign comes to be: choose a template, fill in, look at it as residents will, submit."""

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_desk, campaigns, choices
from activities.campaign_desk import CampaignIn, ChangeIn
from activities.campaign_forms import Form, form_from, form_of, read_change
from activities.campaign_templates import on_shelf, shelf
from activities.campaign_words import (
    ACCOUNT_NAMES,
    TEAM_KINDS,
    WEEKDAYS,
    observance_name,
    span_words,
    template_title,
    template_when,
    template_words,
)
from activities.campaigns import Campaign, CampaignVersion, VersionState
from activities.catalogue import ActionKind
from activities.observances import Ahead, ahead
from activities.occasion_pages import draft_shown
from activities.sites import MANAGERS, SITE_KIND_NAMES, Site, list_sites
from activities.template_format import Template
from tanpuhui import clock
from tanpuhui.divisions import Division, street_of
from tanpuhui.errors import CampaignMovedOn, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.formatting import name_of
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("campaign_forms", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

#: Stands for no template in an address.
BLANK = "blank"


@blueprint.get("/console/campaigns/new")
@staff_required(*MANAGERS)
def choose() -> Answer:
    """Choose a template, or none."""
    with house().db.reading_session() as session:
        return render_template(
            "activities/campaign_choose.html",
            shelf=[
                (
                    one,
                    template_title(one.template),
                    template_words(one.template),
                    template_when(session, one.template),
                )
                for one in shelf(session)
            ],
            blank=BLANK,
            sites=list_sites(session, staff()),
        )


@blueprint.route("/console/campaigns/new/<code>", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def new(code: str) -> Answer:
    """Fill in a campaign, from a template or from nothing."""
    with house().db.reading_session() as session:
        template = None if code == BLANK else on_shelf(session, code).template
        sites = list_sites(session, staff())
    if not sites:
        return redirect(url_for("campaign_forms.choose"))
    if request.method == "POST":
        try:
            campaign_in = _campaign_in(read_change(request.form, sites), template)
            made = campaign_desk.draft(house(), staff(), campaign_in, chosen=chosen_id(staff()))
            return redirect(url_for("campaign_forms.preview", campaign_id=made.id), 303)
        except InvalidField as error:
            return _form_page(template, error=error)
    return _form_page(template)


def _campaign_in(change: ChangeIn, template: Template | None) -> CampaignIn:
    """The campaign with whose it is: the code of a division, or the id of an organisation."""
    scope = request.form.get("division_code", "")
    try:
        organisation_id = UUID(scope) if len(scope) > 12 else None
    except ValueError:
        raise InvalidField(errors=[{"field": "division_code", "reason": N_("请从列表中选择。")}]) from None
    return CampaignIn(
        title=change.title,
        division_code="" if organisation_id else scope,
        organisation_id=organisation_id,
        template=template.code if template else None,
        rules=change.rules,
    )


@blueprint.route("/console/campaigns/<uuid:campaign_id>/edit", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def edit(campaign_id: UUID) -> Answer:
    """Write in the draft; of an approved campaign, in its next version."""
    with house().db.reading_session() as session:
        campaign = campaigns.managed(session, staff(), campaign_id)
        version = campaigns.versions_of(session, campaign_id)[0]
        template = _template_of(session, campaign)
        sites = list_sites(session, staff())
    if version.state is VersionState.SUBMITTED or campaign.cancelled_at:
        raise CampaignMovedOn
    if request.method == "POST":
        try:
            campaign_desk.amend(house(), staff(), campaign_id, read_change(request.form, sites))
            return redirect(url_for("campaign_forms.preview", campaign_id=campaign_id), 303)
        except InvalidField as error:
            return _form_page(template, campaign, version, error=error)
    return _form_page(template, campaign, version)


def _template_of(session: Session, campaign: Campaign) -> Template | None:
    try:
        return on_shelf(session, campaign.template).template if campaign.template else None
    except NotFound:  # withdrawn since
        return None


def _form_page(
    template: Template | None,
    campaign: Campaign | None = None,
    version: CampaignVersion | None = None,
    *,
    error: InvalidField | None = None,
) -> Answer:
    """The form: as it was filled in, or else from the version or the template; beside each field what is wrong with it."""
    with house().db.reading_session() as session:
        sites, calendar = list_sites(session, staff()), ahead(session, clock.today())
        form: Form = request.form
        if "when.by" not in form:  # nothing was typed here
            form = (
                form_of(version.title, version.read())
                if version
                else form_from(template, calendar, sites, clock.today())
            )
        there = {site.kind for site in sites}
        page = render_template(
            "activities/campaign_form.html",
            form=form,
            errors=form_errors(error) if error else {},
            campaign=campaign,
            version=version,
            code=template.code if template else BLANK,
            template=template_title(template) if template else "",
            scopes=[] if campaign else _scopes(session),
            days=_days(session, calendar, form.get("when.observance.day", "")),
            untils=sorted({(one.key, name_of(one)) for one in calendar}),
            weekdays=[(str(at), gettext(name), "") for at, name in enumerate(WEEKDAYS, start=1)],
            site_kinds=[
                (kind.value, gettext(name), "") for kind, name in SITE_KIND_NAMES.items() if kind in there
            ],
            streets=_by_street(session, sites),
            kinds=[(kind.code, name_of(kind), "") for kind in _kinds(session)],
            communities=choices.communities(session, staff()),
            accounts=[(kind.value, gettext(name), "") for kind, name in ACCOUNT_NAMES.items()],
            team_kinds=[("", gettext("不分队"), "")]
            + [(kind, gettext(name), "") for kind, name in TEAM_KINDS.items()],
        )
    return (page, error.status) if error else page


def _scopes(session: Session) -> choices.Groups:
    """Whose a campaign may be: divisions, and organisations that one runs one for."""
    groups = [
        (gettext("区、街道、镇"), choices.scopes(session, staff())),
        (gettext("单位"), choices.organisations(session, staff())),
    ]
    return [(heading, options) for heading, options in groups if options]


def _days(session: Session, calendar: Sequence[Ahead], chosen: str) -> choices.Options:
    """The observances ahead with their days, or that these are not announced; and what was chosen before, if it is past."""
    found = [(f"{one.key}:{one.year}", _day_words(one)) for one in calendar]
    key, _, year = chosen.partition(":")
    if key and chosen not in {value for value, _text in found}:
        text = gettext("%(name)s（%(days)s）", name=observance_name(session, key), days=year)
        return [(chosen, text), *found]
    return found


def _day_words(one: Ahead) -> str:
    days = span_words(one.span) if one.span else gettext("%(year)s年，日期待公布", year=one.year)
    return str(gettext("%(name)s（%(days)s）", name=name_of(one), days=days))


def _by_street(session: Session, sites: Sequence[Site]) -> list[tuple[str, str, list[Site]]]:
    """The sites by the 街镇 they stand in: its code, its name, its sites."""
    codes = sorted({street_of(site.division_code) for site in sites})
    names = dict(
        session.exec(select(Division.code, Division.name).where(col(Division.code).in_(codes))).all()
    )
    return [
        (code, names.get(code, code), [site for site in sites if street_of(site.division_code) == code])
        for code in codes
    ]


def _kinds(session: Session) -> Sequence[ActionKind]:
    query = select(ActionKind).where(col(ActionKind.enabled).is_(True))
    return session.exec(query.order_by(ActionKind.category, ActionKind.code)).all()


# --- before it is submitted ----------------------------------------------------------------------------------


@blueprint.get("/console/campaigns/<uuid:campaign_id>/preview")
@staff_required(*MANAGERS)
def preview(campaign_id: UUID) -> Answer:
    """What is drafted, as residents will see it, and the next step."""
    with house().db.reading_session() as session:
        campaign = campaigns.managed(session, staff(), campaign_id)
        version = campaigns.open_version(session, campaign_id)
        if version is None:
            return redirect(url_for("campaigns.one", campaign_id=campaign_id))
        return render_template(
            "activities/campaign_preview.html",
            campaign=campaign,
            version=version,
            **draft_shown(session, campaign, version),
        )


@blueprint.post("/console/campaigns/<uuid:campaign_id>/submit")
@staff_required(*MANAGERS)
def submit(campaign_id: UUID) -> Answer:
    """Ask for approval. What is wrong by now is said in the form; what was submitted meanwhile, on the campaign's page."""
    try:
        campaign_desk.submit(house(), staff(), campaign_id)
    except InvalidField as error:
        with house().db.reading_session() as session:
            campaign = campaigns.managed(session, staff(), campaign_id)
            version = campaigns.versions_of(session, campaign_id)[0]
            template = _template_of(session, campaign)
        return _form_page(template, campaign, version, error=error)
    except CampaignMovedOn:
        pass
    return redirect(url_for("campaigns.one", campaign_id=campaign_id), 303)
