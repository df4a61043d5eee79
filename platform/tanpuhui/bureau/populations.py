"""How many people live where, as a named source states it: what takes participation to a thousand residents.

Officers enter it; none comes with the platform, and where none stands nothing is divided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, col, select

from tanpuhui import audit, clock
from tanpuhui.db import session_on
from tanpuhui.divisions import Division, street_of
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, require

FIRST_YEAR, MOST_PEOPLE = 2000, 100_000_000
SOURCE_LENGTH = (2, 300)
ENTERERS = (Role.OFFICER, Role.ADMIN)


class Population(SQLModel, table=True):
    """How many people lived in the district or a 街镇 in a year, as a named source states it. Officers enter it; none comes with the platform."""

    __tablename__ = "population"
    __table_args__ = (
        sa.CheckConstraint("people > 0 AND people <= 100000000", name="people"),
        sa.CheckConstraint("year BETWEEN 2000 AND 2999", name="year"),
        sa.CheckConstraint("source <> ''", name="source"),
    )

    division_code: str = Field(primary_key=True, foreign_key="division.code", max_length=12)
    year: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    people: int = Field(sa_type=sa.BigInteger)
    source: str = Field(max_length=300)
    entered_by: UUID = Field(foreign_key="staff.id")
    entered_at: datetime = Field(default_factory=clock.now)


@dataclass(frozen=True)
class PopulationIn:
    """A population as somebody enters it; a number that could not be read is None. `reason`: why it replaces another."""

    division_code: str
    year: int | None
    people: int | None
    source: str
    reason: str = ""


def enter_population(house: House, principal: Principal, entered: PopulationIn) -> Population:
    """Enter how many people lived in a division in a year, or replace it, which needs a reason.

    For officers and admins of the district. The audit keeps what stood there before. Raises NotAllowed, InvalidField.
    """
    source = " ".join(entered.source.split())

    def work(connection: Connection) -> Population:
        with session_on(connection) as session:
            require(session, principal, ENTERERS, division_code=house.settings.district_code)
            year, people = _checked(session, house.settings.district_code, entered, source)
            key = (entered.division_code, year)
            before = session.get(Population, key, with_for_update=True)
            why = audit.reason(entered.reason) if before else ""
            old = {"old_people": before.people, "old_source": before.source} if before else {}
            standing = before or Population(
                division_code=entered.division_code,
                year=year,
                people=people,
                source=source,
                entered_by=principal.id,
            )
            standing.people, standing.source = people, source
            standing.entered_by, standing.entered_at = principal.id, clock.now()
            session.add(standing)
            audit.note_by(
                session,
                principal,
                deed="population.replaced" if before else "population.entered",
                subject=f"population:{entered.division_code}:{year}",
                reason=why,
                people=people,
                source=source,
                **old,
            )
            return standing

    return house.db.run(work)  # of two who enter it first at once, the second is asked for a reason


def _checked(session: Session, district: str, entered: PopulationIn, source: str) -> tuple[int, int]:
    errors = []
    code = entered.division_code
    if street_of(code) != code or not code.startswith(district) or session.get(Division, code) is None:
        errors.append({"field": "division", "reason": N_("请选择全区或一个街镇。")})
    if entered.year is None or not FIRST_YEAR <= entered.year <= clock.today().year:
        errors.append({"field": "year", "reason": N_("请填写 2000 年至今年之间的年份。")})
    if entered.people is None or not 0 < entered.people <= MOST_PEOPLE:
        errors.append({"field": "people", "reason": N_("请以整数填写人数，大于 0，不超过一亿。")})
    if not SOURCE_LENGTH[0] <= len(source) <= SOURCE_LENGTH[1]:
        errors.append({"field": "source", "reason": N_("请写明出处（2 到 300 字）。")})
    if errors or entered.year is None or entered.people is None:
        raise InvalidField(errors=errors)
    return entered.year, entered.people


def all_populations(connection: Connection) -> list[Population]:
    """Everything that was entered, by division, the latest year first."""
    with session_on(connection) as session:
        query = select(Population).order_by(col(Population.division_code), col(Population.year).desc())
        return list(session.exec(query))


def populations_until(connection: Connection, year: int) -> Mapping[str, Population]:
    """By division, the latest population that was entered for a year not after `year`."""
    found: dict[str, Population] = {}
    for one in all_populations(connection):
        if one.year <= year:
            found.setdefault(one.division_code, one)
    return found


def per_thousand(participants: int, people: int) -> int:
    """Participants for a thousand residents, in tenths and cut down: 12 of 8,000 are 15, which is told as 1.5."""
    return participants * 10_000 // people
