"""Nicknames: what a resident chooses to be called on boards. Any script and emoji; nothing that hides or misleads."""

import re
import unicodedata

from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

LONGEST = 12  # in characters as people see them
_ROOM = 64  # in code points: what the column holds
_MOST_MARKS = 2  # accents on one character; more pile up over the lines around

_JOINER = "\N{ZERO WIDTH JOINER}"
_BLANKS = "\N{HANGUL FILLER}\N{HALFWIDTH HANGUL FILLER}\N{HANGUL CHOSEONG FILLER}\N{HANGUL JUNGSEONG FILLER}\N{BRAILLE PATTERN BLANK}"


def tidy(text: str, field: str = "nickname") -> str | None:
    """`text` as a nickname, typed in `field`: NFC, one space where there were several, nothing invisible. None for an empty one.

    Marks of direction, controls and fillers are dropped: whoever pastes them does not see them. Raises InvalidField
    for more than 12 characters as people count them (an emoji of several parts is one), for characters with piles of
    accents, for what is only punctuation, and for what looks like a telephone number.
    """
    line = " ".join(
        "".join(_visible(character) for character in unicodedata.normalize("NFC", text[:4000])).split()
    )
    line = line.strip(_JOINER)
    if not line:
        return None
    characters = seen(line)
    if len(characters) > LONGEST or len(text) > 4000:
        raise _refused(field, N_("昵称最多 12 个字。"))
    if len(line) > _ROOM:
        raise _refused(field, N_("昵称里的组合表情太多，请少用几个。"))
    if any(
        sum(unicodedata.category(part) in {"Mn", "Me"} for part in one) > _MOST_MARKS for one in characters
    ):
        raise _refused(field, N_("昵称里有叠加太多的符号，请换一个。"))
    if not any(unicodedata.category(character)[0] in "LNS" for character in line):
        raise _refused(field, N_("昵称里至少要有一个字、数字或表情。"))
    if re.search(r"(?:\d[^\w]?){7}", line):
        raise _refused(field, N_("请不要用电话号码作昵称。"))
    return line


def _refused(field: str, reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": field, "reason": reason}])


def _visible(character: str) -> str:
    """The character itself; a space for white space; nothing for what cannot be seen or stored."""
    if character.isspace():
        return " "
    if character == _JOINER or _is_tag(character):
        return character  # they hold emoji of several parts together
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co"} or character in _BLANKS
    return "" if hidden else character


def seen(text: str) -> list[str]:
    """`text` parted into the characters that people see: accents, skin tones, families and flags are one each."""
    found: list[str] = []
    for character in text:
        if found and _belongs_to(found[-1], character):
            found[-1] += character
        else:
            found.append(character)
    return found


def _belongs_to(before: str, character: str) -> bool:
    """Whether `character` is seen as part of the one `before` it."""
    if character == _JOINER or before.endswith(_JOINER) or _is_tag(character):
        return True
    if unicodedata.category(character) in {"Mn", "Me", "Mc"} or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    return _is_flag(character) and len(before) == 1 and _is_flag(before)


def _is_tag(character: str) -> bool:
    return "\U000e0020" <= character <= "\U000e007f"


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
