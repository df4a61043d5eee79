"""Lists of coupon codes: read from what was pasted or from a file, and imported whole or not at all.

One code a line or row, under a heading or without. A gap between codes may be a code that got lost, so it is refused, too.
"""

import codecs
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection
from sqlmodel import col, select

from rewards.offer_desk import locked, note
from rewards.offer_forms import Errors
from rewards.offers import OfferCoupon, OfferKind
from tanpuhui import csvtext
from tanpuhui.db import session_on
from tanpuhui.errors import InvalidField, NotFound, OfferMovedOn
from tanpuhui.i18n import N_
from tanpuhui.rooms import House
from tanpuhui.sessions import Principal

MOST_COUPONS, LONGEST_CODE = 5000, 64

#: The largest file that is looked at, and what it may unpack to, in bytes.
MOST_FILE, MOST_UNPACKED = 1024 * 1024, 32 * 1024 * 1024

#: What the first line may be called.
_HEADINGS = frozenset(
    {"券码", "兑换码", "优惠码", "优惠券码", "code", "codes", "coupon", "coupons", "coupon code"}
)

#: From here on a spreadsheet has changed the last digits of a number.
_INEXACT = 10**15

_UNREADABLE = N_("这个文件读不出来。请用 .csv、.txt 或 .xlsx 文件，一列，每行一个券码。")
_OLD_SHEET = N_("这是旧格式的表格（.xls）。请另存为 .xlsx 或 .csv 再传。")
_TOO_LARGE = N_("文件太大，最大 1 MB。请分几次导入。")

#: A line of a list, counted from 1, and what stands there; a code, or a reason why it can be none.
Line = tuple[int, str]


# --- reading -----------------------------------------------------------------------------------------------


def pasted(text: str) -> list[Line]:
    """The codes of a text, one a line, with its lines. Quotes and separators around a code are not of it."""
    found = [(number, _bare(line)) for number, line in enumerate(text.splitlines(), 1)]
    return _listed(found)


def in_file(data: bytes) -> list[Line]:
    """The codes of a file, text or .xlsx, with its lines. Raises InvalidField (``file``)."""
    if len(data) > MOST_FILE:
        raise _refused(_TOO_LARGE)
    if data.startswith(b"PK\x03\x04"):
        return _listed(_in_sheet(data))
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise _refused(_OLD_SHEET)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16") if wide else csvtext.decode(data)
    except ValueError as error:
        raise _refused(_UNREADABLE) from error
    return pasted(text)


def _bare(line: str) -> str:
    code = line.strip().strip(",;\t").strip()
    if len(code) >= 2 and code[0] == code[-1] == '"':
        code = code[1:-1].replace('""', '"').strip()
    return code


def _listed(found: Sequence[Line]) -> list[Line]:
    """Without the heading, and without what is empty at the beginning and the end."""
    filled = [place for place, (_, code) in enumerate(found) if code]
    if not filled:
        return []
    first = filled[0] + (found[filled[0]][1].casefold() in _HEADINGS)
    return list(found[first : filled[-1] + 1])


def _in_sheet(data: bytes) -> list[Line]:
    """The first column of the first sheet; more cells in a row are told as such by their separator."""
    from openpyxl import load_workbook  # late: it would slow every start

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked <= MOST_UNPACKED:
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what a file says of its own size is not to be believed
            return list(_rows(sheet))
    except Exception as error:  # whatever is broken in it, it is not read
        raise _refused(_UNREADABLE) from error
    raise _refused(_TOO_LARGE)


def _rows(sheet: Any) -> Iterator[Line]:
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        if number > 2 * MOST_COUPONS:
            return  # it is too long already
        yield number, ",".join(filled for filled in map(_said, cells) if filled)


def _said(cell: Any) -> str:
    """What a cell says; a number as it is written, unless the spreadsheet may have changed it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or isinstance(cell, str):
        return (cell or "").strip()
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) < _INEXACT:
        return str(cell)
    return "\0"  # refused as no code


def _refused(reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": "file", "reason": reason}])


# --- importing ---------------------------------------------------------------------------------------------


def import_codes(house: House, principal: Principal, offer_id: UUID, lines: Sequence[Line]) -> int:
    """Add codes to a coupon offer; how many. All of the list or nothing.

    Raises NotFound, NotAllowed, OfferMovedOn (it has ended), InvalidField (``codes``) with the line and the reason of each that is
    empty, no code, there twice, there already among the codes of the same giver, or too many.
    """

    def work(connection: Connection) -> int:
        with session_on(connection) as session:
            offer = locked(session, principal, offer_id)
            if offer.kind is not OfferKind.COUPON:
                raise NotFound
            if offer.ended_at is not None:
                raise OfferMovedOn
            holder = offer.holder
            wanted = {code for _, code in lines[:MOST_COUPONS] if code.isprintable()}
            mine = (OfferCoupon.holder == holder, col(OfferCoupon.code).in_(wanted))
            _check(lines, set(session.exec(select(OfferCoupon.code).where(*mine))))
            session.add_all(OfferCoupon(offer_id=offer_id, holder=holder, code=code) for _, code in lines)
            offer.stock += len(lines)
            session.add(offer)
            note(session, principal, "coupons_imported", offer, count=len(lines))
            return len(lines)

    return house.db.run(work)  # of two lists at once with the same code the second is told


def _check(lines: Sequence[Line], known: set[str]) -> None:
    errors: Errors = []
    if not lines:
        reason = N_("这里没有券码。一次请导入 1 到 %(most)s 个，每行一个。")
        errors.append({"field": "codes", "reason": reason, "params": {"most": MOST_COUPONS}})
    if len(lines) > MOST_COUPONS:
        reason = N_("第 %(line)s 行：一次最多 %(most)s 个，从这一行起请另外导入。")
        params = {"line": lines[MOST_COUPONS][0], "most": MOST_COUPONS}
        errors.append({"field": "codes", "reason": reason, "params": params})
    first: dict[str, int] = {}
    more: dict[str, int]
    for number, code in lines[:MOST_COUPONS]:
        if not code:
            reason, more = N_("第 %(line)s 行：是空的，是不是漏了一个券码？"), {}
        elif len(code) > LONGEST_CODE or not code.isprintable() or any(mark in code for mark in ",;\t"):
            reason, more = N_("第 %(line)s 行：券码应为 1 到 64 个字，每行一个。"), {}
        elif code in first:
            reason, more = N_("第 %(line)s 行：和第 %(first)s 行重复。"), {"first": first[code]}
        elif code in known:
            reason, more = N_("第 %(line)s 行：这个券码以前导入过。"), {}
        else:
            first[code] = number
            continue
        errors.append({"field": "codes", "reason": reason, "params": {"line": number, **more}})
    if errors:
        raise InvalidField(errors=errors[:50])
