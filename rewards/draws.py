"""Draws (抽奖): places in a fair draw for points, or for nothing, with winners that anybody can work out again.

    drafted ──another person──▶ open ──time──▶ closed ──the seed is revealed──▶ drawn
                                  └──with a reason──▶ cancelled (points go back)

The seed is made with the draw and kept sealed; only its hash is known until the tickets are fixed and published. The rule
that picks the winners is `rewards.repeat_draw`, a script that runs without this platform. A ticket is a random text: the
published list says of nobody that they took part. `rewards.draw_entries` is what residents do, `rewards.draw_ticks` what time does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field as InField
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from rewards import repeat_draw
from tanpuhui import audit, clock, ids
from tanpuhui.config import Settings
from tanpuhui.divisions import Division
from tanpuhui.errors import ApproverIsSubmitter, DrawMovedOn, InvalidField, NotFound
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.schema import Guard
from tanpuhui.sessions import Principal
from tanpuhui.staff import Organisation, Role, grants_of, made_before, require

MANAGERS = (Role.ORGANISER, Role.MERCHANT, Role.OFFICER, Role.ADMIN)
APPROVERS = (Role.OFFICER,)

MOST_PRIZES = 500
DEAREST = 10_000

#: Between the publication of the tickets and the revelation of the seed: time to take a copy of the list.
PAUSE = timedelta(minutes=10)

#: So long a prize can be collected after the draw was held.
COLLECTED_WITHIN = timedelta(days=60)


class Prize(BaseModel):
    """So many of one thing to be won."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = InField(min_length=1, max_length=40)
    count: int = InField(ge=1, le=MOST_PRIZES)


class DrawIn(BaseModel):
    """What its managers say of a draw. `price`: whole points a ticket costs, 0 for none."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    title: str = InField(min_length=2, max_length=60)
    words: str = InField(default="", max_length=1000)
    division_code: str = InField(default="", max_length=12)
    organisation_id: UUID | None = None
    price: int = InField(ge=0, le=DEAREST)
    prizes: list[Prize] = InField(min_length=1, max_length=20)
    witness: str = InField(default="", max_length=100)
    closes_at: AwareDatetime


class DrawState(StrEnum):
    """Where a draw stands. It closes by time alone, whether or not anybody was there to say so."""

    DRAFTED = "drafted"
    OPEN = "open"
    CLOSED = "closed"
    DRAWN = "drawn"
    CANCELLED = "cancelled"


DRAW_STATE_NAMES = {
    DrawState.DRAFTED: N_("待审批"),
    DrawState.OPEN: N_("可以参加"),
    DrawState.CLOSED: N_("已截止，等待开奖"),
    DrawState.DRAWN: N_("已开奖"),
    DrawState.CANCELLED: N_("已取消"),
}


class Draw(SQLModel, table=True):
    """A draw. `commitment`: the SHA-256 of its seed; `sealed`: the seed, encrypted until it is revealed as `seed`.

    `witness`: which public number nobody here controls is mixed in, as it was named before the approval; `witnessed`: that number.
    `digest` is that of the `tickets` in it when it closed.
    """

    __tablename__ = "draw"
    __table_args__ = (
        sa.CheckConstraint(f"price BETWEEN 0 AND {DEAREST}", name="price"),
        sa.CheckConstraint("(approved_at IS NULL) = (approved_by IS NULL)", name="approved"),
        sa.CheckConstraint("approved_by <> created_by", name="second_person"),
        sa.CheckConstraint("(cancelled_at IS NULL) = (cancel_reason IS NULL)", name="cancelled"),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (digest IS NULL) AND (closed_at IS NULL) = (tickets IS NULL) "
            "AND (closed_at IS NULL OR (approved_at IS NOT NULL AND closed_at >= closes_at))",
            name="closed",
        ),
        sa.CheckConstraint("witnessed = '' OR (witness <> '' AND closed_at IS NOT NULL)", name="witnessed"),
        sa.CheckConstraint(
            "(drawn_at IS NULL) = (seed IS NULL) AND (drawn_at IS NULL OR (closed_at IS NOT NULL "
            "AND drawn_at > closed_at AND cancelled_at IS NULL AND (witness = '' OR witnessed <> '')))",
            name="drawn",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    title: str = Field(max_length=60)
    words: str = Field(default="", max_length=1000)
    division_code: str = Field(foreign_key="division.code", max_length=12)
    organisation_id: UUID | None = Field(default=None, foreign_key="organisation.id")
    price: int
    prizes: list[dict[str, Any]] = Field(sa_type=sa.JSON)
    witness: str = Field(default="", max_length=100)
    closes_at: datetime = Field(index=True)
    commitment: str = Field(max_length=64)
    sealed: bytes
    created_by: UUID = Field(foreign_key="staff.id")
    created_at: datetime = Field(default_factory=clock.now)
    approved_by: UUID | None = Field(default=None, foreign_key="staff.id")
    approved_at: datetime | None = None
    cancelled_at: datetime | None = None
    cancel_reason: str | None = Field(default=None, max_length=200)
    closed_at: datetime | None = None
    tickets: int | None = None
    digest: str | None = Field(default=None, max_length=64)
    witnessed: str = Field(default="", max_length=100)
    drawn_at: datetime | None = None
    seed: str | None = Field(default=None, max_length=64)

    def state(self, now: datetime) -> DrawState:
        """Where it stands at `now`."""
        if self.cancelled_at:
            return DrawState.CANCELLED
        if self.drawn_at:
            return DrawState.DRAWN
        if self.approved_at is None:
            return DrawState.DRAFTED
        return DrawState.OPEN if now < self.closes_at and not self.closed_at else DrawState.CLOSED

    @property
    def how_many(self) -> int:
        """How many prizes there are."""
        return sum(int(prize["count"]) for prize in self.prizes)

    @property
    def collect_by(self) -> datetime | None:
        """Until when a prize can be collected."""
        return self.drawn_at + COLLECTED_WITHIN if self.drawn_at else None


class DrawEntry(SQLModel, table=True):
    """A resident's ticket in a draw. `place` among the winners, from 1, and `prize`; `handed_at` when it was handed over.

    `given_up_at`: taken back before the draw closed, with its points; such a ticket is in no list. `resident_id` is None once
    its holder has left.
    """

    __tablename__ = "draw_entry"
    __table_args__ = (
        sa.Index(
            "uq_draw_entry_one",
            "draw_id",
            "resident_id",
            unique=True,
            sqlite_where=sa.text("given_up_at IS NULL"),
            postgresql_where=sa.text("given_up_at IS NULL"),
        ),
        sa.UniqueConstraint("draw_id", "place"),
        sa.CheckConstraint("(place IS NULL) = (prize IS NULL) AND place >= 1", name="place"),
        sa.CheckConstraint("given_up_at IS NULL OR place IS NULL", name="given_up"),
        sa.CheckConstraint(
            "(handed_at IS NULL) = (handed_by IS NULL) AND (handed_at IS NULL OR place IS NOT NULL)",
            name="handed",
        ),
    )

    id: UUID = Field(default_factory=ids.new_id, primary_key=True)
    draw_id: UUID = Field(foreign_key="draw.id")
    resident_id: UUID | None = Field(default=None, foreign_key="resident.id", index=True)
    ticket: str = Field(max_length=24, unique=True)
    entered_at: datetime
    given_up_at: datetime | None = None
    place: int | None = None
    prize: str | None = Field(default=None, max_length=40)
    handed_at: datetime | None = None
    handed_by: UUID | None = Field(default=None, foreign_key="staff.id")


_FIXED = ("commitment", "sealed", "created_by", "created_at", "division_code", "organisation_id")
_TERMS = ("title", "words", "price", "witness", "closes_at", "approved_at", "approved_by")
_CLOSED = ("closed_at", "tickets", "digest")


def _differ(columns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"NEW.{name} {{differs}} OLD.{name}" for name in columns) + ")"


_PRIZES = "CAST(NEW.prizes AS TEXT) <> CAST(OLD.prizes AS TEXT)"
_OPEN = (
    "EXISTS (SELECT 1 FROM draw d WHERE d.id = NEW.draw_id AND d.approved_at IS NOT NULL "
    "AND d.closed_at IS NULL AND d.cancelled_at IS NULL AND NEW.entered_at < d.closes_at)"
)
_WAS_CLOSED = "EXISTS (SELECT 1 FROM draw d WHERE d.id = OLD.draw_id AND d.closed_at IS NOT NULL AND d.cancelled_at IS NULL)"
_LOCK = "PERFORM 1 FROM draw WHERE id = NEW.draw_id FOR SHARE;"

#: What was promised stays: the seed from the beginning, the terms from the approval, the tickets from the closing.
GUARDS = (
    Guard("draw", "fixed", "UPDATE", _differ(_FIXED), "the seed is committed to when the draw is made"),
    Guard(
        "draw",
        "terms",
        "UPDATE",
        f"OLD.approved_at IS NOT NULL AND ({_differ(_TERMS)} OR {_PRIZES})",
        "its terms are frozen on approval",
    ),
    Guard(
        "draw",
        "closed_once",
        "UPDATE",
        f"OLD.closed_at IS NOT NULL AND {_differ(_CLOSED)}",
        "its tickets are fixed",
    ),
    Guard(
        "draw",
        "held_once",
        "UPDATE",
        f"(OLD.seed IS NOT NULL AND {_differ(('seed', 'drawn_at', 'witnessed', 'cancelled_at'))}) "
        "OR (OLD.witnessed <> '' AND NEW.witnessed <> OLD.witnessed) "
        f"OR (OLD.cancelled_at IS NOT NULL AND {_differ(('cancelled_at', 'cancel_reason'))})",
        "a draw is held once",
    ),
    Guard("draw", "kept", "DELETE", "true", "a draw is kept"),
    Guard("draw_entry", "open", "INSERT", f"NOT {_OPEN}", "it is not open", _LOCK),
    Guard(
        "draw_entry",
        "given_up_in_time",
        "UPDATE",
        f"NEW.given_up_at {{differs}} OLD.given_up_at AND (OLD.given_up_at IS NOT NULL OR {_WAS_CLOSED})",
        "tickets are fixed when it closes",
        _LOCK,
    ),
    Guard(
        "draw_entry",
        "fixed",
        "UPDATE",
        f"{_differ(('draw_id', 'ticket', 'entered_at'))} "
        "OR (NEW.resident_id IS NOT NULL AND NEW.resident_id {differs} OLD.resident_id) "
        f"OR (OLD.place IS NOT NULL AND {_differ(('place', 'prize'))}) "
        f"OR (OLD.handed_at IS NOT NULL AND {_differ(('handed_at', 'handed_by'))})",
        "a ticket stays what it is; a prize is handed over once",
    ),
    Guard("draw_entry", "kept", "DELETE", "true", "a ticket is kept"),
)


# --- the seed ----------------------------------------------------------------------------------------------


def _seal(settings: Settings, seed: str) -> bytes:
    nonce = ids.random_number(96).to_bytes(12, "big")
    return nonce + AESGCMSIV(settings.key("draw")).encrypt(nonce, seed.encode(), b"draw")


def open_seed(settings: Settings, draw: Draw) -> str:
    """The seed of a draw. Raises ValueError if it is not the one that was committed to."""
    seed = AESGCMSIV(settings.key("draw")).decrypt(draw.sealed[:12], draw.sealed[12:], b"draw").decode()
    if repeat_draw.sha256(seed) != draw.commitment:
        raise ValueError(f"draw {draw.id}: the seed is not the one that was committed to")
    return seed


# --- making, approving, cancelling -------------------------------------------------------------------------


def create_draw(house: House, principal: Principal, draw_in: DrawIn, *, chosen: UUID | None = None) -> Draw:
    """Draft a draw in one's scope; with a `chosen` id once, however often it is asked. Raises NotAllowed, InvalidField."""
    with house.db.session() as session:
        organisation = session.get(Organisation, draw_in.organisation_id) if draw_in.organisation_id else None
        division = organisation.division_code if organisation else draw_in.division_code
        require(
            session,
            principal,
            MANAGERS,
            division_code=division or None,
            organisation_id=draw_in.organisation_id,
        )
        if made := made_before(session, principal, Draw, chosen):
            return made
        _check(session, draw_in, division)
        seed = f"{ids.random_number(256):064x}"
        draw = Draw(
            id=chosen or ids.new_id(),
            **draw_in.model_dump(exclude={"prizes", "division_code"}),
            division_code=division,
            prizes=[prize.model_dump() for prize in draw_in.prizes],
            commitment=repeat_draw.sha256(seed),
            sealed=_seal(house.settings, seed),
            created_by=principal.id,
        )
        session.add(draw)
        note(session, principal, draw, "drafted")
        session.flush()
        return draw


def _check(session: Session, draw_in: DrawIn, division: str) -> None:
    wrong = []
    if session.get(Division, division) is None:
        wrong.append(("scope", N_("请选择由谁举办。")))
    if draw_in.closes_at <= clock.now():
        wrong.append(("closes_at", N_("截止时间应在现在以后。")))
    if sum(prize.count for prize in draw_in.prizes) > MOST_PRIZES:
        wrong.append(("prizes", N_("奖品一共最多 500 份。")))
    if wrong:
        raise InvalidField(errors=[{"field": field, "reason": reason} for field, reason in wrong])


def approve(house: House, principal: Principal, draw_id: UUID) -> None:
    """Open a draw, by another person than its maker; its terms are frozen and the hash of its seed is public. Again changes nothing.

    Raises NotFound, NotAllowed, ApproverIsSubmitter, DrawMovedOn (its closing time is past, or it was cancelled).
    """
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, APPROVERS, locked=True)
        if draw.created_by == principal.id:
            raise ApproverIsSubmitter
        if draw.approved_at and not draw.cancelled_at:
            return
        now = clock.now()
        if draw.cancelled_at or draw.closes_at <= now:
            raise DrawMovedOn
        draw.approved_by, draw.approved_at = principal.id, now
        session.add(draw)
        note(session, principal, draw, "approved")


def cancel(house: House, principal: Principal, draw_id: UUID, reason: str) -> None:
    """Hold a draw not at all, with a reason that everybody reads; the points go back. Again changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no reason), DrawMovedOn (it was held).
    """
    reason = audit.reason(reason)
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, locked=True)
        if draw.drawn_at:
            raise DrawMovedOn
        if draw.cancelled_at:
            return
        draw.cancelled_at, draw.cancel_reason = clock.now(), reason
        session.add(draw)
        note(session, principal, draw, "cancelled", reason=reason)


def witness(house: House, principal: Principal, draw_id: UUID, number: str) -> None:
    """Write the public number down that a closed draw waits for, once; an officer does. The same again changes nothing.

    Raises NotFound, NotAllowed, InvalidField (no number), DrawMovedOn (it waits for none, or has another).
    """
    number = " ".join(number.split())
    if not 1 <= len(number) <= 100:
        raise InvalidField(errors=[{"field": "witnessed", "reason": N_("请照公告填写这个号码。")}])
    with house.db.session() as session:
        draw = managed(session, principal, draw_id, APPROVERS, locked=True)
        if draw.witnessed == number:
            return
        if not draw.witness or draw.witnessed or draw.closed_at is None or draw.cancelled_at:
            raise DrawMovedOn
        draw.witnessed = number
        session.add(draw)
        note(session, principal, draw, "witnessed", number=number)


def managed(
    session: Session,
    principal: Principal,
    draw_id: UUID,
    roles: Sequence[Role] = MANAGERS,
    *,
    locked: bool = False,
) -> Draw:
    """A draw of one's own scope. Raises NotFound, NotAllowed."""
    draw = session.get(Draw, draw_id, with_for_update=locked)
    if draw is None:
        raise NotFound
    division_code, organisation_id = draw.division_code, draw.organisation_id
    require(session, principal, roles, division_code=division_code, organisation_id=organisation_id)
    return draw


def note(session: Session, principal: Principal, draw: Draw, deed: str, **more: Any) -> None:
    """Keep what a member of staff did to a draw."""
    audit.note_by(
        session,
        principal,
        deed=f"draw.{deed}",
        subject=f"draw:{draw.id}",
        **more,
    )


# --- reading -----------------------------------------------------------------------------------------------


def of_scope(session: Session, principal: Principal) -> Sequence[Draw]:
    """The draws in the scope of `principal`, the latest first."""
    scopes: list[Any] = [
        col(Draw.organisation_id) == given.organisation_id
        if given.organisation_id
        else col(Draw.division_code).startswith(given.division_code)
        for given in grants_of(session, principal)
        if given.role in MANAGERS
    ]
    query = select(Draw).where(sa.or_(sa.false(), *scopes))
    return session.exec(query.order_by(col(Draw.created_at).desc(), col(Draw.id))).all()


def public_draws(session: Session) -> Sequence[Draw]:
    """The draws that everybody may know of: those that can be entered first, the one that closes first at their head."""
    found = session.exec(select(Draw).where(col(Draw.approved_at).is_not(None)).limit(200)).all()
    now = clock.now()

    def order(draw: Draw) -> tuple[bool, float]:
        is_open = draw.state(now) is DrawState.OPEN
        return not is_open, draw.closes_at.timestamp() * (1 if is_open else -1)

    return sorted(found, key=order)


def public_draw(session: Session, draw_id: UUID) -> Draw:
    """A draw that everybody may know of. Raises NotFound."""
    draw = session.get(Draw, draw_id)
    if draw is None or draw.approved_at is None:
        raise NotFound
    return draw


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a draw so far; tickets and winners once they are fixed."""

    draw: Draw
    tickets: Sequence[str]
    winners: Sequence[Mapping[str, str]]

    @property
    def record(self) -> dict[str, Any]:
        """The record that `rewards.repeat_draw` checks."""
        draw = self.draw
        return {
            "format": repeat_draw.FORMAT,
            "id": str(draw.id),
            "title": draw.title,
            "prizes": draw.prizes,
            "closes_at": draw.closes_at.isoformat(),
            "commitment": draw.commitment,
            "witness": draw.witness,
            "tickets": list(self.tickets),
            "digest": draw.digest,
            "witnessed": draw.witnessed,
            "seed": draw.seed,
            "winners": [dict(winner) for winner in self.winners],
        }


def published(session: Session, draw_id: UUID) -> Published:
    """What everybody may read of a draw. Raises NotFound."""
    draw = public_draw(session, draw_id)
    if draw.closed_at is None:
        return Published(draw, (), ())
    return Published(draw, tickets_of(session, draw_id), winners_of(session, draw_id))


def titles(connection: Connection, draw_ids: Sequence[UUID]) -> dict[UUID, str]:
    """What these draws are called."""
    query = sa.select(col(Draw.id), col(Draw.title)).where(col(Draw.id).in_(draw_ids))
    return {row[0]: row[1] for row in connection.execute(query)} if draw_ids else {}


def tickets_of(session: Session, draw_id: UUID) -> Sequence[str]:
    """The tickets of a draw, sorted."""
    query = select(DrawEntry.ticket).where(DrawEntry.draw_id == draw_id, col(DrawEntry.given_up_at).is_(None))
    return sorted(session.exec(query))


def winners_of(session: Session, draw_id: UUID) -> Sequence[Mapping[str, str]]:
    """Who won what, by ticket, the first prize first."""
    query = select(DrawEntry).where(DrawEntry.draw_id == draw_id, col(DrawEntry.place).is_not(None))
    won = session.exec(query.order_by(col(DrawEntry.place)))
    return [{"ticket": entry.ticket, "prize": entry.prize or ""} for entry in won]


def entered(session: Session, draw_id: UUID) -> int:
    """How many tickets there are so far."""
    count = select(sa.func.count()).select_from(DrawEntry)
    mine = (DrawEntry.draw_id == draw_id, col(DrawEntry.given_up_at).is_(None))
    return session.exec(count.where(*mine)).one()
