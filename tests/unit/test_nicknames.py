"""Nicknames: whatever people type, and what is made of it."""

import pytest

from tanpuhui.errors import InvalidField
from tanpuhui.nicknames import LONGEST, seen, tidy

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER C}\N{REGIONAL INDICATOR SYMBOL LETTER N}"
THUMB = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("小绿", "小绿"),
        ("  小   绿\n人 ", "小 绿 人"),
        ("", None),
        (" \t\N{ZERO WIDTH SPACE}\N{ZERO WIDTH JOINER}\N{HANGUL FILLER}", None),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("绿\N{RIGHT-TO-LEFT OVERRIDE}人\N{RIGHT-TO-LEFT MARK}\N{POP DIRECTIONAL ISOLATE}", "绿人"),
        ("\x00小\x1b[31m绿\x7f", "小[31m绿"),
        ("小\ud800绿", "小绿"),
        ("<b>x</b>", "<b>x</b>"),
        ("שלום", "שלום"),
        (FAMILY, FAMILY),
        (FLAG + THUMB, FLAG + THUMB),
        (FAMILY * LONGEST, FAMILY * LONGEST),
        ("𠮷" * LONGEST, "𠮷" * LONGEST),
        ("\N{LEAF FLUTTERING IN WIND}" * LONGEST, "\N{LEAF FLUTTERING IN WIND}" * LONGEST),
    ],
)
def test_what_is_typed_is_kept_as_people_see_it(typed: str, kept: str | None) -> None:
    assert tidy(typed) == kept


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("绿" * (LONGEST + 1), "最多 12 个字"),
        ("绿" * 100_000, "最多 12 个字"),
        ("a" + "\N{COMBINING GRAVE ACCENT}\N{COMBINING DOT BELOW}\N{COMBINING TILDE BELOW}" * 3, "叠加太多"),
        ((FAMILY + "\N{ZERO WIDTH JOINER}\N{BOY}") * LONGEST, "组合表情太多"),
        ("……!", "至少要有一个"),
        ("13812345678", "电话"),
        ("１３８１２３４５６７８", "电话"),
        ("138-1234-567", "电话"),
    ],
)
def test_what_cannot_be_a_nickname_is_refused_in_a_sentence(typed: str, said: str) -> None:
    with pytest.raises(InvalidField) as error:
        tidy(typed)
    ((problem),) = error.value.params["errors"]
    assert problem["field"] == "nickname"
    assert said in problem["reason"]


def test_characters_are_counted_as_people_see_them() -> None:
    assert [len(seen(text)) for text in ("", "绿人", FAMILY, FLAG * 2, THUMB * 3, "ée\u0301")] == [
        0, 2, 1, 2, 3, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["小绿", FAMILY, FLAG + THUMB, "e\N{COMBINING ACUTE ACCENT}"])
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    once = tidy(text)
    assert once is not None
    assert tidy(once) == once
