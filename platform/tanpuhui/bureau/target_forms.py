"""What somebody says of a target, in a form or in a row of a sheet, made into what a target holds; every problem at once."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from tanpuhui import divisions
from tanpuhui.bureau.participation import read_day
from tanpuhui.bureau.target_measures import LARGEST_AMOUNT, MEASURES, UNIT_NAMES, Counted, is_formal
from tanpuhui.bureau.targets import EDITORS, Target
from tanpuhui.divisions import Division
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import MASSES, N_, UNITS
from tanpuhui.rooms import House
from tanpuhui.staff import RoleGrant, Staff

Problem = dict[str, str]


@dataclass(frozen=True)
class TargetIn:
    """A target as it is typed: each field a text. `kind`, `division_code` and `answerer_id` are chosen from what is `Known`."""

    measure: str = ""
    kind: str = ""
    subject: str = ""
    unit: str = ""
    amount: str = ""
    division_code: str = ""
    department: str = ""
    answerer_id: str = ""
    basis: str = ""
    due_on: str = ""
    notes: str = ""


FIELDS = tuple(one.name for one in fields(TargetIn))


class Kind(NamedTuple):
    """A kind of action, as targets know it."""

    code: str
    name_zh: str
    name_en: str
    unit: str


@dataclass(frozen=True)
class Known:
    """What a target may name: kinds of action by code, the district and its 街镇 by code, and who may answer, by id."""

    kinds: Mapping[str, Kind]
    divisions: Mapping[str, Division]
    answerers: Mapping[UUID, str]


def known(session: Session, house: House) -> Known:
    """What a target may name now. Answer may whoever is an officer or admin of the district or of a part of it."""
    district = house.settings.district_code
    table = SQLModel.metadata.tables["action_kind"]
    columns = (table.c.code, table.c.name_zh, table.c.name_en, table.c.unit)
    kinds = [Kind(*row) for row in session.connection().execute(sa.select(*columns).order_by(table.c.code))]
    own = session.get(Division, district)
    places = [*([own] if own else []), *divisions.children(session, district)]
    staff = session.exec(
        select(Staff.id, Staff.name)
        .join(RoleGrant, col(RoleGrant.staff_id) == col(Staff.id))
        .where(
            col(Staff.active).is_(True),
            col(RoleGrant.role).in_(EDITORS),
            col(RoleGrant.division_code).startswith(district),
        )
        .order_by(Staff.name)
        .distinct()
    )
    return Known({one.code: one for one in kinds}, {one.code: one for one in places}, dict(staff.all()))


# --- reading ------------------------------------------------------------------------------------------------


def read_target(said: TargetIn, known: Known, year: int) -> dict[str, Any]:
    """What a target holds, by name. Raises InvalidField with every problem."""
    reading = _Reading(said, known, year)
    values = reading.values()
    if reading.problems:
        raise InvalidField(errors=reading.problems)
    return values


def amount_milli(text: str, *, whole: bool = False, zero: bool = False) -> int:
    """A decimal number as it is typed or pasted, in thousandths. Raises ValueError with the reason in words."""
    plain = re.sub(r"[,\s]", "", unicodedata.normalize("NFKC", text))
    try:
        number = Decimal(plain) if re.fullmatch(r"[+-]?[0-9]{1,24}(\.[0-9]{0,12})?", plain) else None
    except InvalidOperation:
        number = None
    if number is None:
        raise ValueError(N_("请填写数字，例如 1200 或 12.5。"))
    if number < 0 or (number == 0 and not zero):
        raise ValueError(N_("不能是负数。") if zero else N_("应大于零。"))
    if number * 1000 % 1:
        raise ValueError(N_("最多三位小数。"))
    if whole and number % 1:
        raise ValueError(N_("这项指标应是整数。"))
    if number * 1000 > LARGEST_AMOUNT:
        raise ValueError(N_("太大了，请检查单位。"))
    return int(number * 1000)


def line(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


class _Reading:
    """One target as it is typed, read field by field."""

    def __init__(self, said: TargetIn, known: Known, year: int) -> None:
        self.said, self.known, self.year = said, known, year
        self.problems: list[Problem] = []

    def values(self) -> dict[str, Any]:
        counted = self._measure()
        return {
            "measure": counted,
            "kind": self._kind(counted),
            "subject": self._subject(counted),
            "unit": self._unit(counted),
            "amount_milli": self._amount(counted),
            "division_code": self._division(),
            "department": self.words("department", 0, 40),
            "answerer_id": self._answerer(),
            "basis": self.words("basis", 2, 200),
            "due_on": self._due_on(),
            "notes": self.words("notes", 0, 500),
        }

    def wrong(self, name: str, reason: str) -> None:
        self.problems.append({"field": name, "reason": reason})

    def words(self, name: str, shortest: int, longest: int) -> str:
        found = line(getattr(self.said, name))
        if not found.isprintable():
            self.wrong(name, N_("含有看不见的字符，请重新输入。"))
        elif not shortest <= len(found) <= longest:
            reasons = {
                "basis": N_("请写明依据的文件（2 到 200 字）。"),
                "department": N_("部门名称最多 40 字。"),
                "notes": N_("备注最多 500 字。"),
                "subject": N_("请写明统计什么（2 到 60 字）。"),
            }
            self.wrong(name, reasons[name])
        return found

    def _measure(self) -> Counted | None:
        try:
            return Counted(self.said.measure)
        except ValueError:
            self.wrong("measure", N_("没有这种指标，请从列表中选择。"))
            return None

    def _kind(self, counted: Counted | None) -> str:
        kind = self.said.kind
        if kind and kind not in self.known.kinds:
            self.wrong("kind", N_("没有这种绿色行为。"))
        elif kind and counted is Counted.FREE:
            self.wrong("kind", N_("自定的指标不从记录统计，请不要选行为。"))
        elif not kind and counted and MEASURES[counted].of_kind:
            self.wrong("kind", N_("这项指标要选一种行为。"))
        return kind

    def _subject(self, counted: Counted | None) -> str:
        if counted is not Counted.FREE:
            if counted and line(self.said.subject):
                self.wrong("subject", N_("只有自定的指标要写统计什么。"))
            return ""
        found = self.words("subject", 2, 60)
        if is_formal(found):
            reason = N_("目标只考核结果：登录、安装、点击、转发、在线时长等使用情况不能作为目标。")
            self.wrong("subject", reason)
        return found

    def _unit(self, counted: Counted | None) -> str:
        typed = line(self.said.unit)
        if counted is None:
            return typed
        if counted is Counted.FREE:
            if not 1 <= len(typed) <= 20 or not typed.isprintable():
                self.wrong("unit", N_("请填写单位（最多 20 字）。"))
            elif is_formal(typed):
                self.wrong("unit", N_("目标只考核结果，这个单位数的是使用情况。"))
            return typed
        kind = self.known.kinds.get(self.said.kind)
        unit = MEASURES[counted].unit or (kind.unit if kind else "")
        if typed and unit and typed not in {unit, unit_word(unit)}:
            self.wrong("unit", N_("单位与指标不符，可以留空。"))
        return unit

    def _amount(self, counted: Counted | None) -> int:
        try:
            return amount_milli(self.said.amount, whole=bool(counted and MEASURES[counted].whole))
        except ValueError as error:
            self.wrong("amount", str(error))
            return 0

    def _division(self) -> str:
        if self.said.division_code not in self.known.divisions:
            self.wrong("division_code", N_("没有这个街镇，请从列表中选择。"))
        return self.said.division_code

    def _answerer(self) -> UUID | None:
        try:
            found = UUID(self.said.answerer_id)
        except ValueError:
            found = None
        if found not in self.known.answerers:
            self.wrong("answerer_id", N_("没有这位工作人员，请从列表中选择。"))
        return found

    def _due_on(self) -> date | None:
        try:
            found = read_day(self.said.due_on.strip(), "due_on")
        except InvalidField as error:
            self.problems += error.params["errors"]
            return None
        if found.year != self.year:
            self.wrong("due_on", N_("期限应在目标的年份之内。"))
        return found


def unit_word(unit: str) -> str:
    """The Chinese word of a unit; a unit of a district's own stays as it is."""
    return UNIT_NAMES.get(unit) or UNITS.get(unit) or MASSES.get(unit) or unit


def typed(target: Target) -> TargetIn:
    """A target as a form shows it."""
    amount = Decimal(target.amount_milli) / 1000
    return TargetIn(
        measure=target.measure.value,
        kind=target.kind,
        subject=target.subject,
        unit=target.unit if target.measure is Counted.FREE else "",
        amount=f"{amount.normalize():f}",
        division_code=target.division_code,
        department=target.department,
        answerer_id=str(target.answerer_id),
        basis=target.basis,
        due_on=target.due_on.isoformat(),
        notes=target.notes,
    )


# --- its place in the tree ----------------------------------------------------------------------------------


def misplaced(
    values: Mapping[str, Any], district: str, parent: Mapping[str, Any] | None, depth: int, deepest: int
) -> list[Problem]:
    """What is wrong with a target, given its parent (None: it is a root) and how many are above it."""
    if parent is None:
        if values["division_code"] != district:
            reason = N_("没有上级的目标应是全区的；街镇的目标请放在一项全区目标下面。")
            return [{"field": "division_code", "reason": reason}]
        return []
    problems = []
    if depth >= deepest:
        problems.append({"field": "parent", "reason": N_("目标最多分三级。")})
    if not values["division_code"].startswith(parent["division_code"]):
        reason = N_("应在上级目标的街镇之内。")
        problems.append({"field": "division_code", "reason": reason})
    elif values["division_code"] == parent["division_code"] and not values["department"]:
        reason = N_("请写负责的部门，或选一个街镇。")
        problems.append({"field": "department", "reason": reason})
    if values["due_on"] > parent["due_on"]:
        problems.append({"field": "due_on", "reason": N_("不能晚于上级目标的期限。")})
    return problems
