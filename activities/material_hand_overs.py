"""Hand-overs: entered by who gives, confirmed by who receives, reversed where something was wrong."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field as InField
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from activities.materials import Material, MaterialKind
from activities.recycling import MOST_GRAMS, Fate, HandOver, HandOverConfirmation, HandOverReversal
from activities.sites import MANAGERS, RecoveryLevel, Site, SiteCredits, SiteStatus, get_site, in_scope
from tanpuhui import audit, clock, ids
from tanpuhui.db import session_on
from tanpuhui.errors import (
    HandOverConfirmed,
    HandOverReversed,
    InvalidField,
    KeyReused,
    NotAllowed,
    NotFound,
)
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import made_before

#: What is entered later than this is a slip of the finger in the date.
LATEST = timedelta(days=366)

#: To which levels a level hands over: downwards alone.
BELOW = {
    RecoveryLevel.POINT: (RecoveryLevel.STATION, RecoveryLevel.YARD),
    RecoveryLevel.STATION: (RecoveryLevel.YARD,),
    RecoveryLevel.YARD: (),
}


class HandOverIn(BaseModel):
    """What the sender says: to a site, or from a yard to a taker with what becomes of it. Grams."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    from_site_id: UUID
    to_site_id: UUID | None = None
    fate: Fate | None = None
    taker: str = InField(default="", max_length=80)
    material: str = InField(max_length=32)
    grams: int
    handed_at: datetime
    vehicle: str = InField(default="", max_length=20)
    receipt: str = InField(default="", max_length=40)

    @property
    def number(self) -> str | None:
        """The number of the receipt as it is kept, however it was typed; None where there is none."""
        return "".join(self.receipt.upper().split()) or None


@dataclass(frozen=True, slots=True)
class Handed:
    """A hand-over with its two ends, and what became of it. `receiver`: None where it left the district."""

    hand_over: HandOver
    sender: Site
    receiver: Site | None
    material: Material
    confirmation: HandOverConfirmation | None
    reversal: HandOverReversal | None

    @property
    def stands(self) -> bool:
        """Whether it counts."""
        return self.reversal is None

    @property
    def waits(self) -> bool:
        """Whether it is on the way: the receiver has not said what arrived."""
        return self.stands and self.receiver is not None and self.confirmation is None

    @property
    def difference(self) -> int:
        """What arrived less what was sent, in grams; 0 where nobody has said."""
        return self.confirmation.grams - self.hand_over.grams if self.confirmation else 0

    @property
    def beyond(self) -> bool:
        """Whether the two weights differ by more than the material's tolerance."""
        return self.stands and abs(self.difference) > self.material.tolerance(self.hand_over.grams)


def record(house: House, principal: Principal, said: HandOverIn, *, chosen: UUID | None = None) -> HandOver:
    """Enter a hand-over; with a `chosen` id once, however often it is sent.

    For staff of the sending site. Raises NotFound, NotAllowed, InvalidField, KeyReused (the same id with other words).
    """

    def work(connection: Connection) -> HandOver:
        with session_on(connection) as session:
            sender = get_site(session, principal, said.from_site_id)
            if made := made_before(session, principal, HandOver, chosen):
                if not _same(made, said):
                    raise KeyReused
                return made
            _check(session, sender, said)
            row = HandOver(
                id=chosen or ids.new_id(),
                **said.model_dump(exclude={"receipt"}),
                day=clock.day_of(said.handed_at),
                receipt=said.number,
                again=_entered_before(session, said),
                recorded_by=principal.id,
            )
            session.add(row)
            _note(session, principal, "hand_over.recorded", row, grams=row.grams, material=row.material)
            return row

    return house.db.run(work)  # of two with one receipt at once, the second is told


def _same(made: HandOver, said: HandOverIn) -> bool:
    again = said.model_dump(exclude={"receipt"}) | {"receipt": said.number}
    return all(getattr(made, name) == value for name, value in again.items())


def _check(session: Session, sender: Site, said: HandOverIn) -> None:
    """Raises InvalidField with everything that is wrong."""
    errors = [*wrong_grams(said.grams), *_wrong_time(said.handed_at), *_wrong_end(session, sender, said)]
    if session.get(Material, said.material) is None:
        errors.append({"field": "material", "reason": N_("请从列表中选择材料。")})
    if errors:
        raise InvalidField(errors=errors)


def wrong_grams(grams: int) -> Iterator[dict[str, str]]:
    """What is wrong with a weight."""
    if grams <= 0:
        yield {"field": "grams", "reason": N_("重量应大于 0。")}
    elif grams > MOST_GRAMS:
        yield {"field": "grams", "reason": N_("一次最多 30 吨，请检查单位：这里填千克。")}


def _wrong_time(handed_at: datetime) -> Iterator[dict[str, str]]:
    now = clock.now()
    if handed_at > now:
        yield {"field": "handed_at", "reason": N_("这个时间还没有到，请填写实际交接的时间。")}
    elif handed_at < now - LATEST:
        yield {"field": "handed_at", "reason": N_("只能登记一年以内的交接，请检查日期。")}


def _wrong_end(session: Session, sender: Site, said: HandOverIn) -> Iterator[dict[str, str]]:
    if said.to_site_id is None:
        yield from _wrong_exit(sender, said)
        return
    receiver = session.get(Site, said.to_site_id)
    if said.fate or said.taker:
        yield {"field": "fate", "reason": N_("交给点位的不用填写去向，只有运出去的才填。")}
    if said.to_site_id == said.from_site_id:
        yield {"field": "to_site_id", "reason": N_("不能交给自己，请选择接收的站或场。")}
    elif receiver is None or receiver.self_reports:
        yield {"field": "to_site_id", "reason": N_("请从列表中选择接收的站或场。")}
    elif receiver.level not in BELOW[sender.level]:
        yield {
            "field": "to_site_id",
            "reason": N_("方向不对：只能由点交给站或场，由站交给场，不能往回交。"),
        }
    elif receiver.status is not SiteStatus.OPEN:
        yield {"field": "to_site_id", "reason": N_("接收点已关闭，现在不收，请选择别的站或场。")}


def _wrong_exit(sender: Site, said: HandOverIn) -> Iterator[dict[str, str]]:
    if sender.level is not RecoveryLevel.YARD:
        yield {"field": "to_site_id", "reason": N_("请选择交给哪个站或场。")}
        return
    if said.fate is None:
        yield {"field": "fate", "reason": N_("请选择这批材料的去向。")}
    if len(said.taker) < 2:
        yield {"field": "taker", "reason": N_("请填写接收单位的名称。")}


def _entered_before(session: Session, said: HandOverIn) -> int:
    """How often the receipt was entered and reversed. Raises InvalidField while it stands."""
    if said.number is None:
        return 0
    entered = session.exec(
        select(HandOver.id, HandOverReversal.hand_over_id)
        .outerjoin(HandOverReversal, col(HandOverReversal.hand_over_id) == col(HandOver.id))
        .where(HandOver.from_site_id == said.from_site_id, HandOver.receipt == said.number)
    ).all()
    if any(reversed_id is None for _, reversed_id in entered):
        reason = N_("这张单据已经登记过了，每张只登记一次。登记错了的话，请先冲销那一次。")
        raise InvalidField(errors=[{"field": "receipt", "reason": reason}])
    return len(entered)


# --- what follows -------------------------------------------------------------------------------------------


def confirm(house: House, principal: Principal, hand_over_id: UUID, grams: int) -> HandOverConfirmation:
    """Say what arrived, in grams, by the receiver's own scale. For staff of the receiving site, once.

    Raises NotFound, NotAllowed, InvalidField, HandOverConfirmed, HandOverReversed.
    """

    def work(connection: Connection) -> HandOverConfirmation:
        with session_on(connection) as session:
            row = _in_turn(session, hand_over_id)
            if row.to_site_id is None:
                raise NotFound
            get_site(session, principal, row.to_site_id)
            _refuse_settled(session, hand_over_id)
            if wrong := list(wrong_grams(grams)):
                raise InvalidField(errors=wrong)
            confirmation = HandOverConfirmation(
                hand_over_id=hand_over_id, grams=grams, confirmed_by=principal.id
            )
            session.add(confirmation)
            _note(session, principal, "hand_over.confirmed", row, grams=grams, sent=row.grams)
            return confirmation

    return house.db.run(work)


def _refuse_settled(session: Session, hand_over_id: UUID) -> None:
    if session.get(HandOverReversal, hand_over_id):
        raise HandOverReversed
    if session.get(HandOverConfirmation, hand_over_id):
        raise HandOverConfirmed


def reverse(house: House, principal: Principal, hand_over_id: UUID, reason: str) -> HandOverReversal:
    """Take a hand-over back, with a reason that both sides read: it leaves every sum, and may be entered again.

    For staff of either site. Raises NotFound, NotAllowed, InvalidField, HandOverReversed.
    """

    def work(connection: Connection) -> HandOverReversal:
        with session_on(connection) as session:
            row = _in_turn(session, hand_over_id)
            require_either(session, principal, row)
            if session.get(HandOverReversal, hand_over_id):
                raise HandOverReversed
            reversal = HandOverReversal(
                hand_over_id=hand_over_id, reason=audit.reason(reason), reversed_by=principal.id
            )
            session.add(reversal)
            _note(session, principal, "hand_over.reversed", row, reason=reversal.reason)
            return reversal

    return house.db.run(work)


def _in_turn(session: Session, hand_over_id: UUID) -> HandOver:
    """The hand-over; whoever else wants to confirm or reverse it waits. Raises NotFound."""
    found = session.get(HandOver, hand_over_id, with_for_update={"key_share": True})
    if found is None:
        raise NotFound
    return found


def require_either(session: Session, principal: Principal, row: HandOver) -> None:
    """Let staff of the sending or of the receiving site pass. Raises NotAllowed."""
    try:
        get_site(session, principal, row.from_site_id)
    except NotAllowed:
        if row.to_site_id is None:
            raise
        get_site(session, principal, row.to_site_id)


def _note(
    session: Session, principal: Principal, deed: str, row: HandOver, reason: str = "", **detail: Any
) -> None:
    audit.note_by(
        session,
        principal,
        deed=deed,
        subject=f"hand_over:{row.id}",
        reason=reason,
        **detail,
    )


# --- reading ------------------------------------------------------------------------------------------------

_SENDER, _RECEIVER = aliased(Site), aliased(Site)


def _query() -> Any:
    return (
        sa.select(HandOver, _SENDER, _RECEIVER, Material, HandOverConfirmation, HandOverReversal)
        .join(_SENDER, col(_SENDER.id) == col(HandOver.from_site_id))
        .outerjoin(_RECEIVER, col(_RECEIVER.id) == col(HandOver.to_site_id))
        .join(Material, col(Material.code) == HandOver.material)
        .outerjoin(HandOverConfirmation, col(HandOverConfirmation.hand_over_id) == HandOver.id)
        .outerjoin(HandOverReversal, col(HandOverReversal.hand_over_id) == HandOver.id)
    )


def one(session: Session, principal: Principal, hand_over_id: UUID) -> Handed:
    """A hand-over, for staff of either of its sites. Raises NotFound, NotAllowed."""
    row = session.execute(_query().where(col(HandOver.id) == hand_over_id)).first()
    if row is None:
        raise NotFound
    require_either(session, principal, row[0])
    return Handed(*row)


def of_sites(
    session: Session,
    site_ids: Collection[UUID] | None,
    *conditions: Any,
    limit: int | None = None,
) -> list[Handed]:
    """Hand-overs from or to sites (None: all of them), the latest first."""
    query = (
        _query().where(*conditions).order_by(col(HandOver.handed_at).desc(), col(HandOver.id)).limit(limit)
    )
    if site_ids is not None:
        own = list(site_ids)
        query = query.where(col(HandOver.from_site_id).in_(own) | col(HandOver.to_site_id).in_(own))
    return [Handed(*row) for row in session.execute(query)]


def own_sites(session: Session, principal: Principal) -> Sequence[Site]:
    """The sites of the chain that one hands over from, or receives at: stations and yards, and points that bring material in."""
    bringing = sa.exists().where(
        col(SiteCredits.site_id) == col(Site.id), col(SiteCredits.kind) == col(MaterialKind.kind)
    )
    return session.exec(
        select(Site)
        .where(
            in_scope(session, principal, MANAGERS),
            ~col(Site.self_reports),
            bringing | (col(Site.level) != RecoveryLevel.POINT),
        )
        .order_by(col(Site.level).desc(), Site.name)
    ).all()


def receivers(session: Session, sender: Site) -> Sequence[Site]:
    """The open sites that `sender` may hand over to: everybody's, stations before yards."""
    return session.exec(
        select(Site)
        .where(col(Site.level).in_(BELOW[sender.level]), Site.status == SiteStatus.OPEN)
        .order_by(Site.level, Site.name)
    ).all()
