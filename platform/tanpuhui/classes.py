"""Class accounts: a school class takes part as one, so that no child's data is held.

Staff of an organisation make the account and hand the teacher a one-time link, which opens it on one phone. The
account is a resident without a phone number; its label is the organisation's word for the class.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from tanpuhui import audit, clock, ids
from tanpuhui.db import session_on
from tanpuhui.divisions import community_exists
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import AccountKind, ClassAccount, Resident, leave
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal, fingerprint
from tanpuhui.staff import Organisation, Role, covers, grants_of, require

MANAGERS = frozenset({Role.ORGANISER, Role.ADMIN})
LINK_GOOD_FOR = timedelta(days=3)


def create(
    house: House, principal: Principal, *, organisation_id: UUID, label: str, division_code: str
) -> str:
    """Make a class account; the token of its first link, shown once.

    `division_code` is the community that its records count for, within the organisation's division. For organisers
    and admins of the organisation. Raises NotAllowed, NotFound, and InvalidField for a label that is in use or not of
    1 to 40 characters, or another community.
    """
    label = " ".join(label.split())
    token = secrets.token_urlsafe(24)

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            organisation = _organisation(session, principal, organisation_id)
            _check(session, organisation, label, division_code)
            resident_id = ids.new_id()
            session.add(
                Resident(
                    id=resident_id,
                    phone_index=f"class:{resident_id.hex}",
                    phone_cipher=b"",
                    division_code=division_code,
                    account_kind=AccountKind.CLASS,
                )
            )
            session.flush()
            account = ClassAccount(
                resident_id=resident_id,
                organisation_id=organisation.id,
                label=label,
                created_by=principal.id,
            )
            _hand_out(session, account, token)
            _note(session, principal, account, "class.created")

    house.db.run(work)  # of two who choose one label at once, the second is told
    return token


def renew(house: House, principal: Principal, account_id: UUID) -> str:
    """A new link for a class, say for a new phone; the unused one ends. Raises NotAllowed, NotFound."""
    token = secrets.token_urlsafe(24)
    with house.db.session() as session:
        account = _account(session, principal, account_id)
        _hand_out(session, account, token)
        _note(session, principal, account, "class.link_renewed")
    return token


def close(house: House, principal: Principal, account_id: UUID) -> None:
    """Close a class account as a resident's is closed: totals stay. Raises NotAllowed, NotFound."""
    with house.db.session() as session:
        _note(session, principal, _account(session, principal, account_id), "class.closed")
    leave(house, account_id)


def label_of(house: House, token: str) -> str | None:
    """What the class of an unused link is called; None if the link is unknown, used or too old."""
    with house.db.reading_session() as session:
        return session.exec(
            select(ClassAccount.label).where(
                ClassAccount.link_hash == fingerprint(token),
                col(ClassAccount.link_expires_at) > clock.now(),
            )
        ).first()


def open_with(house: House, token: str) -> UUID:
    """Use a link up; the resident it opens. Raises NotFound for one that is unknown, used or too old."""

    def work(connection: Connection) -> UUID:
        used = (
            sa.update(ClassAccount)
            .where(
                col(ClassAccount.link_hash) == fingerprint(token),
                col(ClassAccount.link_expires_at) > clock.now(),
            )
            .values(link_hash=None, link_expires_at=None)
            .returning(col(ClassAccount.resident_id))
        )
        found = connection.execute(used).scalar()
        if found is None:
            raise NotFound
        return found

    return house.db.run(work)


def classes_of(session: Session, principal: Principal) -> Sequence[tuple[ClassAccount, Organisation]]:
    """The class accounts in the scope of `principal`, by organisation and label."""
    mine = {organisation.id for organisation in organisations_of(session, principal)}
    query = select(ClassAccount, Organisation).join(Organisation).where(col(Organisation.id).in_(mine))
    return session.exec(query.order_by(Organisation.name, ClassAccount.label)).all()


def organisations_of(session: Session, principal: Principal) -> list[Organisation]:
    """The organisations for which `principal` may make class accounts, by name."""
    grants = [given for given in grants_of(session, principal) if given.role in MANAGERS]
    return [
        organisation
        for organisation in session.exec(select(Organisation).order_by(Organisation.name)).all()
        if any(
            covers(given, division_code=organisation.division_code, organisation_id=organisation.id)
            for given in grants
        )
    ]


def _organisation(session: Session, principal: Principal, organisation_id: UUID) -> Organisation:
    organisation = session.get(Organisation, organisation_id)
    if organisation is None:
        raise NotFound
    require(
        session,
        principal,
        MANAGERS,
        division_code=organisation.division_code,
        organisation_id=organisation.id,
    )
    return organisation


def _account(session: Session, principal: Principal, account_id: UUID) -> ClassAccount:
    account = session.get(ClassAccount, account_id)
    if account is None:
        raise NotFound
    _organisation(session, principal, account.organisation_id)
    return account


def _check(session: Session, organisation: Organisation, label: str, division_code: str) -> None:
    errors = []
    taken = select(ClassAccount.resident_id).where(
        ClassAccount.organisation_id == organisation.id, ClassAccount.label == label
    )
    if not 1 <= len(label) <= 40 or not label.isprintable():
        errors.append({"field": "label", "reason": N_("班级名称应为 1 到 40 个字。")})
    elif session.exec(taken).first():
        errors.append({"field": "label", "reason": N_("这个班级已有账户。")})
    within = division_code.startswith(organisation.division_code)
    if not within or not community_exists(session, division_code):
        errors.append({"field": "division_code", "reason": N_("请选择学校所在的居（村）委会。")})
    if errors:
        raise InvalidField(errors=errors)


def _hand_out(session: Session, account: ClassAccount, token: str) -> None:
    account.link_hash, account.link_expires_at = fingerprint(token), clock.now() + LINK_GOOD_FOR
    session.add(account)


def _note(session: Session, principal: Principal, account: ClassAccount, deed: str) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"class:{account.resident_id}",
        organisation=str(account.organisation_id),
    )
