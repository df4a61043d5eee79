"""The organisers' pages of codes that are no posters: issuing and ending them, and slips as sheets and as a list."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    redirect,
    render_template,
    request,
    session as form_session,
    url_for,
)
from flask_babel import gettext
from sqlmodel import Session
from werkzeug.wrappers import Response as AnyResponse

from activities import codes, sites as site_service
from activities.catalogue import ActionKind
from activities.codes import Code, CodeKind
from activities.quantify.calculation import parse_quantity
from activities.sites import MANAGERS, Site
from tanpuhui import clock, signing
from tanpuhui.csvtext import write_sheet
from tanpuhui.errors import InvalidField, NotFound, QuantityNotANumber, QuantityTooPrecise
from tanpuhui.i18n import N_
from tanpuhui.web.auth import house, staff, staff_required
from tanpuhui.web.forms import chosen_id, form_errors

blueprint = Blueprint("codes", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_KEY_OF = "key_of"

#: Slips in one PDF: ten sheets, drawn in a second or two.
PER_PDF = 240


# --- issuing and ending ------------------------------------------------------------------------------------


@blueprint.get("/console/sites/<uuid:site_id>/codes/new")
@staff_required(*MANAGERS)
def new(site_id: UUID) -> Answer:
    """Which other codes there are, what each is for, and a form for each."""
    return _new_page(site_id)


def _new_page(site_id: UUID, error: InvalidField | None = None, form_of: str = "") -> Answer:
    with house().db.reading_session() as session:
        page = render_template(
            "activities/code_new.html",
            site=site_service.get_site(session, staff(), site_id),
            kinds=site_service.kinds_of(session, site_id),
            form=request.form,
            today=clock.today(),
            errors={form_of: form_errors(error)} if error else {},
        )
    return (page, error.status) if error else page


@blueprint.post("/console/sites/<uuid:site_id>/codes/<any(rotating, slips, measured):kind>")
@staff_required(*MANAGERS)
def issue(site_id: UUID, kind: str) -> Answer:
    """Issue a code of a kind that is no poster."""
    try:
        wanted = _wanted(CodeKind(kind))
        code = codes.issue_code(
            house(), staff(), site_id, kind=CodeKind(kind), chosen=chosen_id(staff()), **wanted
        )
    except InvalidField as error:
        return _new_page(site_id, error, kind)
    return redirect(after_issuing(code), 303)


def after_issuing(code: Code) -> str:
    """Where to go once `code` is issued: to the key of a scale, which this browser may see once; else to its site."""
    if code.kind is CodeKind.MEASURED:
        form_session[_KEY_OF] = code.id
        return url_for("codes.key", code_id=code.id)
    return url_for("console.site", site_id=code.site_id, fresh=code.id)


def _wanted(kind: CodeKind) -> dict[str, Any]:
    """What the form says of the code. Raises InvalidField."""
    wanted: dict[str, Any] = {"action_kind": request.form.get("action_kind") or None}
    if kind is CodeKind.SLIPS:
        readers = {"copies": _copies, "quantity": _quantity, "valid_until": _valid_until}
        read = {name: reader(request.form.get(name, "").strip()) for name, reader in readers.items()}
        wanted |= {"quantity_milli": read.pop("quantity"), **read}
    return wanted


def _copies(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _quantity(text: str) -> int | None:
    """Thousandths; none for each slip to be asked for it. Raises InvalidField."""
    try:
        return parse_quantity(text) if text else None
    except (QuantityNotANumber, QuantityTooPrecise) as error:
        raise InvalidField(errors=[{"field": "quantity", "reason": error.text}]) from None


def _valid_until(text: str) -> datetime | None:
    """The end of a day. Raises InvalidField."""
    try:
        last = date.fromisoformat(text) if text else None
    except ValueError:
        last = date.min
    if last and not 2000 <= last.year < 3000:
        raise InvalidField(errors=[{"field": "valid_until", "reason": N_("请填写日期。")}])
    return clock.day_bounds(last)[1] if last else None


@blueprint.post("/console/codes/<int(max=1099511627775):code_id>/revoke")
@staff_required(*MANAGERS)
def revoke(code_id: int) -> Answer:
    """Withdraw a code at once, a whole batch of slips with it."""
    code = codes.revoke_code(house(), staff(), code_id, request.form.get("reason", ""))
    return redirect(url_for("console.site", site_id=code.site_id), 303)


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/key")
@staff_required(*MANAGERS)
def key(code_id: int) -> Answer:
    """The key of a scale or partner, shown once to the browser that registered it, and how to sign with it."""
    with house().db.reading_session() as session:
        code = session.get(Code, code_id)
        if code is None or code.kind is not CodeKind.MEASURED:
            raise NotFound
        site = site_service.get_site(session, staff(), code.site_id)
    now = form_session.get(_KEY_OF) == code_id and code.revoked_at is None
    if now:
        form_session.pop(_KEY_OF)
    ring = signing.keyring(house().settings)
    return render_template(
        "activities/code_key.html",
        site=site,
        code=code,
        key=ring.partner_key(code_id).hex() if now else "",
        key_number=ring.accepted[0],
        address=house().settings.public_url,
    )


# --- slips -------------------------------------------------------------------------------------------------


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/slips-<int(min=1):first>.pdf")
@staff_required(*MANAGERS)
def slips_pdf(code_id: int, first: int) -> Response:
    """The slips from number `first` on, up to 240 of them, to print and cut; the same file each time."""
    from activities.paper import slip_of  # late: the type-setting would slow every start
    from tanpuhui.labels import SLIPS, sheets, slip_label
    from tanpuhui.pdf import pages_pdf

    with house().db.reading_session() as session:
        code, site, kind = _batch(session, code_id)
    serials = range(first, min(first + PER_PDF - 1, code.copies or 0) + 1)
    if not serials:
        raise NotFound
    slips = [slip_of(house().settings, site, kind, code, serial) for serial in serials]
    pages = list(sheets(SLIPS, [list(slip_label(slip)) for slip in slips]))
    body = pages_pdf(pages, title=f"{site.name} · 一次性小票 {serials[0]}–{serials[-1]}")
    name = f"tanpuhui-slips-{code_id}-{first}.pdf"
    return Response(
        body, mimetype="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


@blueprint.get("/console/codes/<int(max=1099511627775):code_id>/slips.csv")
@staff_required(*MANAGERS)
def slips_csv(code_id: int) -> Response:
    """All slips of a batch for a printing house: serial, short code, address."""
    settings = house().settings
    with house().db.reading_session() as session:
        code, _site, _kind = _batch(session, code_id)
    rows: list[tuple[int, str, str]] = []
    for serial in range(1, (code.copies or 0) + 1):
        token = codes.slip_token(settings, code.id, serial)
        rows.append((serial, signing.typed_form(token), codes.address_of(settings, token)))
    header = [gettext("序号"), gettext("短码"), gettext("网址")]
    disposition = f'attachment; filename="tanpuhui-slips-{code_id}.csv"'
    return Response(
        write_sheet(header, rows), mimetype="text/csv", headers={"Content-Disposition": disposition}
    )


def _batch(session: Session, code_id: int) -> tuple[Code, Site, ActionKind | None]:
    """A batch that is not withdrawn, its site, and the kind it credits. Raises NotFound, NotAllowed."""
    code = session.get(Code, code_id)
    if code is None or code.kind is not CodeKind.SLIPS or code.revoked_at is not None:
        raise NotFound
    site = site_service.get_site(session, staff(), code.site_id)
    return code, site, session.get(ActionKind, code.action_kind) if code.action_kind else None
