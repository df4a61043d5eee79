"""The privacy centre's services: what is held of a resident, a copy of it, and the periods that are kept to."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tanpuhui import clock
from tanpuhui.csvtext import write_sheet
from tanpuhui.holdings import Holding
from tanpuhui.i18n import N_, translated
from tanpuhui.rooms import House

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Held:
    """A kind of data and how many rows of it are held of one resident."""

    holding: Holding
    rows: int


def overview(house: House, resident_id: UUID) -> Sequence[Held]:
    """What is held of a resident, by kind of data."""
    with house.db.snapshot() as connection:
        return [
            Held(holding, connection.scalar(_count(holding.query(resident_id))) or 0)
            for holding in house.holdings
        ]


def _count(query: sa.Select[Any]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(query.order_by(None).subquery())


def rows_of(house: House, resident_id: UUID) -> dict[str, Rows]:
    """Everything that is held of a resident as of one moment, by the key of its holding, readable."""
    with house.db.snapshot() as connection:
        return {
            holding.key: [
                holding.reveal(house.settings, dict(row))
                for row in connection.execute(holding.query(resident_id)).mappings()
            ]
            for holding in house.holdings
        }


# --- the copy ----------------------------------------------------------------------------------------------


def download(house: House, resident_id: UUID) -> Iterator[bytes]:
    """A resident's copy of what is held of them: a zip of README, and each kind of data as JSON and as CSV.

    What is held is read before the first piece is given out; a piece is one file, and nothing is written to a disk.
    """
    return _zipped(_files(house.holdings, rows_of(house, resident_id)), clock.local(clock.now()))


def _files(holdings: Sequence[Holding], held: Mapping[str, Rows]) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", _readme(holdings, held).encode()
    for holding in holdings:
        rows = [{name: _plain(value) for name, value in row.items()} for row in held[holding.key]]
        yield f"{holding.key}.json", json.dumps(rows, ensure_ascii=False, indent=1).encode()
        header = list(rows[0]) if rows else []
        yield (
            f"{holding.key}.csv",
            write_sheet(header, [[_cell(row[name]) for name in header] for row in rows]),
        )


def _zipped(files: Iterator[tuple[str, bytes]], made_at: datetime) -> Iterator[bytes]:
    out = _Pieces()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, made_at.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
            yield out.take()
    yield out.take()


class _Pieces(io.RawIOBase):
    """A file that cannot be gone back in: what was written is taken from it as it comes."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._written += piece
        return len(piece)

    def take(self) -> bytes:
        taken, self._written = bytes(self._written), bytearray()
        return taken


def _plain(value: Any) -> Any:
    """A value as JSON knows it; moments in UTC."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, UUID) else value


def _cell(value: Any) -> str | int | None:
    """A JSON value as a cell of a sheet."""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value if value is None or isinstance(value, int) else str(value)


_TITLE = N_("您在碳普惠的全部数据")
_ABOUT = N_(
    "每种数据有两个文件：.json 给程序读，.csv 用表格软件打开。时间是协调世界时（UTC），_mg 是毫克，_ug 是微克，"
    "_milli 是千分之一。文件里有您的手机号码，请妥善保管。"
)


def _readme(holdings: Sequence[Holding], held: Mapping[str, Rows]) -> str:
    parts = []
    for language in ("zh", "en"):
        lines = [translated(_TITLE, language), "", translated(_ABOUT, language), ""]
        for holding in holdings:
            lines += [
                f"{holding.key}: {translated(holding.what, language)} ({len(held[holding.key])})",
                f"    {translated(holding.why, language)}",
                f"    {lasts(holding, language)}",
            ]
        parts.append("\r\n".join(lines))
    return "\r\n\r\n\r\n".join(parts) + "\r\n"


def lasts(holding: Holding, language: str) -> str:
    """How long it is kept, in ``zh`` or ``en``."""
    words = translated(holding.lasts, language)
    return words % {"days": holding.kept.days} if holding.kept else words


# --- the periods -------------------------------------------------------------------------------------------


def keep_to_periods(house: House, connection: Connection, now: datetime) -> None:
    """Delete whatever is older than the period that its holding publishes."""
    for holding in house.holdings:
        if holding.purge is not None and holding.kept is not None:
            holding.purge(connection, now - holding.kept)
