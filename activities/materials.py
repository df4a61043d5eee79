"""Materials: what is recovered, which kinds of action bring it in, and by how much its weights may differ.

A kind of action brings in one material at most, so nothing is weighed twice. Its unit is the kilogram: thousandths of its
quantity are grams.
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, Session, SQLModel, select

from activities.catalogue import CATALOGUE_FILE, NAMES_FILE, PACKAGE_DATA
from tanpuhui import cells
from tanpuhui.csvtext import Problem
from tanpuhui.reference import Column, LoadCount, Reading, ReferenceFile, Row, store

UNIT = "kg"


class Material(SQLModel, table=True):
    """A material that is recovered, and whether it is worth little on the market (低价值), such as glass.

    Weights may differ by `tolerance_permille` thousandths of what went through, and by `tolerance_floor_g` grams in any case.
    """

    __tablename__ = "material"
    __table_args__ = (
        sa.CheckConstraint("name_zh <> '' AND name_en <> ''", name="names"),
        sa.CheckConstraint(
            "tolerance_permille BETWEEN 0 AND 500 AND tolerance_floor_g BETWEEN 0 AND 100000",
            name="tolerance",
        ),
    )

    code: str = Field(primary_key=True, max_length=32)
    name_zh: str = Field(max_length=64)
    name_en: str = Field(max_length=64)
    low_value: bool
    tolerance_permille: int
    tolerance_floor_g: int
    note: str = ""

    def tolerance(self, grams: int) -> int:
        """By how many grams the weight of `grams` that went through may differ."""
        return max(self.tolerance_floor_g, abs(grams) * self.tolerance_permille // 1000)


class MaterialKind(SQLModel, table=True):
    """A kind of action brings in a material."""

    __tablename__ = "material_kind"

    kind: str = Field(foreign_key="action_kind.code", primary_key=True, max_length=32)
    material: str = Field(foreign_key="material.code", max_length=32)


#: Residents ask for clothes, and low-value materials need the push: these stand first.
_FIRST = "clothes"


def all_materials(session: Session) -> Sequence[Material]:
    """Every material: clothes, then what is worth little, then the others by code."""
    found = session.exec(select(Material).order_by(Material.code)).all()
    return sorted(found, key=lambda one: (one.code != _FIRST, not one.low_value))


def material_of(session: Session) -> dict[str, str]:
    """The material that each kind of action brings in, of those that bring in any."""
    return {row.kind: row.material for row in session.exec(select(MaterialKind)).all()}


# --- reference file -----------------------------------------------------------------------------------------


def _kinds(cell: str) -> tuple[str, ...]:
    """Codes parted by blanks."""
    return tuple(dict.fromkeys(cells.code(word) for word in cell.split()))


def _check(connection: Connection, reading: Reading) -> Iterator[Problem]:
    units = {row.code: row.unit for row in connection.execute(sa.text("SELECT code, unit FROM action_kind"))}
    units |= {row.get("action_code"): row.get("unit") for row in reading.rows(NAMES_FILE)}
    limited = {row.get("action_code") for row in reading.rows(CATALOGUE_FILE)}
    taken: dict[str, Row] = {}
    for row in reading.rows(MATERIALS_FILE):
        for kind in row.get("kinds") or ():
            if kind not in units and kind not in limited:
                yield row.bad("kinds", f"unknown kind {kind}")
            elif units.get(kind, UNIT) != UNIT:
                yield row.bad("kinds", f"{kind} is counted in {units[kind]}; a material is weighed in {UNIT}")
            before = taken.setdefault(kind, row)
            if before is not row:
                yield row.bad("kinds", f"{kind} brings in a material in line {before.line}")


def _write(connection: Connection, reading: Reading) -> LoadCount:
    rows = [dict(row.values) for row in reading.rows(MATERIALS_FILE)]
    kinds = [{"kind": kind, "material": row["material"]} for row in rows for kind in row.pop("kinds") or ()]
    count = store(connection, "material", [{"code": row.pop("material"), **row} for row in rows])
    moved = store(connection, "material_kind", kinds)
    return LoadCount(count.new, count.changed + moved.new + moved.changed)


MATERIALS_FILE = ReferenceFile(
    what="material",
    pattern="materials.csv",
    columns=(
        Column("material", cells.code),
        Column("name_zh", cells.name),
        Column("name_en", cells.name),
        Column("low_value", cells.yes_no),
        Column("tolerance_permille", cells.whole(0, 500)),
        Column("tolerance_floor_g", cells.whole(0, 100_000)),
        Column("kinds", _kinds),
        Column("note", cells.note),
    ),
    key=("material",),
    home=PACKAGE_DATA,
    check=_check,
    write=_write,
)
