"""The first identity provider: a phone number and a one-time code.

Codes are kept as keyed hashes, expire after ten minutes, allow five tries, and are limited per number and per
address. Nothing here tells whether a number is known.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import clock, ids
from tanpuhui.errors import TooManyCodes, WrongLoginCode
from tanpuhui.identities import Begun
from tanpuhui.people import PHONE, PhoneNumber, blind_index, normalise_phone
from tanpuhui.rooms import House
from tanpuhui.sms import SmsSender, sender_for

GOOD_FOR = timedelta(minutes=10)
MAX_TRIES = 5

#: (how many, within what time): for one number, and for one network address.
PER_NUMBER = ((1, timedelta(seconds=60)), (5, timedelta(hours=1)), (10, timedelta(days=1)))
PER_ADDRESS = ((30, timedelta(hours=1)), (100, timedelta(days=1)))


class LoginCode(SQLModel, table=True):
    """A one-time code that was sent. Neither the number nor the address nor the code is readable."""

    __tablename__ = "login_code"
    __table_args__ = (
        sa.Index("ix_login_code_phone_index_sent_at", "phone_index", "sent_at"),
        sa.Index("ix_login_code_address_index_sent_at", "address_index", "sent_at"),
        sa.CheckConstraint("tries BETWEEN 0 AND 5", name="tries"),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    phone_index: str = Field(max_length=64)
    address_index: str = Field(max_length=64)
    code_hash: str = Field(max_length=64)
    sent_at: datetime
    expires_at: datetime
    tries: int = 0
    used_at: datetime | None = None


class PhoneCode:
    """Log-in by phone, as an identity provider: a code is sent, and the person types it in."""

    code = PHONE
    outside = False

    def __init__(self, house: House) -> None:
        self._house = house

    def name(self, language: str) -> str:
        """What it is called."""
        return "Phone" if language == "en" else "手机号码"

    def begin(self, given: Mapping[str, str]) -> Begun:
        """Send a code to the `phone` that is given; `address` is the caller's. Raises as `request_code`."""
        request_code(self._house, phone=given["phone"], address=given["address"])
        return Begun({"phone": normalise_phone(given["phone"])})

    def end(self, pending: Mapping[str, str], answer: Mapping[str, str]) -> PhoneNumber:
        """The number, if the `code` of the answer is right. Raises WrongLoginCode."""
        phone = check_code(self._house, phone=pending["phone"], code=answer.get("code", ""))
        return PhoneNumber(self._house.settings, phone)


def request_code(house: House, *, phone: str, address: str) -> None:
    """Send a one-time code to `phone`. `address` is the caller's network address.

    Raises InvalidField for a bad number, TooManyCodes with `retry_after`, SmsFailed when it cannot be sent
    (the code is then void and does not count against the limits).
    """
    phone = normalise_phone(phone)
    code = f"{secrets.randbelow(1_000_000):06d}"
    now = clock.now()

    def work(connection: Connection) -> UUID:
        with Session(bind=connection) as session:
            row = LoginCode(
                phone_index=blind_index(house.settings, phone),
                address_index=_fingerprint(house, "address", address),
                code_hash="",
                sent_at=now,
                expires_at=now + GOOD_FOR,
            )
            _one_at_a_time(connection, row.phone_index, row.address_index)
            _check_limits(session, row, now)
            row.code_hash = _fingerprint(house, "code", f"{row.id}:{code}")
            session.add(row)
            session.flush()
            return row.id

    code_id = house.db.run(work)
    sender: SmsSender = house.extras.get(SmsSender) or house.part(_sender)
    try:
        sender.send(phone, f"【碳普惠】您的验证码是 {code}，10 分钟内有效。")
    except Exception:
        with house.db.session() as session:
            if row := session.get(LoginCode, code_id):
                session.delete(row)
        raise


def _sender(house: House) -> SmsSender:
    return sender_for(house.settings)


def check_code(house: House, *, phone: str, code: str) -> str:
    """Use up the code sent to `phone`; the normalised number if it was right.

    Raises WrongLoginCode whether the code is wrong, used, expired, tried too often or was never sent.
    """
    phone = normalise_phone(phone)
    with house.db.session() as session:
        rows = session.exec(
            select(LoginCode)
            .where(
                LoginCode.phone_index == blind_index(house.settings, phone),
                col(LoginCode.used_at).is_(None),
                LoginCode.expires_at > clock.now(),
                LoginCode.tries < MAX_TRIES,
            )
            .order_by(col(LoginCode.sent_at).desc())
            .limit(3)
            .with_for_update()
        ).all()
        right = False
        for row in rows:
            row.tries += 1
            given = _fingerprint(house, "code", f"{row.id}:{code.strip()}")
            right = hmac.compare_digest(row.code_hash, given) or right
        for row in rows:
            row.used_at = clock.now() if right else None  # one log-in uses up every code of the number
            session.add(row)
    if not right:
        raise WrongLoginCode
    return phone


def _fingerprint(house: House, purpose: str, text: str) -> str:
    return hmac.new(house.settings.key(f"login-{purpose}"), text.encode(), hashlib.sha256).hexdigest()


def _one_at_a_time(connection: Connection, *names: str) -> None:
    """Let requests for one number or address take turns, so that the limits are exact."""
    if connection.dialect.name == "postgresql":
        for name in sorted(names):
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def _check_limits(session: Session, row: LoginCode, now: datetime) -> None:
    for column, value, bounds in (
        (LoginCode.phone_index, row.phone_index, PER_NUMBER),
        (LoginCode.address_index, row.address_index, PER_ADDRESS),
    ):
        for allowed, window in bounds:
            sent = session.exec(
                select(LoginCode.sent_at)
                .where(col(column) == value, LoginCode.sent_at > now - window)
                .order_by(col(LoginCode.sent_at).desc())
            ).all()
            if len(sent) >= allowed:
                wait = (sent[allowed - 1] + window - now).total_seconds()
                raise TooManyCodes(retry_after=max(1, int(wait) + 1))


def purge(connection: Connection, before: datetime) -> None:
    """Delete codes sent before `before`: nothing of a log-in is kept longer than its limits need."""
    with Session(bind=connection) as session:
        session.exec(sa.delete(LoginCode).where(col(LoginCode.sent_at) < before))
        session.flush()
