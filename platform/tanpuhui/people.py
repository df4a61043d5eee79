"""Residents: joining, consent, and the little that we keep of a person: a phone number, and a nickname if they like.

The number is encrypted; a keyed blind index finds it again without decrypting. Whoever came by an identity provider
has none (see `identities`). Everything else about a resident is the community and what they consented to.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, select

from tanpuhui import clock, ids
from tanpuhui.config import Settings
from tanpuhui.db import Statement, enum_type
from tanpuhui.divisions import community_exists
from tanpuhui.errors import InvalidField, NotAllowed, NotFound
from tanpuhui.events import Event
from tanpuhui.i18n import N_
from tanpuhui.nicknames import tidy
from tanpuhui.rooms import House

CONSENT_VERSION = "2026-11-3"
_TEXTS = Path(__file__).parent / "texts"

#: The way in by a phone number, beside those of `identities`.
PHONE = "phone"


class Document(StrEnum):
    """A text that somebody says yes to. All but the first two and the family's are switches of the privacy centre."""

    PRIVACY = "privacy"
    GUARDIAN = "guardian"
    POINTS = "points"
    BOARDS = "boards"
    PLACE_HINTS = "place_hints"
    QUESTIONS = "questions"
    HONOURS = "honours"
    FAMILY = "family"


#: The version of each text that is put before people today.
PRESENT = dict.fromkeys(Document, "2026-11") | {
    Document.PRIVACY: CONSENT_VERSION,
    Document.BOARDS: "2026-11-2",
    Document.PLACE_HINTS: "2026-11-2",
    Document.POINTS: "2026-11-2",
}


class ResidentStatus(StrEnum):
    """Whether a resident takes part."""

    ACTIVE = "active"
    CLOSED = "closed"


class AccountKind(StrEnum):
    """Who takes part with an account. Of a class and of a family no person is known: neither number nor nickname."""

    PERSON = "person"
    CLASS = "class"
    FAMILY = "family"


class Resident(SQLModel, table=True):
    """Who takes part. The phone number, if there is one, is readable only with the key of the deployment.

    `nickname` is shown on boards only, to those who joined them. Without `with_points` records are kept and no
    points are credited. `shares`: its deeds count together with those of other accounts (`families`).
    """

    __tablename__ = "resident"
    __table_args__ = (
        sa.CheckConstraint(
            "account_kind = 'person' OR (length(phone_cipher) = 0 AND nickname IS NULL)", name="no_person"
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    phone_index: str = Field(max_length=64, unique=True)
    phone_cipher: bytes
    division_code: str = Field(foreign_key="division.code", max_length=12)
    status: ResidentStatus = Field(
        default=ResidentStatus.ACTIVE, sa_column=sa.Column(enum_type(ResidentStatus), nullable=False)
    )
    joined_at: datetime = Field(default_factory=clock.now)
    nickname: str | None = Field(default=None, max_length=64)
    with_points: bool = Field(default=True, sa_column_kwargs={"server_default": sa.text("true")})
    account_kind: AccountKind = Field(
        default=AccountKind.PERSON,
        sa_column=sa.Column(enum_type(AccountKind), nullable=False, server_default=AccountKind.PERSON.value),
    )
    shares: bool = Field(default=False, sa_column_kwargs={"server_default": sa.text("false")})


class Consent(SQLModel, table=True):
    """A resident's yes to one version of one text, and when it was taken back."""

    __tablename__ = "consent"
    __table_args__ = (
        sa.Index(
            "uq_consent_standing",
            "resident_id",
            "document",
            unique=True,
            sqlite_where=sa.text("withdrawn_at IS NULL"),
            postgresql_where=sa.text("withdrawn_at IS NULL"),
        ),
        sa.CheckConstraint("withdrawn_at IS NULL OR withdrawn_at >= given_at", name="order"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    document: str = Field(max_length=32)
    version: str = Field(max_length=16)
    text_sha256: str = Field(max_length=64)
    given_at: datetime = Field(default_factory=clock.now)
    withdrawn_at: datetime | None = None


class ClassAccount(SQLModel, table=True):
    """A school class that takes part as one. It holds no child's data: its resident row has no phone number.

    `label` is what the school calls it; the teacher opens it with a one-time link.
    """

    __tablename__ = "class_account"
    __table_args__ = (
        sa.UniqueConstraint("organisation_id", "label"),
        sa.CheckConstraint("label <> ''", name="label"),
    )

    resident_id: UUID = Field(foreign_key="resident.id", primary_key=True)
    organisation_id: UUID = Field(foreign_key="organisation.id")
    label: str = Field(max_length=40)
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    link_hash: str | None = Field(default=None, max_length=64, unique=True)
    link_expires_at: datetime | None = None


class ResidentJoined(Event):
    """A resident joined and consented. `division_code` is their community."""

    type = "resident.joined"

    division_code: str
    consent_version: str


# --- phone numbers -----------------------------------------------------------------------------------------

_MAINLAND = re.compile(r"(?:(?:\+|00)?86)?(1[3-9][0-9]{9})")


def normalise_phone(text: str) -> str:
    """`text` as ``+8613812345678``. Full-width digits and whatever parts or surrounds digits are forgiven.

    Raises InvalidField for anything but a mainland mobile number.
    """
    digits = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text))
    match = _MAINLAND.fullmatch(digits)
    if match:
        return f"+86{match[1]}"
    abroad = re.fullmatch(r"(?:\+|00)(?!0*86)[0-9]{5,}", digits)
    reason = _ABROAD if abroad else N_("请填写 11 位手机号码。")
    raise InvalidField(errors=[{"field": "phone", "reason": reason}])


#: Spaces, brackets, dots, dashes of every kind, and the marks of direction that come along with a copied number.
_BETWEEN_DIGITS = re.compile(
    r"[\s()./\-\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069\u30fb\ufeff]"
)

_ABROAD = N_("目前只能用中国大陆的手机号码登录。没有的话，请现场工作人员帮您。")


def blind_index(settings: Settings, phone: str) -> str:
    """A keyed fingerprint of a normalised number: equal numbers meet, nobody without the key can guess."""
    return hmac.new(settings.key("phone-index"), phone.encode(), hashlib.sha256).hexdigest()


def seal_phone(settings: Settings, phone: str) -> bytes:
    """Encrypt a normalised number (AES-256-GCM-SIV, random nonce)."""
    nonce = ids.random_number(96).to_bytes(12, "big")
    return nonce + AESGCMSIV(settings.key("phone")).encrypt(nonce, phone.encode(), b"phone")


def open_phone(settings: Settings, sealed: bytes) -> str:
    """The number that `seal_phone` sealed."""
    return AESGCMSIV(settings.key("phone")).decrypt(sealed[:12], sealed[12:], b"phone").decode()


# --- joining -----------------------------------------------------------------------------------------------


@cache
def consent_text(
    language: str = "zh", version: str = CONSENT_VERSION, document: Document = Document.PRIVACY
) -> str:
    """The text that consent is bound to, in Markdown. Raises NotFound for a version we never had."""
    stem = "consent" if document is Document.PRIVACY else document.value.replace("_", "-")
    file = _TEXTS / f"{stem}-{version}.{language}.md"
    if not re.fullmatch(r"[\d-]{1,16}", version) or not file.is_file():
        raise NotFound
    return file.read_text(encoding="utf-8")


def find_by_phone(session: Session, settings: Settings, phone: str) -> Resident | None:
    """The active resident with this normalised number, if any."""
    found = session.exec(select(Resident).where(Resident.phone_index == blind_index(settings, phone))).first()
    return found if found and found.status == ResidentStatus.ACTIVE else None


def yes_to(resident_id: UUID, document: Document, given_at: datetime) -> Consent:
    """A resident's yes to the present text of `document`, bound to its very words."""
    words = consent_text("zh", PRESENT[document], document)
    return Consent(
        resident_id=resident_id,
        document=document.value,
        version=PRESENT[document],
        text_sha256=hashlib.sha256(words.encode()).hexdigest(),
        given_at=given_at,
    )


class WayIn(Protocol):
    """What somebody proved to be theirs by a log-in: it finds the resident again, or lets a newcomer join."""

    @property
    def provider(self) -> str:
        """The code of the provider that proved it."""

    @property
    def key(self) -> str:
        """What stands for the person there."""

    def find(self, session: Session) -> Resident | None:
        """The active resident who comes in this way, if any."""

    def give_to(self, session: Session, resident: Resident) -> Sequence[Event]:
        """Put a newcomer into the session, with this way in; what else happened by that."""


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A normalised number, proven by a one-time code."""

    provider: ClassVar[str] = PHONE

    settings: Settings
    key: str

    def find(self, session: Session) -> Resident | None:
        """The active resident with this number, if any."""
        return find_by_phone(session, self.settings, self.key)

    def give_to(self, session: Session, resident: Resident) -> Sequence[Event]:
        """Put a newcomer with this number into the session."""
        resident.phone_index = blind_index(self.settings, self.key)
        resident.phone_cipher = seal_phone(self.settings, self.key)
        session.add(resident)
        session.flush()
        return ()


def without_phone(resident_id: UUID) -> str:
    """The `phone_index` of somebody without a number: the column is unique and never empty."""
    return f"none:{resident_id.hex}"


def join(
    house: House,
    *,
    phone: str,
    division_code: str,
    consent_version: str,
    of_age: bool = True,
    guardian_version: str | None = None,
) -> Resident:
    """Take in whoever has the normalised and proven number `phone`; see `take_in`."""
    return take_in(
        house,
        PhoneNumber(house.settings, phone),
        division_code=division_code,
        consent_version=consent_version,
        of_age=of_age,
        guardian_version=guardian_version,
    )


def take_in(
    house: House,
    way: WayIn,
    *,
    division_code: str,
    consent_version: str,
    of_age: bool = True,
    guardian_version: str | None = None,
) -> Resident:
    """Take a resident in, with consent to the present text. Joining twice returns the same resident.

    Whoever is under 14 does not join: a guardian does, with a number of their own and consent to the guardian's text
    (`guardian_version`), and nothing of the child is kept.
    Raises InvalidField for an unknown community, a consent that is not to the present text, and for a child.
    """

    def work(connection: Connection) -> Resident:
        with Session(bind=connection, expire_on_commit=False) as session:
            known = way.find(session)
            if known:
                return known
            errors = _wrong_in_joining(session, division_code, consent_version)
            errors += _wrong_in_age(of_age, guardian_version, way)
            if errors:
                raise InvalidField(errors=errors)
            resident_id = ids.new_id()
            resident = Resident(
                id=resident_id,
                phone_index=without_phone(resident_id),
                phone_cipher=b"",
                division_code=division_code,
            )
            further = way.give_to(session, resident)
            given = [Document.PRIVACY, Document.POINTS]
            if guardian_version is not None:
                given.append(Document.GUARDIAN)
            session.add_all(yes_to(resident.id, document, resident.joined_at) for document in given)
            session.flush()
            joined = ResidentJoined(
                subject_id=resident.id,
                resident_id=resident.id,
                recorded_at=resident.joined_at,
                division_code=division_code,
                consent_version=consent_version,
            )
            house.publish(connection, [joined, *further])
            return resident

    return house.db.run(work)


_NO_COMMUNITY = {"field": "division_code", "reason": N_("请选择您所在的居（村）委会。")}


def _wrong_in_joining(session: Session, division_code: str, consent_version: str) -> list[dict[str, str]]:
    errors = []
    if not community_exists(session, division_code):
        errors.append(_NO_COMMUNITY)
    if consent_version != CONSENT_VERSION:
        errors.append({"field": "consent_version", "reason": N_("请阅读并同意最新的个人信息说明。")})
    return errors


def _wrong_in_age(of_age: bool, guardian_version: str | None, way: WayIn) -> list[dict[str, str]]:
    if guardian_version is None:
        return [] if of_age else [{"field": "age", "reason": N_("请先回答是否已满 14 周岁。")}]
    if (
        way.provider != PHONE
    ):  # an identity elsewhere may be the child's own; the text speaks of the guardian's number
        return [{"field": "guardian_version", "reason": N_("请监护人用自己的手机号码加入。")}]
    if guardian_version != PRESENT[Document.GUARDIAN]:
        return [{"field": "guardian_version", "reason": N_("请监护人阅读并同意。")}]
    return []


def rename(house: House, resident_id: UUID, nickname: str) -> str | None:
    """Give a resident a nickname, none for an empty one; what it is now.

    Raises InvalidField, NotAllowed for a class or a family.
    """
    chosen = tidy(nickname)
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])
        resident = session.get_one(Resident, resident_id)
        if resident.status != ResidentStatus.ACTIVE:
            raise NotFound
        if resident.account_kind is not AccountKind.PERSON:
            raise NotAllowed
        resident.nickname = chosen
        session.add(resident)
    return chosen


def move(house: House, resident_id: UUID, division_code: str) -> None:
    """From now on a resident belongs to another community. What is recorded stays where it was done.

    Each record and each event carries the community of its moment, so nothing else has to be told. Raises InvalidField
    for an unknown community, NotAllowed for a school class, which belongs where its school put it.
    """
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])
        resident = session.get_one(Resident, resident_id)
        if resident.status != ResidentStatus.ACTIVE:
            raise NotFound
        if resident.account_kind is AccountKind.CLASS:
            raise NotAllowed
        if not community_exists(session, division_code):
            raise InvalidField(errors=[_NO_COMMUNITY])
        resident.division_code = division_code
        session.add(resident)


# --- turns -------------------------------------------------------------------------------------------------

_TAKE_TURN = Statement(
    "SELECT r.id, r.division_code, r.status, r.with_points, r.account_kind, r.shares FROM resident r "
    "WHERE r.id {in:ids:uuid} ORDER BY r.account_kind = 'family', r.id {lock:r}",
    id="uuid",
    division_code="text",
    status="text",
    with_points="bool",
    account_kind="text",
    shares="bool",
)


def take_turn(connection: Connection, resident_ids: Sequence[UUID]) -> dict[UUID, sa.Row[tuple[str, ...]]]:
    """Begin a transaction that writes rows of these residents: one resident's transactions take turns.

    Returns id -> row of id, division_code, status, with_points, account_kind, shares. Locks in one order, families last and
    each by id, so that batches never deadlock, and who has a guardian's turn may go on to the family's. What is read after
    this call is what the previous turn left.
    """
    return {row.id: row for row in _TAKE_TURN.run(connection, ids=resident_ids)}


# --- leaving -----------------------------------------------------------------------------------------------


def leave(house: House, resident_id: UUID) -> None:
    """Close a resident's account: nothing that leads to the person is kept; totals stay as they are.

    In one transaction every holding forgets what it is to forget (ways in, sessions and tokens, stored answers),
    and the number, the nickname and every consent go. What stays (records, transfers,
    events, figures) stays under the resident's random number. A family whose last guardian leaves is closed with it.
    Leaving twice changes nothing. Raises NotFound.
    """
    from tanpuhui import families  # late: it stands on this module

    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])  # no scan of theirs is half-way through
        resident = session.get(Resident, resident_id)
        if resident is None:
            raise NotFound
        families.part(house, session, resident_id)
        close(house, session, resident)


def close(house: House, session: Session, resident: Resident) -> None:
    """Close an account whose turn it is. Again changes nothing."""
    for holding in house.holdings:
        if holding.forget is not None:
            holding.forget(session.connection(), resident.id)
    if resident.status == ResidentStatus.CLOSED:
        return
    resident.status = ResidentStatus.CLOSED
    resident.phone_index, resident.phone_cipher = f"closed:{resident.id.hex}", b""
    resident.nickname, resident.shares = None, False
    session.add(resident)
    standing = select(Consent).where(Consent.resident_id == resident.id, sa.column("withdrawn_at").is_(None))
    for consent in session.exec(standing):
        consent.withdrawn_at = clock.now()
        session.add(consent)
