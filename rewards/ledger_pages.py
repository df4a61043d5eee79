"""The pages of the sealed ledger: the roots of its days and how to check them, one's own with proofs, the export for the bureau."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from rewards import sealed, verify_ledger
from rewards.sealed import Seal
from tanpuhui import audit, clock
from tanpuhui.bureau.participation import READERS, may_read, period, read_day
from tanpuhui.errors import InvalidField
from tanpuhui.web.auth import house, resident, resident_required, staff, staff_required
from tanpuhui.web.forms import form_errors

blueprint = Blueprint("ledger", __name__, template_folder="templates")

Answer = str | AnyResponse | tuple[str, int]

_SHOWN = 14


# --- everybody ---------------------------------------------------------------------------------------------


@blueprint.get("/ledger")
def page() -> Answer:
    """The latest roots, what they prove, and how to check."""
    with house().db.reading() as connection:
        number = sealed.last_number(connection)
        latest = sealed.roots(connection, max(number - _SHOWN, 0))
    return render_template("rewards/ledger.html", latest=_latest_first(latest), more=number > _SHOWN)


@blueprint.get("/ledger/roots.txt")
def roots_download() -> Response:
    """Every root as a plain file, for whoever keeps a copy."""
    with house().db.reading() as connection:
        return Response(sealed.roots_text(sealed.roots(connection)), mimetype="text/plain")


@blueprint.get("/ledger/verify_ledger.py")
def script_download() -> Response:
    """The script that checks exports and statements without the platform."""
    text = Path(verify_ledger.__file__).read_text(encoding="utf-8")
    return _file(iter([text]), "text/x-python", "verify_ledger.py")


@blueprint.get("/me/ledger.jsonl")
@resident_required
def own_download() -> Response:
    """One's own sealed transfers, with their proofs."""
    return _file(sealed.own(house().db, resident().id), "application/x-ndjson", "tanpuhui-statement.jsonl")


# --- the bureau --------------------------------------------------------------------------------------------


@blueprint.get("/bureau/ledger")
@staff_required(*READERS)
def bureau() -> Answer:
    """The sealed days, and the form for an export."""
    may_read(house(), staff())
    return _bureau()


@blueprint.post("/bureau/ledger")
@staff_required(*READERS)
def export() -> Answer:
    """Every transfer of some sealed days under tags; that it was taken is noted."""
    who = staff()
    may_read(house(), who)
    try:
        within = period(*(read_day(request.form.get(name, ""), name) for name in ("from", "to")))
        with house().db.reading() as connection:
            first, last = sealed.numbers(connection, within.first, within.last)
    except InvalidField as error:
        return _bureau(form_errors(error)), error.status
    with house().db.session() as session:
        audit.note_by(
            session,
            who,
            deed="ledger.exported",
            subject="ledger",
            first=first,
            last=last,
        )
    name = f"tanpuhui-ledger-{first}-{last}.jsonl"
    return _file(sealed.export(house().db, first, last), "application/x-ndjson", name)


def _bureau(errors: dict[str, str] | None = None) -> str:
    with house().db.reading() as connection:
        number = sealed.last_number(connection)
        latest = sealed.seals(connection, max(number - _SHOWN, 0) + 1)
    today = clock.today()
    typed = {name: request.form.get(name) or today.isoformat() for name in ("from", "to")}
    if latest and not errors:
        typed = {"from": latest[-1]["day"], "to": latest[-1]["day"]}
    latest_first = _latest_first(latest)
    return render_template("rewards/ledger_bureau.html", latest=latest_first, typed=typed, errors=errors)


def _latest_first(seals: Sequence[Seal]) -> list[Seal]:
    return [{**seal, "day": date.fromisoformat(seal["day"])} for seal in reversed(seals)]


def _file(body: Iterator[str], kind: str, name: str) -> Response:
    return Response(body, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
