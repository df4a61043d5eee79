"""The organisers' pages of campaign templates: the shelf, one template as words and as a file, publishing; the bureau's approval."""

from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import campaign_templates, campaigns, choices
from activities.campaign_templates import APPROVERS, Shelved
from activities.campaign_words import template_lines, template_title, template_when, template_words
from activities.sites import MANAGERS
from activities.template_format import LARGEST
from tanpuhui.errors import InvalidField, NotAllowed
from tanpuhui.i18n import N_
from tanpuhui.staff import require
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("templates", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.get("/console/campaign-templates")
@staff_required(*MANAGERS)
def shelf() -> Answer:
    """The templates there are, and a form to publish a file."""
    return _shelf()


def _shelf(error: InvalidField | None = None) -> Answer:
    with house().db.reading_session() as session:
        page = render_template(
            "activities/templates.html",
            shelf=[
                (one, template_title(one.template), template_when(session, one.template))
                for one in campaign_templates.shelf(session)
            ],
            scopes=[
                (gettext("区、街道、镇"), choices.scopes(session, staff())),
                (gettext("单位"), choices.organisations(session, staff())),
            ],
            form=request.form,
            problems=_problems(error),
        )
    return (page, error.status) if error else page


def _problems(error: InvalidField | None) -> list[tuple[str, str]]:
    """What is wrong with a file: where in it, and why."""
    return list(form_errors(error).items()) if error else []


@blueprint.post("/console/campaign-templates")
@staff_required(*MANAGERS)
def publish() -> Answer:
    """Publish a file."""
    scope = request.form.get("scope", "")
    try:
        tenant = UUID(scope) if len(scope) > 12 else None
        content = _file()
        row = campaign_templates.publish(
            house(),
            staff(),
            content,
            division_code="" if tenant else scope,
            organisation_id=tenant,
        )
    except InvalidField as error:
        return _shelf(error)
    except ValueError:
        return _shelf(InvalidField(errors=[{"field": "scope", "reason": N_("请从列表中选择。")}]))
    return redirect(url_for("templates.one", code=row.code), 303)


def _file() -> bytes:
    """What was sent, as far as a template may be long. Raises InvalidField."""
    file = request.files.get("file")
    if file is None or not file.filename:
        raise InvalidField(errors=[{"field": "file", "reason": N_("请选择一个模板文件。")}])
    return file.stream.read(LARGEST + 1)


@blueprint.get("/console/campaign-templates/<code>")
@staff_required(*MANAGERS)
def one(code: str) -> Answer:
    """A template in words."""
    with house().db.reading_session() as session:
        found = campaign_templates.on_shelf(session, code)
        return render_template(
            "activities/template.html",
            one=found,
            title=template_title(found.template),
            words=template_words(found.template),
            lines=template_lines(session, found.template),
            may_withdraw=_may(session, found),
            may_approve=_is_approver(session),
        )


def _may(session: Session, found: Shelved) -> bool:
    """Whether one may withdraw it."""
    row = found.published
    if row is None:
        return False
    try:
        require(
            session, staff(), MANAGERS, division_code=row.division_code, organisation_id=row.organisation_id
        )
    except NotAllowed:
        return False
    return True


def _is_approver(session: Session) -> bool:
    try:
        require(session, staff(), APPROVERS, division_code=house().settings.district_code)
    except NotAllowed:
        return False
    return True


@blueprint.get("/console/campaign-templates/<code>.json")
@staff_required(*MANAGERS)
def download(code: str) -> Response:
    """The file, the same bytes each time."""
    with house().db.reading_session() as session:
        found = campaign_templates.on_shelf(session, code)
    name = f'attachment; filename="{found.code}.json"'
    return Response(found.text, mimetype="application/json", headers={"Content-Disposition": name})


@blueprint.post("/console/campaign-templates/<code>/withdraw")
@staff_required(*MANAGERS)
def withdraw(code: str) -> Answer:
    """Take it off the shelf."""
    campaign_templates.withdraw(house(), staff(), code)
    return redirect(url_for("templates.shelf"), 303)


@blueprint.post("/console/campaign-templates/<code>/approve")
@staff_required(*APPROVERS)
def approve(code: str) -> Answer:
    """Approve it before, as it was read."""
    campaign_templates.approve(house(), staff(), code, request.form.get("digest", ""))
    return redirect(url_for("templates.one", code=code), 303)


@blueprint.post("/console/campaign-templates/<code>/end-approval")
@staff_required(*APPROVERS)
def end_approval(code: str) -> Answer:
    """Approve its campaigns one by one again."""
    campaign_templates.end_approval(house(), staff(), code)
    return redirect(url_for("templates.one", code=code), 303)


@blueprint.route("/console/campaigns/<uuid:campaign_id>/publish", methods=["GET", "POST"])
@staff_required(*MANAGERS)
def of_campaign(campaign_id: UUID) -> Answer:
    """Make a template of a campaign of one's own."""
    error: InvalidField | None = None
    if request.method == "POST":
        fields = {
            name: request.form.get(name, "").strip() for name in ("author", "licence", "title_en", "words_en")
        }
        try:
            row = campaign_templates.publish_campaign(house(), staff(), campaign_id, **fields)
            return redirect(url_for("templates.one", code=row.code), 303)
        except InvalidField as refused:
            error = refused
    with house().db.reading_session() as session:
        campaign = campaigns.managed(session, staff(), campaign_id)
    page = render_template(
        "activities/template_of.html",
        campaign=campaign,
        form=request.form,
        errors=form_errors(error) if error else {},
    )
    return (page, error.status) if error else page
