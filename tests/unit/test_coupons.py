"""Lists of coupon codes as people send them: text in several encodings, sheets, and what is none."""

import codecs
import io
import zipfile
from datetime import date
from typing import Any

import pytest
from openpyxl import Workbook

from rewards import coupons
from rewards.coupons import in_file, pasted
from tanpuhui.errors import InvalidField


def sheet(*rows: Any) -> bytes:
    book, made = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row if isinstance(row, list) else [row])
    book.save(made)
    return made.getvalue()


def why(data: bytes) -> str:
    with pytest.raises(InvalidField) as error:
        in_file(data)
    (one,) = error.value.params["errors"]
    assert one["field"] == "file"
    return str(one["reason"])


TWO = [(2, "甲-1"), (3, "A 2")]


@pytest.mark.parametrize(
    "data",
    [
        "券码\n甲-1\nA 2\n".encode(),
        codecs.BOM_UTF8 + '"Code"\r\n"甲-1"\r\n"A 2"\r\n\r\n'.encode(),
        "优惠码\r\n甲-1,\r\n A 2 ;\r\n".encode("gb18030"),
        "coupons\t\r\n甲-1\t\r\nA 2\t\r\n".encode("utf-16"),
        sheet(" 券码 ", "甲-1", "A 2", None, None),
        sheet(None, "甲-1", "A 2"),
    ],
    ids=["plain", "bom", "gb18030", "utf-16", "sheet", "sheet that begins with nothing"],
)
def test_one_column_with_or_without_a_heading_is_read(data: bytes) -> None:
    assert in_file(data) == TWO


def test_what_is_empty_between_codes_keeps_its_line_and_what_is_around_them_is_nothing() -> None:
    assert pasted("\n\nA\n\nB\n\n") == [(3, "A"), (4, ""), (5, "B")]
    assert in_file(sheet("A", None, "B", None)) == [(1, "A"), (2, ""), (3, "B")]
    assert pasted("") == pasted("code\n") == in_file(b"") == in_file(sheet()) == []


def test_numbers_of_a_sheet_are_written_out_unless_it_may_have_changed_them() -> None:
    assert in_file(sheet(12345678, 7.0, ["A", None, "B"])) == [(1, "12345678"), (2, "7"), (3, "A,B")]
    for cell in (10**15, 1.5, True, date(2026, 12, 1)):
        ((_, code),) = in_file(sheet(cell))
        assert not code.isprintable(), cell


def test_what_is_no_list_is_refused_in_words() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", bytes(coupons.MOST_UNPACKED + 1))
    for data, said in (
        (packed.getvalue(), "最大 1 MB"),
        (bytes(coupons.MOST_FILE + 1), "最大 1 MB"),
        (b"PK\x03\x04" + bytes(100), "读不出来"),
        (sheet("A")[:900], "读不出来"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "旧格式"),
        (b"\xff\xd8\xff\xe0\xff\xff\xff\x80\x80", "读不出来"),
    ):
        assert said in why(data)


def test_a_sheet_without_an_end_is_not_read_to_the_end() -> None:
    book, made = Workbook(), io.BytesIO()
    book.active["A1"], book.active["A1048576"] = "A", "B"
    book.save(made)
    assert in_file(made.getvalue()) == [(1, "A")]
