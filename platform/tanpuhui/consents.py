"""Consents and switches: a yes to the very words of a text, taken back at any time with immediate effect.

What a switch allows asks `stands` each time it acts, so that nothing goes on after a no. A yes to earlier words is no yes
to what they say today. Points are on from joining;
whoever switches them off keeps making records, and none is credited. Taking the consent to the privacy text back is
leaving (`people.leave`).
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from tanpuhui import clock
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, NotAllowed, NotFound
from tanpuhui.i18n import N_
from tanpuhui.people import (
    PRESENT,
    AccountKind,
    Consent,
    Document,
    Resident,
    ResidentStatus,
    take_turn,
    yes_to,
)
from tanpuhui.rooms import House

#: What a resident can switch on and off, and what it does, in a line.
SWITCHES = {
    Document.POINTS: (N_("碳积分"), N_("记录时给积分。关闭后照样记录，不给积分。")),
    Document.BOARDS: (N_("参加榜单"), N_("在榜单上显示昵称和减排量。不参加就不会出现。")),
    Document.PLACE_HINTS: (
        N_("远近提示"),
        N_("扫码确认时，用这一次的位置算出离点位是远是近。只留远近，不留位置。关闭后，留下的远近马上删除。"),
    ),
    Document.QUESTIONS: (
        N_("偶尔问一句"),
        N_("记录之后偶尔问一句“不然会怎么做”，可以不答。关闭后，答过的马上删除。"),
    ),
    Document.HONOURS: (
        N_("公开荣誉"),
        N_("在您接受的荣誉上公开您选的名字。关闭后名字马上删除；要再公开，请到“我的荣誉”里重新选。"),
    ),
}

DOCUMENT_NAMES = {document: name for document, (name, _) in SWITCHES.items()} | {
    Document.PRIVACY: N_("个人信息说明"),
    Document.GUARDIAN: N_("监护人同意书"),
    Document.FAMILY: N_("家庭账户说明"),
}

#: What classes and families are never asked: where they are, and to be named as a person.
_PERSONS_ONLY = frozenset({Document.PLACE_HINTS, Document.HONOURS})

#: What a class is never asked: there children answer.
_NO_CLASS = frozenset({Document.QUESTIONS})


def may_give(resident: Resident, document: Document) -> bool:
    """Whether this account is asked for a yes to `document` at all."""
    if resident.account_kind is AccountKind.CLASS and document in _NO_CLASS:
        return False
    return resident.account_kind is AccountKind.PERSON or document not in _PERSONS_ONLY


def is_asked(connection: Connection, resident_id: UUID, document: Document) -> bool:
    """The same, by the account's id."""
    with session_on(connection) as session:
        return may_give(session.get_one(Resident, resident_id), document)


def document_name(code: str) -> str:
    """What the text of a consent is called, in Chinese; its code, if it is none of today's."""
    return next((name for document, name in DOCUMENT_NAMES.items() if document.value == code), code)


def stands(connection: Connection, resident_id: UUID, document: Document) -> bool:
    """Whether the resident has said yes to the present words of `document` and not taken it back."""
    query = select(Consent.id).where(
        Consent.resident_id == resident_id,
        Consent.document == document.value,
        Consent.version == PRESENT[document],
        col(Consent.withdrawn_at).is_(None),
    )
    return connection.execute(query).first() is not None


def switches(session: Session, resident_id: UUID) -> Mapping[Document, bool]:
    """Every switch that an account has, and whether it is on."""
    resident = session.get_one(Resident, resident_id)
    on: dict[Document, bool] = {
        document: stands(session.connection(), resident_id, document)
        for document in SWITCHES
        if document is not Document.POINTS and may_give(resident, document)
    }
    return {Document.POINTS: resident.with_points, **on}


def history(session: Session, resident_id: UUID) -> Sequence[Consent]:
    """Every consent a resident gave, the latest first."""
    query = select(Consent).where(Consent.resident_id == resident_id)
    return session.exec(query.order_by(col(Consent.given_at).desc(), col(Consent.document))).all()


def is_outdated(given: Consent) -> bool:
    """Whether a standing consent is to an earlier text than today's."""
    return given.withdrawn_at is None and any(
        document.value == given.document and version != given.version for document, version in PRESENT.items()
    )


def give(house: House, resident_id: UUID, document: Document, version: str) -> None:
    """Say yes to the present text of `document`; a yes to an earlier text ends with it. Again changes nothing.

    Only a switch is switched on by it; to the other texts one says yes elsewhere, and here again to new words of theirs.
    Raises InvalidField if `version` is not that of the present text, NotAllowed for what this account is not asked or for a
    first yes to what is no switch, NotFound for a resident who has left.
    """

    def work(connection: Connection) -> None:
        with session_on(connection) as session:
            agree(session, resident_id, document, version)

    house.db.run(work)


def agree(session: Session, resident_id: UUID, document: Document, version: str) -> None:
    """What `give` does, in the caller's transaction, which takes the resident's turn by it."""
    if version != PRESENT[document]:
        reason = N_("这份说明已更新，请重新阅读后再同意。")
        raise InvalidField(errors=[{"field": "version", "reason": reason}])
    resident = _at_their_turn(session, resident_id)
    if not may_give(resident, document):
        raise NotAllowed
    standing = _standing(session, resident_id, document)
    if standing is None and document not in SWITCHES:
        raise NotAllowed
    if standing is None or standing.version != version:
        take_back(session, resident_id, document)
        session.add(yes_to(resident_id, document, clock.now()))
    if document is Document.POINTS:
        resident.with_points = True
        session.add(resident)
    session.flush()


def withdraw(house: House, resident_id: UUID, document: Document) -> None:
    """Take a yes back, from this moment on; what is held by it alone is deleted with it. Again changes nothing.

    Raises NotFound for what is no switch (that ends by leaving), and for a resident who has left.
    """
    if document not in SWITCHES:
        raise NotFound
    with house.db.session() as session:
        resident = _at_their_turn(session, resident_id)
        take_back(session, resident_id, document)
        for holding in house.holdings:
            if holding.by_consent == document.value and holding.forget is not None:
                holding.forget(session.connection(), resident_id)
        if document is Document.POINTS:
            resident.with_points = False
            session.add(resident)


def take_back(session: Session, resident_id: UUID, document: Document) -> None:
    """End the yes to `document` that stands, if one does, in the resident's own turn."""
    standing = _standing(session, resident_id, document)
    if standing is not None:
        standing.withdrawn_at = clock.now()
        session.add(standing)
        session.flush()


def _at_their_turn(session: Session, resident_id: UUID) -> Resident:
    """The resident, while no scan of theirs is half-way through."""
    take_turn(session.connection(), [resident_id])
    resident = session.get(Resident, resident_id)
    if resident is None or resident.status != ResidentStatus.ACTIVE:
        raise NotFound
    return resident


def _standing(session: Session, resident_id: UUID, document: Document) -> Consent | None:
    return session.exec(
        select(Consent).where(
            Consent.resident_id == resident_id,
            Consent.document == document.value,
            col(Consent.withdrawn_at).is_(None),
        )
    ).first()
