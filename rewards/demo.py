"""The honours, adjustments and draws of the demo: made through the same services, after everybody has lived their month."""

import os
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import SQLModel, col, select

from rewards import (
    adjustments,
    draw_entries,
    draw_making,
    draw_ticks,
    draws,
    honour_decisions,
    honour_holders,
    nominations,
)
from rewards.adjustments import GoodwillIn
from rewards.draw_making import DrawIn, Prize
from rewards.honours import HolderKind
from rewards.nominations import Nomination
from tanpuhui import clock, staff
from tanpuhui.divisions import Division, DivisionLevel
from tanpuhui.feedback import Feedback
from tanpuhui.people import PRESENT, Document, Resident
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal
from tanpuhui.staff import Role


def add_honours(house: House) -> None:
    """Whoever was here last and a neighbourhood are honoured, a building waits for a decision, and one invitation is open."""
    organiser, officer = (a_member(house, role) for role in (Role.ORGANISER, Role.OFFICER))
    with clock.pretending(clock.now() - timedelta(hours=2)):
        star = nominations.create_kind(house, officer, "低碳之星", "长期做绿色小事、并带动邻居一起做的居民")
        circle = nominations.create_kind(
            house, officer, "绿色邻里", "组织邻居一起减排、做法值得别处学的社区、楼组和单位"
        )
        with house.db.reading_session() as session:
            community = session.exec(
                select(Division.name).where(Division.level == DivisionLevel.COMMUNITY).order_by(Division.code)
            ).first()
        name = (community or "某居委会").removesuffix("居委会").removesuffix("村委会")
        scope = f"division:{house.settings.district_code}"
        given = [
            _nominate(house, organiser, star, scope, *_STAR),
            _nominate(house, organiser, circle, scope, *_CIRCLE, name=f"{name}社区"),
        ]
        _nominate(house, organiser, circle, scope, *_BUILDING, name=f"{name}社区三号楼")
        _nominate(house, organiser, star, scope, *_OPEN)
    person, token = given[0]
    with clock.pretending(clock.now() - timedelta(hours=1)):
        honour_holders.accept(
            house,
            last_here(house),
            token,
            name="爱骑车的小林",
            listed=True,
            version=PRESENT[Document.HONOURS],
        )
        for honour_id in (person, given[1][0]):
            honour_decisions.decide(house, officer, honour_id, "honoured")


def add_adjustments(house: House) -> None:
    """Two who wrote in are to get points: one has them, the other waits for a second officer."""
    first, second = (a_member(house, Role.OFFICER) for _ in range(2))
    with house.db.reading_session() as session:
        wrote = session.exec(
            select(Feedback.number)
            .join(Resident, col(Resident.id) == col(Feedback.resident_id))
            .where(col(Resident.with_points))
            .order_by(col(Feedback.opened_at))
            .limit(2)
        ).all()
    for number, (points, reason) in zip(wrote, _GOODWILL, strict=False):
        with clock.pretending(clock.now() - timedelta(hours=3)):
            made = adjustments.propose(house, first, GoodwillIn(number, points, reason))
        if number == wrote[0]:
            with clock.pretending(clock.now() - timedelta(hours=2)):
                adjustments.decide(house, second, made, "approved")


_GOODWILL = (
    ("30", "回收箱的码坏了一周，三次分类没能记上，按实际次数补发。"),
    ("20", "活动当天系统中断，现场登记表上有您的两次光盘。"),
)
_STAR = (
    "每天骑车上班，教楼里的邻居使用会员码，帮三位老人办好了会员卡。",
    (
        ("邻居写来的建议里点名感谢", "投诉与建议，社区服务台有底稿"),
        ("在登记台帮忙六次", "社区登记台的值班表"),
    ),
)
_CIRCLE = (
    "在菜场门口设玻璃瓶回收点，每周固定一天有人值守，做法已写成说明给别的社区用。",
    (("回收点开放八周，没有缺过一次值守", "社区值守登记本"),),
)
_BUILDING = ("整个楼组一起参加光盘行动，把打卡表贴在大堂里。", (("打卡表连续贴了四周", "楼组长处的原件"),))
_OPEN = ("把旧衣回收箱旁边收拾得干干净净，还画了指路牌。", (("指路牌的照片", "社区公告栏"),))


def add_draws(house: House) -> None:
    """One draw is over, one can be entered, one waits for approval."""
    organiser, officer = (a_member(house, role) for role in (Role.ORGANISER, Role.OFFICER))
    now = clock.now()
    holder = last_here(house)
    over = timedelta(days=3)
    with clock.pretending(now - 2 * over):
        held = _draw(house, organiser, "全国低碳日抽奖", 0, now - over)
        draw_making.approve(house, officer, held)
        draw_entries.enter(house, holder, held)
    for after in (over, over - draws.PAUSE):
        with clock.pretending(now - after), house.db.transaction() as connection:
            draw_ticks.tick(house, connection, now - after)
    draw_making.approve(house, officer, _draw(house, organiser, "绿色新年抽奖", 5, now + 4 * over))
    _draw(house, organiser, "旧衣回收月抽奖", 10, now + 9 * over)


def _draw(house: House, by: Principal, title: str, price: int, closes_at: datetime) -> UUID:
    prizes = [Prize(name="帆布袋", count=3), Prize(name="节能灯泡", count=10)]
    draw_in = DrawIn(
        title=title,
        words="奖品到社区服务台领取，带上抽奖券就可以。",
        division_code=house.settings.district_code,
        price=price,
        prizes=prizes,
        closes_at=closes_at,
    )
    return draw_making.create_draw(house, by, draw_in).id


def _nominate(
    house: House,
    by: Principal,
    kind: UUID,
    scope: str,
    reason: str,
    evidence: tuple[tuple[str, str], ...],
    name: str = "",
) -> tuple[UUID, str]:
    holder = HolderKind.TEAM if name else HolderKind.PERSON
    nomination = Nomination(
        kind, holder, scope, reason, evidence, name=name, agreed=bool(name), listed=bool(name)
    )
    return nominations.nominate(house, by, nomination)


def a_member(house: House, role: Role) -> Principal:
    """A member of staff of the whole district."""
    with house.db.session() as session:
        grants = [staff.grant(role, division_code=house.settings.district_code)]
        name = f"demo {role.value} {os.urandom(3).hex()}"
        member = staff.add_staff(session, name=name, password=os.urandom(16).hex(), grants=grants)
        return Principal("staff", member.id, member.id)


def last_here(house: House) -> UUID:
    """Whoever recorded something last."""
    action = SQLModel.metadata.tables["action"]
    with house.db.reading() as connection:
        found: UUID = connection.execute(
            sa.select(action.c.resident_id).order_by(action.c.recorded_at.desc()).limit(1)
        ).scalar_one()
    return found
