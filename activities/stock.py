"""Stock as counted at the end of a month: entered by staff of the site, and never edited."""

from datetime import date, timedelta
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import Session, col, select

from activities.materials import Material
from activities.recycling import MOST_GRAMS, StockTake
from activities.sites import get_site
from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

#: A stock is more than one load.
MOST_STOCK = MOST_GRAMS * 10


def last_day(month: date) -> date:
    """The last day of the month that begins on `month`."""
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def month_after(month: date) -> date:
    """The first day of the next month."""
    return last_day(month) + timedelta(days=1)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return (month - timedelta(days=1)).replace(day=1)


def take_stock(
    house: House,
    principal: Principal,
    site_id: UUID,
    material: str,
    month: date,
    grams: int,
    reason: str = "",
) -> StockTake:
    """Say what lay at a site at the end of a month, in grams. Said again it needs a reason, and both stay.

    Sent twice it is said once. For staff of the site. Raises NotFound, NotAllowed, InvalidField.
    """

    def work(connection: Connection) -> StockTake:
        with session_on(connection) as session:
            get_site(session, principal, site_id)
            _check(session, material, month, grams)
            said = latest(session, site_id, material, month)
            if said and said.grams == grams:
                return said
            row = StockTake(
                site_id=site_id,
                material=material,
                month=month,
                revision=said.revision + 1 if said else 1,
                grams=grams,
                reason=audit.reason(reason) if said else "",
                counted_by=principal.id,
            )
            session.add(row)
            audit.note_by(
                session,
                principal,
                deed="stock.taken",
                subject=f"site:{site_id}",
                reason=row.reason,
                material=material,
                month=month.isoformat(),
                grams=grams,
            )
            return row

    return house.db.run(work)


def _check(session: Session, material: str, month: date, grams: int) -> None:
    errors = []
    if session.get(Material, material) is None:
        errors.append({"field": "material", "reason": N_("请从列表中选择材料。")})
    if month.day != 1 or last_day(month) > clock.today():
        errors.append({"field": "month", "reason": N_("月末盘点在当月最后一天起才能填写。")})
    if not 0 <= grams <= MOST_STOCK:
        errors.append({"field": "grams", "reason": N_("库存应为 0 到 300 吨，这里填千克。")})
    if errors:
        raise InvalidField(errors=errors)


def latest(session: Session, site_id: UUID, material: str, month: date) -> StockTake | None:
    """What was said last of a stock."""
    return session.exec(
        select(StockTake)
        .where(StockTake.site_id == site_id, StockTake.material == material, StockTake.month == month)
        .order_by(col(StockTake.revision).desc())
    ).first()
