"""Short signed codes: what a code carries after ``/s/``.

A token is upper-case base32 over a head and its HMAC-SHA-256, cut. The head is one byte (form in the upper half, number
of the key in the lower), five bytes of the code's number, and what the form adds:

    form      head                          MAC        letters
    place     number                        9 bytes    24       printed at a site, or shown by staff
    counted   number, counter (4)           10 bytes   32       a rotating code's period; the serial of a slip
    member    number                        9 bytes    24       a resident's own
    gathering number, counter (4)           10 bytes   32       a period of the check-in code of a gathering
    measured  number, amount (4), serial(5) 10 bytes   40       a scale or partner signs what it measured, in thousandths
    voucher   number                        9 bytes    24       what a resident shows for what they gave points for

Upper-case base32 fits the compact alphanumeric mode of QR codes; old paper is told apart by form and key. Keys are
replaced with an overlap: the first of the keyring signs, all of it is accepted.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tanpuhui.config import Settings
from tanpuhui.errors import CodeIncomplete, CodeInvalid, CodeVersionUnknown

_NUMBER, _COUNTER, _AMOUNT, _SERIAL = 5, 4, 4, 5


class Form(IntEnum):
    """What a token is made of."""

    PLACE = 1
    COUNTED = 2
    MEMBER = 3
    MEASURED = 4
    GATHERING = 5
    VOUCHER = 6


#: form -> what follows the number in the head (bytes each), and the length of the MAC
_PARTS: dict[Form, tuple[tuple[int, ...], int]] = {
    Form.PLACE: ((), 9),
    Form.COUNTED: ((_COUNTER,), 10),
    Form.MEMBER: ((), 9),
    Form.MEASURED: ((_AMOUNT, _SERIAL), 10),
    Form.GATHERING: ((_COUNTER,), 10),
    Form.VOUCHER: ((), 9),
}


def _letters(form: Form) -> int:
    more, mac = _PARTS[form]
    return (1 + _NUMBER + sum(more) + mac) * 8 // 5


#: How many letters a token of each form has; a form of the same length differs in its first byte.
LETTERS = {form: _letters(form) for form in Form}
TOKEN_LENGTH = LETTERS[Form.PLACE]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

#: Letters that a hand-typed code may hold in place of the ones base32 knows.
_LOOKALIKES = str.maketrans({"0": "O", "1": "I", "8": "B", "-": "", " ": "", "　": ""})


@dataclass(frozen=True, slots=True)
class Token:
    """What a genuine token says. `number` is the code's, or the member's; `more` what its form adds, in order."""

    form: Form
    number: int
    more: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of a deployment's codes by their numbers (0 to 15). The first of `accepted` signs."""

    settings: Settings
    accepted: Sequence[int]

    def sign(self, token: Token) -> str:
        """The text of `token`. Raises OverflowError for a number that does not fit its place."""
        number = self.accepted[0]
        head = bytes([token.form << 4 | number]) + _packed(token)
        return base64.b32encode(head + self._mac(number, token.form, head)).decode()

    def spellings(self, token: Token) -> Sequence[str]:
        """The texts of `token` by every key that is accepted, that of today first: what older paper may say."""
        return [Keyring(self.settings, [number]).sign(token) for number in self.accepted]

    def read(self, text: str) -> Token:
        """Read a token, typed or scanned. The comparison takes the same time whatever it is.

        Raises CodeIncomplete for a text that cannot be a token, CodeInvalid for anything we did not sign,
        CodeVersionUnknown for a genuine token of another form, or of a key that is no longer accepted.
        """
        raw = _decoded(text)
        form, number = raw[0] >> 4, raw[0] & 15
        length = _MAC_OF_LETTERS[len(raw) * 8 // 5]
        head, mac = raw[:-length], raw[-length:]
        known = Form(form) if form in Form.__members__.values() else None
        if not hmac.compare_digest(mac, self._mac(number, known, head)[:length]):
            raise CodeInvalid
        if known is None or LETTERS[known] * 5 // 8 != len(raw) or number not in self.accepted:
            raise CodeVersionUnknown
        return _unpacked(known, head[1:])

    def partner_key(self, code_number: int) -> bytes:
        """The key by which the scale or partner of code `code_number` signs what it measured: theirs alone."""
        return _partner_key(self._key(self.accepted[0]), code_number.to_bytes(_NUMBER, "big"))

    def _key(self, number: int) -> bytes:
        return self.settings.key("codes" if number == 0 else f"codes-{number}")

    def _mac(self, number: int, form: Form | None, head: bytes) -> bytes:
        key = self._key(number)
        if form is Form.MEASURED:
            key = _partner_key(key, head[1 : 1 + _NUMBER])
        return hmac.digest(key, head, "sha256")[: _PARTS[form][1] if form else None]


def keyring(settings: Settings) -> Keyring:
    """The keys of this deployment (`TANPUHUI_CODE_KEYS`)."""
    return Keyring(settings, settings.code_key_numbers)


def _partner_key(key: bytes, number: bytes) -> bytes:
    return hmac.digest(key, b"measured" + number, "sha256")


def sign_measured(partner_key: bytes, key_number: int, token: Token) -> str:
    """What a partner who holds `partner_key` alone can make: the text of a measured `token`."""
    head = bytes([Form.MEASURED << 4 | key_number]) + _packed(token)
    mac = hmac.digest(partner_key, head, "sha256")[: _PARTS[Form.MEASURED][1]]
    return base64.b32encode(head + mac).decode()


_MAC_OF_LETTERS = {LETTERS[form]: mac for form, (_, mac) in _PARTS.items()}


def letters_of(text: str) -> str:
    """What was typed by hand, in the letters of a token: no gaps, no small letters, no digits that look like letters."""
    return text.strip().upper().translate(_LOOKALIKES)


def pattern(form: Form) -> str:
    """A regular expression that every token of `form` matches, and no token of another form."""
    first = "".join(sorted({_LETTERS[(form << 4 | key) >> 3] for key in range(16)}))
    return f"[{first}][{_LETTERS}]{{{LETTERS[form] - 1}}}"


def _decoded(text: str) -> bytes:
    letters = letters_of(text)
    if len(letters) not in _MAC_OF_LETTERS or "=" in letters:
        raise CodeIncomplete
    try:
        return base64.b32decode(letters)
    except (binascii.Error, ValueError) as error:
        raise CodeIncomplete from error


def _packed(token: Token) -> bytes:
    sizes = (_NUMBER, *_PARTS[token.form][0])
    values = (token.number, *token.more)
    return b"".join(value.to_bytes(size, "big") for value, size in zip(values, sizes, strict=True))


def _unpacked(form: Form, body: bytes) -> Token:
    values, at = [], 0
    for size in (_NUMBER, *_PARTS[form][0]):
        values.append(int.from_bytes(body[at : at + size], "big"))
        at += size
    return Token(form, values[0], tuple(values[1:]))


def typed_form(token: str) -> str:
    """`token` in groups of four, for typing by hand."""
    return "-".join(token[at : at + 4] for at in range(0, len(token), 4))
