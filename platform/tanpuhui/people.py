"""Residents: joining, consent, and the one personal datum we keep, a phone number.

The number is encrypted; a keyed blind index finds it again without decrypting. Everything else about a
resident is the community and what they consented to.
"""

import hashlib
import hmac
import re
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, select

from tanpuhui import clock, ids
from tanpuhui.config import Settings
from tanpuhui.db import Statement, enum_type
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.errors import InvalidField, NotFound
from tanpuhui.events import Event
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import end_all

CONSENT_VERSION = "2026-11"
_TEXTS = Path(__file__).parent / "texts"


class ResidentStatus(StrEnum):
    """Whether a resident takes part."""

    ACTIVE = "active"
    CLOSED = "closed"


class Resident(SQLModel, table=True):
    """A person who takes part. The phone number is readable only with the key of the deployment."""

    __tablename__ = "resident"

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    phone_index: str = Field(max_length=64, unique=True)
    phone_cipher: bytes
    division_code: str = Field(foreign_key="division.code", max_length=12)
    status: ResidentStatus = Field(
        default=ResidentStatus.ACTIVE, sa_column=sa.Column(enum_type(ResidentStatus), nullable=False)
    )
    joined_at: datetime = Field(default_factory=clock.now)


class Consent(SQLModel, table=True):
    """A resident's yes to one version of one text, and when it was taken back."""

    __tablename__ = "consent"
    __table_args__ = (
        sa.UniqueConstraint("resident_id", "document", "version"),
        sa.CheckConstraint("withdrawn_at IS NULL OR withdrawn_at >= given_at", name="order"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    resident_id: UUID = Field(foreign_key="resident.id")
    document: str = Field(max_length=32)
    version: str = Field(max_length=16)
    text_sha256: str = Field(max_length=64)
    given_at: datetime = Field(default_factory=clock.now)
    withdrawn_at: datetime | None = None


class ResidentJoined(Event):
    """A resident joined and consented. `division_code` is their community."""

    type = "resident.joined"

    division_code: str
    consent_version: str


# --- phone numbers -----------------------------------------------------------------------------------------

_MAINLAND = re.compile(r"(?:\+?86)?(1[3-9][0-9]{9})")


def normalise_phone(text: str) -> str:
    """`text` as ``+8613812345678``. Spaces, dashes and full-width digits are forgiven.

    Raises InvalidField for anything but a mainland mobile number.
    """
    digits = re.sub(r"[\s\-()（）]", "", text.translate(_FULL_WIDTH))
    match = _MAINLAND.fullmatch(digits)
    if not match:
        raise InvalidField(errors=[{"field": "phone", "reason": N_("请填写 11 位手机号码。")}])
    return f"+86{match[1]}"


_FULL_WIDTH = str.maketrans("０１２３４５６７８９＋", "0123456789+")


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
def consent_text(language: str = "zh", version: str = CONSENT_VERSION) -> str:
    """The text that consent is bound to, in Markdown. Raises NotFound for a version we never had."""
    file = _TEXTS / f"consent-{version}.{language}.md"
    if not re.fullmatch(r"[\d-]{1,16}", version) or not file.is_file():
        raise NotFound
    return file.read_text(encoding="utf-8")


def find_by_phone(session: Session, settings: Settings, phone: str) -> Resident | None:
    """The active resident with this normalised number, if any."""
    found = session.exec(select(Resident).where(Resident.phone_index == blind_index(settings, phone))).first()
    return found if found and found.status == ResidentStatus.ACTIVE else None


def join(house: House, *, phone: str, division_code: str, consent_version: str) -> Resident:
    """Take a resident in, with consent to the present text. Joining twice returns the same resident.

    `phone` is normalised and proven by a one-time code. Raises InvalidField for an unknown community or a
    consent that is not to the present text.
    """

    def work(connection: Connection) -> Resident:
        with Session(bind=connection, expire_on_commit=False) as session:
            known = find_by_phone(session, house.settings, phone)
            if known:
                return known
            _check_joining(session, division_code, consent_version)
            resident = Resident(
                phone_index=blind_index(house.settings, phone),
                phone_cipher=seal_phone(house.settings, phone),
                division_code=division_code,
            )
            session.add(resident)
            session.flush()
            session.add(
                Consent(
                    resident_id=resident.id,
                    document="privacy",
                    version=consent_version,
                    text_sha256=hashlib.sha256(consent_text().encode()).hexdigest(),
                )
            )
            session.flush()
            joined = ResidentJoined(
                subject_id=resident.id,
                resident_id=resident.id,
                recorded_at=resident.joined_at,
                division_code=division_code,
                consent_version=consent_version,
            )
            house.publish(connection, [joined])
            return resident

    return house.db.run(work)


def _check_joining(session: Session, division_code: str, consent_version: str) -> None:
    errors = []
    division = session.get(Division, division_code)
    if division is None or division.level != DivisionLevel.COMMUNITY:
        errors.append({"field": "division_code", "reason": N_("请选择您所在的居（村）委会。")})
    if consent_version != CONSENT_VERSION:
        errors.append({"field": "consent_version", "reason": N_("请阅读并同意最新的个人信息说明。")})
    if errors:
        raise InvalidField(errors=errors)


# --- turns -------------------------------------------------------------------------------------------------

_TAKE_TURN = Statement(
    "SELECT r.id, r.division_code, r.status FROM resident r WHERE r.id {in:ids:uuid} ORDER BY r.id {lock:r}",
    id="uuid",
    division_code="text",
    status="text",
)


def take_turn(connection: Connection, resident_ids: list[UUID]) -> dict[UUID, sa.Row[tuple[str, ...]]]:
    """Begin a transaction that writes rows of these residents: one resident's transactions take turns.

    Returns id -> row of id, division_code, status. Locks in id order, so that batches never deadlock; what is
    read after this call is what the previous turn left.
    """
    return {row.id: row for row in _TAKE_TURN.run(connection, ids=resident_ids)}


# --- leaving -----------------------------------------------------------------------------------------------

#: Named here by its table: `tanpuhui.login` stands on this module.
_SENT_CODES = sa.table("login_code", sa.column("phone_index"))


def leave(house: House, resident_id: UUID) -> None:
    """Close a resident's account: nothing that leads to the person is kept; totals stay as they are.

    The one-time codes sent to the number go at once; sessions and tokens end. Leaving twice changes nothing.
    Raises NotFound.
    """
    with house.db.session() as session:
        take_turn(session.connection(), [resident_id])  # no scan of theirs is half-way through
        resident = session.get(Resident, resident_id)
        if resident is None:
            raise NotFound
        session.exec(sa.delete(_SENT_CODES).where(_SENT_CODES.c.phone_index == resident.phone_index))
        resident.status = ResidentStatus.CLOSED
        resident.phone_index, resident.phone_cipher = f"closed:{resident_id.hex}", b""
        session.add(resident)
        standing = select(Consent).where(
            Consent.resident_id == resident_id, sa.column("withdrawn_at").is_(None)
        )
        for consent in session.exec(standing):
            consent.withdrawn_at = clock.now()
            session.add(consent)
    end_all(house, "resident", resident_id)
