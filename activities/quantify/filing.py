"""Officers reword a methodology and say where it stands with the city. Its form, scenario and kinds are data."""

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from activities.quantify.methodologies import METHODOLOGIES_FILE, FilingStatus, Methodology
from activities.quantify.proposals import require_officer
from tanpuhui import audit
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.reference import bump
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: What may be amended, with the rule for each.
RULES = {
    "title_zh": N_("请填写，最多 64 个字。"),
    "title_en": N_("请填写，最多 64 个字。"),
    "filing_status": N_("请选择备案状态。"),
    "city_reference": N_("最多 1000 个字。"),
    **dict.fromkeys(
        (
            *("baseline_zh", "baseline_en", "applicability_zh", "applicability_en"),
            *("evidence_zh", "evidence_en"),
        ),
        N_("请填写，最多 1000 个字。"),
    ),
    "sources": N_("请至少写一份文件，每行一份，最多 1000 个字。"),
}

_READERS = {column.name: column.convert for column in METHODOLOGIES_FILE.columns if column.name in RULES}
_WITH_REFERENCE = {FilingStatus.FILED, FilingStatus.CITY_METHOD}


def amend_methodology(
    house: House, principal: Principal, code: str, texts: Mapping[str, str], reason: str
) -> None:
    """Change what `texts` says of a methodology, by the names of `RULES`; the audit keeps old and new.

    For officers of the whole district. Raises NotFound, NotAllowed, InvalidField.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            require_officer(house, session, principal)
            methodology = session.get(Methodology, code, with_for_update=True)
            if methodology is None:
                raise NotFound
            values = _read(methodology, texts)
            why = audit.reason(reason)
            changes = {
                name: [getattr(methodology, name), value]
                for name, value in values.items()
                if value != getattr(methodology, name)
            }
            if not changes:
                return
            for name, (_, value) in changes.items():
                setattr(methodology, name, value)
            session.add(methodology)
            audit.note_by(
                session,
                principal,
                deed="methodology.amended",
                subject=f"methodology:{code}",
                reason=why,
                changes=changes,
            )
            bump(connection)

    house.db.run(work)


def _read(methodology: Methodology, texts: Mapping[str, str]) -> dict[str, str]:
    """The new values of what is amended. Raises InvalidField."""
    values, errors = {}, []
    for name, text in texts.items():
        try:
            line = text.strip() if name == "sources" else " ".join(text.split())
            values[name] = _READERS[name](line)
        except ValueError:
            errors.append({"field": name, "reason": RULES[name]})
    status = values.get("filing_status", methodology.filing_status)
    if status in _WITH_REFERENCE and not values.get("city_reference", methodology.city_reference):
        errors.append({"field": "city_reference", "reason": N_("已备案或属市级方法学，须写明市级文号。")})
    if errors:
        raise InvalidField(errors=errors)
    return values
