"""The bureau's pages of factors: what is published, what is proposed, and the steps from the one to the other."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from sqlmodel import Session, col, select
from werkzeug.wrappers import Response as AnyResponse

from activities import factor_words as words
from activities.catalogue import ActionKind
from activities.quantify import proposals, publication
from activities.quantify.factors import (
    FactorVersion,
    all_versions,
    closed_by,
    select_valid,
    uncancelled,
    versions_by_kind,
)
from activities.quantify.methodologies import all_methodologies, methodology_of
from activities.quantify.proposal_import import Imported
from activities.quantify.proposals import OPEN, PROPOSAL_STATE_NAMES, FactorProposal
from tanpuhui import clock
from tanpuhui.bureau.participation import READERS, may_read, read_day
from tanpuhui.errors import NotAllowed, NotFound, TanpuhuiError
from tanpuhui.staff import Role, Staff
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("factor_desk", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]


def may_change() -> bool:
    """Whether the visitor may take steps here, for what the page offers (never for permission)."""
    try:
        may_read(house(), staff(), {Role.OFFICER})
    except NotAllowed:
        return False
    return True


# --- looking ------------------------------------------------------------------------------------------------


@blueprint.get("/bureau/factors")
@staff_required(*READERS)
def factors() -> Answer:
    """Proposals that wait, and the version of every kind that is valid today."""
    may_read(house(), staff())
    today = clock.today()
    with house().db.reading_session() as session:
        versions = versions_by_kind(session)
        opened = proposals.list_proposals(session, *OPEN)
        kinds = session.exec(select(ActionKind).order_by(ActionKind.category, ActionKind.code)).all()
        return render_template(
            "activities/factor_desk.html",
            kinds=[(kind, present(versions.get(kind.code, []), today)) for kind in kinds],
            proposals=opened,
            names=_names(session, opened),
            states=PROPOSAL_STATE_NAMES,
            imported=_counts(),
            may_change=may_change(),
        )


def _counts() -> Imported | None:
    """What an import that has just been made says of itself in the address."""
    counts = {name: request.args.get(name, type=int) for name in Imported.__dataclass_fields__}
    return Imported(**{name: count or 0 for name, count in counts.items()}) if any(counts.values()) else None


@blueprint.get("/bureau/factors/kinds/<code>")
@staff_required(*READERS)
def kind(code: str) -> Answer:
    """The versions and proposals of a kind."""
    return _kind_page(code)


def _kind_page(code: str, version_id: str = "", step: str = "", error: TanpuhuiError | None = None) -> Answer:
    """A kind; with what is wrong with the form that retires or cancels a version."""
    may_read(house(), staff())
    today = clock.today()
    with house().db.reading_session() as session:
        found = kind_of(session, code)
        proposed = proposals.list_proposals(session, kind=code)
        versions = all_versions(session, code)
        page = render_template(
            "activities/factor_desk_kind.html",
            kind=found,
            methodology=methodology_of(session.connection()).get(code),
            versions=list(reversed(versions)),
            proposals=proposed,
            names=_names(session, proposed, [one.cancelled_by for one in versions if one.cancelled_by]),
            publishers={one.id: one.published_by for one in proposed},
            me=staff().id,
            states=PROPOSAL_STATE_NAMES,
            today=today,
            may_change=may_change(),
            form=request.form,
            step=step,
            errors={version_id: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.get("/bureau/factors/proposals/<uuid:proposal_id>")
@staff_required(*READERS)
def proposal(proposal_id: UUID) -> Answer:
    """A proposal beside the version it would follow, with the steps taken and those that can be."""
    return _proposal_page(proposal_id)


def _proposal_page(proposal_id: UUID, form_of: str = "", error: TanpuhuiError | None = None) -> Answer:
    """A proposal; `form_of` names the form on it that `error` belongs to."""
    may_read(house(), staff())
    today = clock.today()
    with house().db.reading_session() as session:
        found = proposals.get_proposal(session, proposal_id)
        versions = all_versions(session, found.action_code)
        others = [version for version in uncancelled(versions) if version.proposal_id != found.id]
        eve = found.valid_from - timedelta(days=1) if found.valid_from else today
        before = select_valid(others, eve) or present(others, today)
        titles = {one.code: words.title_of(one) for one in all_methodologies(session)}
        past = found.valid_from is None or found.valid_from <= today
        published = next((one for one in versions if one.proposal_id == found.id), None)
        history = proposals.history_of(session, found, published)
        page = render_template(
            "activities/factor_desk_proposal.html",
            proposal=found,
            kind=kind_of(session, found.action_code),
            before=before,
            published=published,
            lines=words.compared(before, found, titles),
            eve=eve,
            closes=closed_by(others, found.valid_from) if found.state in OPEN else None,
            number=max((version.version for version in versions), default=0) + 1,
            kept=publication.records_kept(session, found) if past and found.state in OPEN else None,
            history=history,
            names=_names(session, [found], [entry.actor_id for entry in history if entry.actor_id]),
            steps=words.STEP_NAMES,
            field_name=words.field_name,
            states=PROPOSAL_STATE_NAMES,
            seen=proposals.fingerprint(found),
            mine=found.proposed_by == staff().id,
            may_change=may_change() and found.state in OPEN,
            form=request.form,
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


def present(versions: Sequence[FactorVersion], today: date) -> FactorVersion | None:
    """The version valid today, else the one that begins last."""
    by_start = sorted(uncancelled(versions), key=lambda version: version.valid_from or date.min)
    return select_valid(by_start, today) or (by_start[-1] if by_start else None)


def kind_of(session: Session, code: str) -> ActionKind:
    """The kind with this code. Raises NotFound."""
    found = session.get(ActionKind, code)
    if found is None:
        raise NotFound
    return found


def _names(session: Session, found: Sequence[FactorProposal], more: Sequence[UUID] = ()) -> dict[UUID, str]:
    """The names of those who took a step with the proposals."""
    wanted = {who for one in found for who in (one.proposed_by, one.reviewed_by, one.published_by) if who}
    rows = session.exec(select(Staff.id, Staff.name).where(col(Staff.id).in_(wanted | set(more)))).all()
    return dict(rows)


# --- the steps ----------------------------------------------------------------------------------------------


@blueprint.post("/bureau/factors/proposals/<uuid:proposal_id>/<any(review, decline, publish):step>")
@staff_required(Role.OFFICER)
def take_step(proposal_id: UUID, step: str) -> Answer:
    """Pass a proposal, turn it down, or publish it."""
    who, reason = staff(), request.form.get("reason", "")
    try:
        if step == "review":
            proposals.review(house(), who, proposal_id, reason, seen=request.form.get("seen", ""))
        elif step == "decline":
            proposals.decline(house(), who, proposal_id, reason)
        else:
            publication.publish(house(), who, proposal_id)
    except TanpuhuiError as error:
        if type(error) in {NotFound, NotAllowed}:
            raise
        return _proposal_page(proposal_id, step, error)
    return redirect(url_for("factor_desk.proposal", proposal_id=proposal_id), 303)


@blueprint.post("/bureau/factors/versions/<version_id>/<any(retire, cancel):step>")
@staff_required(Role.OFFICER)
def end(version_id: str, step: str) -> Answer:
    """Set the last day of a version, or cancel it before its first."""
    who, reason = staff(), request.form.get("reason", "")
    code = version_id.partition("@")[0]
    try:
        if step == "cancel":
            publication.cancel(house(), who, version_id, reason)
        else:
            last_day = read_day(request.form.get("last_day", ""), "last_day")
            publication.retire(house(), who, version_id, last_day, reason)
    except TanpuhuiError as error:
        if type(error) in {NotFound, NotAllowed}:
            raise
        return _kind_page(code, version_id, step, error)
    return redirect(url_for("factor_desk.kind", code=code, _anchor=version_id), 303)
