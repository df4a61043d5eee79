"""Targets of the demo: one tree divided both ways, one that is entered by hand, tasks and a reminder. The amounts are made up and say so."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

from sqlmodel import col, select

from tanpuhui import clock, divisions
from tanpuhui.bureau.target_changes import change_target, enter_progress, set_target
from tanpuhui.bureau.target_forms import TargetIn, typed
from tanpuhui.bureau.target_task_changes import TaskIn, finish_task, follow_up, set_task
from tanpuhui.bureau.target_tasks import remind
from tanpuhui.bureau.targets import Target
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role, RoleGrant

_BASIS = "演示用，不是真实的目标任务"


def add_targets(house: House) -> None:
    """The officer of the demo sets targets for this year, divides them and follows them."""
    district = house.settings.district_code
    with house.db.reading_session() as session:
        found = session.exec(
            select(RoleGrant.staff_id)
            .where(RoleGrant.role == Role.OFFICER, RoleGrant.division_code == district)
            .order_by(col(RoleGrant.id))
        ).first()
        streets = [one.code for one in divisions.children(session, district)]
    if found is None:
        return
    officer, year = Principal("staff", found, found), clock.today().year
    said = TargetIn(
        measure="co2e",
        amount="600",
        division_code=district,
        answerer_id=str(found),
        basis=_BASIS,
        due_on=f"{year}-12-31",
    )

    def add(told: TargetIn, parent_id: UUID | None = None) -> UUID:
        return set_target(house, officer, year, told, parent_id=parent_id)

    root = add(said)
    for street, amount in zip(streets, ("120", "90", "75.5", "60"), strict=False):
        last = add(replace(said, division_code=street, amount=amount), root)
    add(
        replace(said, division_code=streets[3], department="社区发展办", kind="clean_plate", amount="20"),
        last,
    )
    glass = add(
        replace(said, department="区绿化市容局", measure="quantity", kind="recycle_glass", amount="80"), root
    )
    add(replace(said, department="区商务委", kind="clean_plate", amount="600"), root)
    add(replace(said, measure="participants", amount="50"))
    lamps = add(replace(said, measure="free", subject="更换的节能灯", unit="盏", amount="200"))
    with house.db.reading_session() as session:
        before = session.get_one(Target, glass)
    change_target(
        house, officer, glass, replace(typed(before), amount="100"), reason="演示：年中上调", seen=1
    )
    _follow(house, officer, glass, lamps)


def _follow(house: House, officer: Principal, glass: UUID, lamps: UUID) -> None:
    today, who = clock.today(), str(officer.id)
    first, last = date(today.year, 1, 1), date(today.year, 12, 31)
    enter_progress(
        house, officer, lamps, amount="35", as_of=today.isoformat(), evidence="演示：物业提交的更换清单"
    )

    def task(title: str, due_on: date) -> UUID:
        due_on = min(max(due_on, first), last)
        return set_task(house, officer, glass, TaskIn(title, who, due_on.isoformat()))

    task("给每个回收点贴上玻璃投放说明", today + timedelta(days=6))
    late = task("核对六个回收点的称重记录", today - timedelta(days=3))
    done = task("与回收企业约定每周清运", today)
    follow_up(house, officer, late, text="已核对四个点，余下两个约在下周。", on_day=today.isoformat())
    finish_task(house, officer, done, outcome="两家企业都已书面确认", reference="演示：会议纪要", seen=1)
    with house.db.transaction() as connection:
        remind(house, connection, clock.now())
