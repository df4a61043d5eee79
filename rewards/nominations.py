"""Nominations: what organisers, officers and admins do with honours within their scope, and the titles that officers make.

Nobody browses residents: a nomination for a person holds nobody until the person accepts it, with a one-time invitation that the nominator
hands them. For a class or a team the nominator says that it agreed to be named.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from rewards.honours import (
    LONGEST_REASON,
    HolderKind,
    Honour,
    HonourConsent,
    HonourEvidence,
    HonourKind,
    Told,
    forget_name,
    one,
    told,
)
from rewards.scopes import Scope, scopes_of
from tanpuhui import audit, clock, ids
from tanpuhui.classes import classes_of
from tanpuhui.db import session_on
from tanpuhui.errors import AlreadyDecided, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import PRESENT, Document
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal, fingerprint
from tanpuhui.staff import Role, grants_of, made_before, require

NOMINATORS = (Role.ORGANISER, Role.OFFICER, Role.ADMIN)
DECIDERS = (Role.OFFICER,)

#: So long an invitation can be accepted.
INVITATION_GOOD_FOR = timedelta(days=30)

#: So many pieces of evidence a nomination has at most; at least one.
MOST_EVIDENCE = 3

Errors = list[dict[str, str]]


# --- titles ------------------------------------------------------------------------------------------------


def create_kind(house: House, principal: Principal, title: str, purpose: str) -> UUID:
    """Add a title of the district, in its own words. For officers of the district.

    Raises NotAllowed, and InvalidField for a title in use, or words that are missing or too long.
    """
    title, purpose = _line(title), _line(purpose)

    def work(connection: Connection) -> UUID:
        with session_on(connection) as session:
            require(session, principal, DECIDERS, division_code=house.settings.district_code)
            errors = _wrong_length("title", title, 2, 20) + _wrong_length("purpose", purpose, 4, 100)
            if session.exec(select(HonourKind.id).where(HonourKind.title == title)).first():
                errors.append({"field": "title", "reason": N_("已有同名的荣誉。")})
            if errors:
                raise InvalidField(errors=errors)
            kind = HonourKind(title=title, purpose=purpose, created_by=principal.id)
            session.add(kind)
            _note(session, principal, "honour.kind_created", f"honour_kind:{kind.id}")
            return kind.id

    return house.db.run(work)  # of two who choose one title at once, the second is told


def retire_kind(house: House, principal: Principal, kind_id: UUID) -> None:
    """Give a title no more; what was given stays. Again changes nothing. Raises NotAllowed, NotFound."""
    with house.db.session() as session:
        require(session, principal, DECIDERS, division_code=house.settings.district_code)
        kind = session.get(HonourKind, kind_id)
        if kind is None:
            raise NotFound
        if kind.retired_at is None:
            kind.retired_at = clock.now()
            session.add(kind)
            _note(session, principal, "honour.kind_retired", f"honour_kind:{kind.id}")


def kinds(session: Session) -> Sequence[HonourKind]:
    """Every title, those that can be given first."""
    order = (col(HonourKind.retired_at).is_not(None), col(HonourKind.title))
    return session.exec(select(HonourKind).order_by(*order)).all()


# --- nominating --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nomination:
    """What a form says: which title, for whom, on whose behalf, why, and what speaks for it (what, and where it can be checked).

    `name`: of a team; `class_id`: the resident's id of a class account; `agreed`: the class or team agreed to be named, and `listed`.
    """

    kind_id: UUID | None
    holder: HolderKind | None
    scope: str
    reason: str
    evidence: Sequence[tuple[str, str]]
    name: str = ""
    class_id: UUID | None = None
    agreed: bool = False
    listed: bool = False


@dataclass(slots=True)
class _Checked:
    """What a nomination comes to, and what is wrong with it."""

    scope: Scope | None = None
    resident_id: UUID | None = None
    name: str = ""
    reason: str = ""
    evidence: list[tuple[str, str]] = field(default_factory=list)
    errors: Errors = field(default_factory=list)


def nominate(
    house: House, principal: Principal, nomination: Nomination, chosen: UUID | None = None
) -> tuple[UUID, str]:
    """Nominate somebody; the id, and for a person the token of their invitation, shown once ("" for others).

    `chosen`: the id that the form chose; sent twice it makes one, and the second answer's invitation counts.
    Raises NotAllowed, InvalidField.
    """
    token = secrets.token_urlsafe(24)

    def work(connection: Connection) -> tuple[UUID, str]:
        with session_on(connection) as session:
            require(session, principal, NOMINATORS)
            honour = made_before(session, principal, Honour, chosen)
            if honour is None:
                honour = _add(session, principal, nomination, chosen)
                _note(session, principal, "honour.nominated", f"honour:{honour.id}")
            if honour.holder is not HolderKind.PERSON or honour.resident_id or honour.decision:
                return honour.id, ""  # nobody to invite, or (sent again long after) nobody any more
            _invite(honour, token)
            session.add(honour)
            return honour.id, token

    return house.db.run(work)


def _add(session: Session, principal: Principal, nomination: Nomination, chosen: UUID | None) -> Honour:
    checked = _check(session, principal, nomination)
    if checked.errors:
        raise InvalidField(errors=checked.errors)
    assert nomination.kind_id is not None
    assert nomination.holder is not None
    assert checked.scope is not None
    honour = Honour(
        id=chosen or ids.new_id(),
        kind_id=nomination.kind_id,
        holder=nomination.holder,
        resident_id=checked.resident_id,
        division_code=checked.scope.division_code,
        organisation_id=checked.scope.organisation_id,
        reason=checked.reason,
        nominated_by=principal.id,
    )
    session.add(honour)
    session.flush()
    for ordinal, (what, source) in enumerate(checked.evidence, start=1):
        session.add(HonourEvidence(honour_id=honour.id, ordinal=ordinal, text=what, source=source))
    if nomination.holder is not HolderKind.PERSON:
        consent = HonourConsent(
            honour_id=honour.id,
            name=checked.name,
            listed=nomination.listed,
            version=PRESENT[Document.HONOURS],
            given_by=principal.id,
        )
        session.add(consent)
    session.flush()
    return honour


def _check(session: Session, principal: Principal, nomination: Nomination) -> _Checked:
    checked = _Checked(reason=_line(nomination.reason))
    kind = session.get(HonourKind, nomination.kind_id) if nomination.kind_id else None
    if kind is None or kind.retired_at:
        checked.errors.append({"field": "kind", "reason": N_("请选择一项荣誉。")})
    if nomination.holder is None:
        checked.errors.append({"field": "holder", "reason": N_("请选择提名谁。")})
    elif nomination.holder is HolderKind.CLASS:
        _check_class(session, principal, nomination.class_id, checked)
    else:
        scopes = {scope.key: scope for scope in scopes_of(session, principal, NOMINATORS)}
        checked.scope = scopes.get(nomination.scope)
        if checked.scope is None:
            checked.errors.append({"field": "scope", "reason": N_("请选择以哪里的名义提名。")})
        if nomination.holder is HolderKind.TEAM:
            checked.name = _line(nomination.name)
            checked.errors += _wrong_length("name", checked.name, 2, 40)
    if nomination.holder in {HolderKind.CLASS, HolderKind.TEAM} and not nomination.agreed:
        checked.errors.append({"field": "agreed", "reason": N_("请先征得对方同意，再勾选。")})
    checked.errors += _wrong_length("reason", checked.reason, 10, LONGEST_REASON)
    _check_evidence(nomination.evidence, checked)
    return checked


def _check_class(session: Session, principal: Principal, class_id: UUID | None, checked: _Checked) -> None:
    """A class is nominated by those who run its account, for its school."""
    for account, organisation in classes_of(session, principal):
        if account.resident_id == class_id:
            checked.resident_id = account.resident_id
            checked.name = f"{organisation.name} {account.label}"
            key = f"organisation:{organisation.id}"
            checked.scope = Scope(key, organisation.name, organisation.division_code, organisation.id)
            return
    checked.errors.append({"field": "class_id", "reason": N_("请选择您负责的班级。")})


def _check_evidence(evidence: Sequence[tuple[str, str]], checked: _Checked) -> None:
    lines = [(_line(what), _line(source)) for what, source in evidence[:MOST_EVIDENCE]]
    for place, (what, source) in enumerate(lines):
        if not what and not source:
            continue
        checked.errors += _wrong_length(f"what-{place}", what, 4, 200)
        checked.errors += _wrong_length(f"source-{place}", source, 2, 200)
        checked.evidence.append((what, source))
    if not checked.evidence:
        checked.errors.append({"field": "what-0", "reason": N_("请至少写一条证据。")})


def _line(text: str) -> str:
    return " ".join(text.split())


def _wrong_length(name: str, text: str, shortest: int, longest: int) -> Errors:
    """A line has to say something, and not too much."""
    if shortest <= len(text) <= longest and text.isprintable():
        return []
    reason = _LENGTHS[name.partition("-")[0]]
    return [{"field": name, "reason": reason}]


_LENGTHS = {
    "title": N_("荣誉名称应为 2 到 20 个字。"),
    "purpose": N_("请用 4 到 100 个字写明授予什么样的人或单位。"),
    "name": N_("名称应为 2 到 40 个字。"),
    "reason": N_("请用 10 到 160 个字写明事由。"),
    "what": N_("请用 4 到 200 个字写明证据。"),
    "source": N_("请写明证据的出处（2 到 200 个字）。"),
}


# --- invitations and consents of classes and teams ---------------------------------------------------------


def invite(house: House, principal: Principal, honour_id: UUID) -> str:
    """The token of a new invitation for the person; the one before ends. Raises NotFound, NotAllowed, AlreadyDecided."""
    token = secrets.token_urlsafe(24)
    with house.db.session() as session:
        honour = in_scope(session, principal, honour_id).honour
        session.refresh(honour, with_for_update=True)
        if honour.holder is not HolderKind.PERSON or honour.resident_id or honour.reason is None:
            raise NotFound
        if honour.decision:
            raise AlreadyDecided
        _invite(honour, token)
        session.add(honour)
        _note(session, principal, "honour.invited", f"honour:{honour.id}")
    return token


def _invite(honour: Honour, token: str) -> None:
    honour.claim_hash, honour.claim_until = fingerprint(token), clock.now() + INVITATION_GOOD_FOR


def hide(house: House, principal: Principal, honour_id: UUID) -> None:
    """Take the consent of a class or team back, on its word: its name is deleted. Again changes nothing.

    Raises NotFound (for a person's, too: that is theirs to take back), NotAllowed.
    """
    with house.db.session() as session:
        found = in_scope(session, principal, honour_id)
        if found.honour.holder is HolderKind.PERSON:
            raise NotFound
        if forget_name(session, honour_id):
            _note(session, principal, "honour.hidden", f"honour:{honour_id}")


# --- reading -----------------------------------------------------------------------------------------------


def nominated(session: Session, principal: Principal) -> list[Told]:
    """The nominations in the scope of `principal`, the latest first."""
    scopes: list[Any] = [
        col(Honour.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Honour.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in NOMINATORS
    ]
    return told(session, sa.or_(sa.false(), *scopes))


def in_scope(
    session: Session, principal: Principal, honour_id: UUID, roles: Collection[Role] = NOMINATORS
) -> Told:
    """One honour, for those in whose scope it was nominated. Raises NotFound, NotAllowed."""
    found = one(session, Honour.id == honour_id)
    division_code, organisation_id = found.honour.division_code, found.honour.organisation_id
    require(session, principal, roles, division_code=division_code, organisation_id=organisation_id)
    return found


def _note(session: Session, principal: Principal, deed: str, subject: str) -> None:
    audit.note_by(session, principal, deed=deed, subject=subject)
