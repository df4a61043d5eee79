"""Staff's pages of honours: nominating in the console, deciding and revoking in the bureau."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from rewards import honour_decisions, nominations
from rewards.honour_pages import require_printable
from rewards.honours import HONOUR_STATE_NAMES, HolderKind, HonourState, evidence_of
from rewards.nominations import DECIDERS, MOST_EVIDENCE, NOMINATORS, Nomination
from rewards.scopes import scopes_of
from tanpuhui import qr
from tanpuhui.bureau.participation import READERS
from tanpuhui.classes import MANAGERS, classes_of
from tanpuhui.errors import InvalidField, NotFound, TanpuhuiError
from tanpuhui.sessions import Principal
from tanpuhui.web.auth import house, roles_here, saw, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("honour_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


@blueprint.app_template_filter()
def honour_state(state: HonourState) -> str:
    """Where an honour stands, in the page's language."""
    return str(_(HONOUR_STATE_NAMES[state]))


@blueprint.app_template_filter()
def own_page(source: str) -> str:
    """The path of a page of this platform that a source names; "" for anything else."""
    path = source.removeprefix(house().settings.public_url)
    here = path != source and path.startswith("/")
    return path if here and path.isascii() and path.isprintable() else ""


# --- the console: nominating -------------------------------------------------------------------------------


@blueprint.get("/console/honours")
@staff_required(*NOMINATORS)
def listed() -> Answer:
    """The nominations of one's scope, and where each stands."""
    with house().db.reading_session() as session:
        return render_template(
            "rewards/nominations.html",
            honours=nominations.nominated(session, staff()),
            kinds=[kind for kind in nominations.kinds(session) if not kind.retired_at],
        )


@blueprint.get("/console/honours/new")
@staff_required(*NOMINATORS)
def new() -> Answer:
    """The form that nominates."""
    return _form()


def _form(errors: dict[str, str] | None = None) -> Answer:
    with house().db.reading_session() as session:
        scopes = scopes_of(session, staff(), NOMINATORS)
        classes = [
            (account.resident_id, f"{organisation.name} · {account.label}")
            for account, organisation in (classes_of(session, staff()) if roles_here() & MANAGERS else ())
        ]
        kinds = [kind for kind in nominations.kinds(session) if not kind.retired_at]
    page = render_template(
        "rewards/nomination_new.html",
        kinds=kinds,
        scopes=[("", [(scope.key, scope.name) for scope in scopes])],
        only_scope=scopes[0].key if len(scopes) == 1 else "",
        classes=[("", classes)] if classes else [],
        most_evidence=MOST_EVIDENCE,
        form=request.form,
        errors=errors,
    )
    return (page, InvalidField.status) if errors else page


@blueprint.post("/console/honours/new")
@staff_required(*NOMINATORS)
def nominate() -> Answer:
    """Nominate; for a person the answer shows the invitation, once."""
    form = request.form
    evidence = [
        (form.get(f"what-{place}", ""), form.get(f"source-{place}", "")) for place in range(MOST_EVIDENCE)
    ]
    nomination = Nomination(
        kind_id=_id(form.get("kind", "")),
        holder=_holder(form.get("holder", "")),
        scope=form.get("scope", ""),
        reason=form.get("reason", ""),
        evidence=evidence,
        name=form.get("name", ""),
        class_id=_id(form.get("class_id", "")),
        agreed=form.get("agreed") == "yes",
        listed=form.get("listed") == "yes",
    )
    try:
        require_printable({"name": nomination.name, "reason": nomination.reason})
        honour_id, token = nominations.nominate(house(), staff(), nomination, chosen_id(staff()))
    except InvalidField as error:
        return _form(form_errors(error))
    if token:
        return _one(honour_id, token=token)
    return redirect(url_for("honour_desk.nomination", honour_id=honour_id, done=1), 303)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _holder(text: str) -> HolderKind | None:
    return next((kind for kind in HolderKind if kind.value == text), None)


@blueprint.get("/console/honours/<uuid:honour_id>")
@staff_required(*NOMINATORS)
def nomination(honour_id: UUID) -> Answer:
    """One nomination: evidence, invitation, what became of it; who looked is written down."""
    page = _one(honour_id)
    saw(f"honour:{honour_id}")
    return page


def _one(
    honour_id: UUID,
    *,
    token: str = "",
    error: TanpuhuiError | None = None,
    place: str = "nominations",
) -> Answer:
    """The page of an honour; `place`: in whose menu, and with it what can be done there."""
    bureau = place == "honours"
    address = f"{house().settings.public_url}{url_for('honours.invitation', token=token)}" if token else ""
    with house().db.reading_session() as session:
        roles = (*READERS,) if bureau else NOMINATORS
        found = nominations.in_scope(session, staff(), honour_id, roles)
        evidence = evidence_of(session, honour_id)
    page = render_template(
        "rewards/nomination.html",
        found=found,
        evidence=evidence,
        place=place,
        bureau=bureau,
        address=address,
        picture=Markup(qr.svg(address, level="M", max_version=10)) if address else "",  # noqa: S704 - drawn here
        may_decide=bureau and bool(roles_here() & set(DECIDERS)),
        own=found.honour.nominated_by == staff().id,
        done=request.args.get("done", ""),
        form=request.form,
        errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


@blueprint.post("/console/honours/<uuid:honour_id>/invite")
@staff_required(*NOMINATORS)
def invite(honour_id: UUID) -> Answer:
    """A new invitation, shown once; the one before ends."""
    return _one(honour_id, token=nominations.invite(house(), staff(), honour_id))


@blueprint.post("/console/honours/<uuid:honour_id>/hide")
@staff_required(*NOMINATORS)
def hide(honour_id: UUID) -> Answer:
    """A class or a team is named no more, on its word."""
    nominations.hide(house(), staff(), honour_id)
    return redirect(url_for("honour_desk.nomination", honour_id=honour_id), 303)


# --- the bureau: titles, deciding, revoking ----------------------------------------------------------------


@blueprint.get("/bureau/honours")
@staff_required(*READERS)
def queue() -> Answer:
    """What waits for a decision, what was decided, and the titles of the district."""
    return _queue()


def _queue(errors: dict[str, str] | None = None) -> Answer:
    with house().db.reading_session() as session:
        found = honour_decisions.to_decide(session, staff())
        page = render_template(
            "rewards/honour_queue.html",
            waiting=[one for one in found if one.state is HonourState.NOMINATED],
            others=[one for one in found if one.state is not HonourState.NOMINATED],
            kinds=nominations.kinds(session),
            may_decide=bool(roles_here() & set(DECIDERS)),
            form=request.form,
            errors=errors,
        )
    return (page, InvalidField.status) if errors else page


@blueprint.post("/bureau/honours/kinds")
@staff_required(*DECIDERS)
def create_kind() -> Answer:
    """Add a title of the district."""
    title, purpose = request.form.get("title", ""), request.form.get("purpose", "")
    try:
        require_printable({"title": title})
        nominations.create_kind(house(), staff(), title, purpose)
    except InvalidField as error:
        return _queue(form_errors(error))
    return redirect(url_for("honour_desk.queue", _anchor="kinds"), 303)


@blueprint.post("/bureau/honours/kinds/<uuid:kind_id>/retire")
@staff_required(*DECIDERS)
def retire_kind(kind_id: UUID) -> Answer:
    """Give a title no more."""
    nominations.retire_kind(house(), staff(), kind_id)
    return redirect(url_for("honour_desk.queue", _anchor="kinds"), 303)


@blueprint.get("/bureau/honours/<uuid:honour_id>")
@staff_required(*READERS)
def one(honour_id: UUID) -> Answer:
    """One nomination or honour, with the evidence, and what an officer can do with it; who looked is written down."""
    page = _one(honour_id, place="honours")
    saw(f"honour:{honour_id}")
    return page


@blueprint.post("/bureau/honours/<uuid:honour_id>/decide")
@staff_required(*DECIDERS)
def decide(honour_id: UUID) -> Answer:
    """Give it or decline it, once."""

    def work(by: Principal, form: Any) -> None:
        honour_decisions.decide(house(), by, honour_id, form.get("decision", ""), form.get("reason", ""))

    return _do(honour_id, work)


@blueprint.post("/bureau/honours/<uuid:honour_id>/revoke")
@staff_required(*DECIDERS)
def revoke(honour_id: UUID) -> Answer:
    """Revoke it for good."""
    return _do(
        honour_id, lambda by, form: honour_decisions.revoke(house(), by, honour_id, form.get("reason", ""))
    )


def _do(honour_id: UUID, work: Any) -> Answer:
    """Do it, or show the page again with what was refused and what was typed."""
    try:
        work(staff(), request.form)
    except NotFound:
        raise
    except TanpuhuiError as error:
        return _one(honour_id, error=error, place="honours")
    return redirect(url_for("honour_desk.one", honour_id=honour_id), 303)
