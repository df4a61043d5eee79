"""Reading records back: a resident's own totals and what is left today; for staff, one record in their scope."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, col

from activities.actions import READ_DAYS, Action, ActionVoid
from activities.catalogue import ActionKind
from activities.sites import MANAGERS, Site
from tanpuhui.errors import NotFound
from tanpuhui.sessions import Principal
from tanpuhui.staff import require


@dataclass(frozen=True, slots=True)
class Totals:
    """A resident's standing records. Milligrams of CO2e, low value; what the city credits is apart."""

    today_actions: int
    today_co2e_mg: int
    month_co2e_mg: int
    city_co2e_mg: int


def own_totals(connection: Connection, resident_id: UUID, today: date) -> Totals:
    """What a resident did on `today` and since the first of its month. What was voided does not count."""
    standing: Any = (
        sa.select(
            col(Action.day).label("day"),
            col(Action.city_credited).label("city"),
            sa.func.count().label("actions"),
            sa.func.sum(col(Action.co2e_mg)).label("co2e_mg"),
        )
        .where(col(Action.resident_id) == resident_id, col(Action.day).between(today.replace(day=1), today))
        .where(~sa.exists().where(col(ActionVoid.action_id) == col(Action.id)))
        .group_by(col(Action.day), col(Action.city_credited))
    )
    rows = connection.execute(standing).all()
    own = [row for row in rows if not row.city]
    return Totals(
        today_actions=sum(row.actions for row in rows if row.day == today),
        today_co2e_mg=sum(int(row.co2e_mg) for row in own if row.day == today),
        month_co2e_mg=sum(int(row.co2e_mg) for row in own),
        city_co2e_mg=sum(int(row.co2e_mg) for row in rows if row.city),
    )


def left_today(connection: Connection, action: Action, kind: ActionKind, today: date) -> int | None:
    """How many more records of the kind `today` allows; None when `action` is of another day."""
    if action.day != today:
        return None
    rows = READ_DAYS.run(connection, residents=[action.resident_id], days=[today.isoformat()])
    done = len([row for row in rows if row.kind == kind.code and not row.voided])
    return max(0, kind.records_per_day - done)


def managed_action(
    session: Session, principal: Principal, action_id: UUID
) -> tuple[Action, ActionVoid | None, Site]:
    """An action at a site that `principal` manages, with what became of it. Raises NotFound, NotAllowed."""
    action = session.get(Action, action_id)
    if action is None:
        raise NotFound
    site = session.get_one(Site, action.site_id)
    require(
        session,
        principal,
        MANAGERS,
        division_code=site.division_code,
        organisation_id=site.organisation_id,
    )
    return action, session.get(ActionVoid, action_id), site
