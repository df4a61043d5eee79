"""Codes: what is printed at a site. A code is a row; its token is the row's number, signed.

A printed code proves the place (`site_code`). A *staffed* code is shown by staff who see the deed done, counts
as confirmed by them, and is good for a stated time of at most three days.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Session, SQLModel, col, select

from activities.sites import get_site
from tanpuhui import audit, clock, ids, reference, signing
from tanpuhui.config import Settings
from tanpuhui.errors import AlreadyRevoked, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

STAFFED_AT_MOST = timedelta(days=3)


class Code(SQLModel, table=True):
    """A code that was issued for a site. Never deleted; withdrawn by `revoked_at`."""

    __tablename__ = "code"
    __table_args__ = (
        sa.CheckConstraint("id > 0", name="id"),
        sa.CheckConstraint("evidence IN ('site_code', 'staff_confirmed')", name="evidence"),
        sa.CheckConstraint(
            "evidence = 'site_code' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)", name="staffed"
        ),
        sa.CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="validity"),
    )

    id: int = Field(sa_column=sa.Column(sa.BigInteger, primary_key=True, autoincrement=False))
    site_id: UUID = Field(foreign_key="site.id", index=True)
    evidence: str = Field(default="site_code", max_length=32)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    issued_at: datetime = Field(default_factory=clock.now)
    issued_by: UUID = Field(foreign_key="staff.id")
    revoked_at: datetime | None = None


def issue_code(
    house: House,
    principal: Principal,
    site_id: UUID,
    *,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Code:
    """A new code for a site; with a validity, a staffed one. Raises NotFound, NotAllowed, InvalidField."""
    staffed = valid_from is not None or valid_until is not None
    with house.db.session() as session:
        get_site(session, principal, site_id)
        if staffed and not (
            valid_from and valid_until and timedelta(0) < valid_until - valid_from <= STAFFED_AT_MOST
        ):
            raise InvalidField(
                errors=[
                    {"field": "valid_until", "reason": N_("现场码须填写起止时间，最长三天，且结束晚于开始。")}
                ]
            )
        return _issue(session, principal, site_id, valid_from=valid_from, valid_until=valid_until)


def replace_code(house: House, principal: Principal, code_id: int, reason: str) -> Code:
    """Withdraw a code and issue a new one for its site, both or neither; the code now in its place.

    Of two requests at once, one replaces the code, and the other is answered with AlreadyRevoked. Raises NotFound,
    NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        code = _own_code(session, principal, code_id)
        if code.revoked_at is not None:
            raise AlreadyRevoked
        _revoke(session, principal, code, reason)
        return _issue(session, principal, code.site_id)


def _issue(
    session: Session,
    principal: Principal,
    site_id: UUID,
    *,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Code:
    code = Code(
        id=_free_number(session),
        site_id=site_id,
        evidence="staff_confirmed" if valid_until else "site_code",
        valid_from=valid_from,
        valid_until=valid_until,
        issued_by=principal.id,
    )
    session.add(code)
    audit.note(
        session,
        actor_kind=principal.kind,
        actor_id=principal.id,
        deed="code.issued",
        subject=f"code:{code.id}",
        site=str(site_id),
    )
    session.flush()
    reference.bump(session.connection())
    return code


def revoke_code(house: House, principal: Principal, code_id: int, reason: str) -> Code:
    """Withdraw a code at once; withdrawing twice changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        code = _own_code(session, principal, code_id)
        if code.revoked_at is None:
            _revoke(session, principal, code, reason)
        return code


def _own_code(session: Session, principal: Principal, code_id: int) -> Code:
    code = session.get(Code, code_id, with_for_update=True)
    if code is None:
        raise NotFound
    get_site(session, principal, code.site_id)
    return code


def _revoke(session: Session, principal: Principal, code: Code, reason: str) -> None:
    code.revoked_at = clock.now()
    session.add(code)
    audit.note(
        session,
        actor_kind=principal.kind,
        actor_id=principal.id,
        deed="code.revoked",
        subject=f"code:{code.id}",
        reason=reason,
    )
    session.flush()
    reference.bump(session.connection())


def codes_of(session: Session, site_id: UUID) -> Sequence[Code]:
    """The codes issued for a site, latest first."""
    return session.exec(
        select(Code).where(Code.site_id == site_id).order_by(col(Code.issued_at).desc())
    ).all()


def token_of(settings: Settings, code_id: int) -> str:
    """What the code carries after ``/s/``."""
    return signing.sign(settings.key("codes"), code_id)


def address_of(settings: Settings, code_id: int) -> str:
    """The address that the printed code opens."""
    return f"{settings.public_url}/s/{token_of(settings, code_id)}"


def read_token(settings: Settings, token: str) -> int:
    """The number of the code behind a token or a whole scanned address.

    Raises CodeInvalid or CodeVersionUnknown; tells nothing about whether the number exists.
    """
    text = token.strip()
    if "/s/" in text:
        text = text.rsplit("/s/", 1)[1].split("?", 1)[0]
    return signing.verify(settings.key("codes"), text).code_id


def _free_number(session: Session) -> int:
    while True:
        number = ids.random_number(40)
        if session.get(Code, number) is None:
            return number
