"""Short signed codes: what a printed code carries after ``/s/``.

A token is 24 upper-case base32 characters over 15 bytes: one byte of token version and key number, five bytes
of code id, nine bytes (72 bits) of HMAC-SHA-256 over the first six. Upper-case base32 fits the compact
alphanumeric mode of QR codes, and the version lets old paper be told apart.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass

from tanpuhui.errors import CodeIncomplete, CodeInvalid, CodeVersionUnknown

TOKEN_LENGTH = 24
VERSION = 1
_ID_BYTES, _MAC_BYTES = 5, 9

#: Letters that a hand-typed code may hold in place of the ones base32 knows.
_LOOKALIKES = str.maketrans({"0": "O", "1": "I", "8": "B", "-": "", " ": "", "　": ""})


@dataclass(frozen=True, slots=True)
class SignedCode:
    """What a genuine token says."""

    code_id: int


def sign(key: bytes, code_id: int) -> str:
    """The token of code number `code_id` (1 to 2**40 - 1)."""
    head = bytes([VERSION << 4]) + code_id.to_bytes(_ID_BYTES, "big")
    return base64.b32encode(head + _mac(key, head)).decode()


def verify(key: bytes, token: str) -> SignedCode:
    """Read `token`, typed or scanned. The comparison takes the same time whatever the token is.

    Raises CodeIncomplete for a text that cannot be a token, CodeInvalid for anything we did not sign,
    CodeVersionUnknown for a genuine token of another version.
    """
    text = token.strip().upper().translate(_LOOKALIKES)
    if len(text) != TOKEN_LENGTH:
        raise CodeIncomplete
    try:
        raw = base64.b32decode(text)
    except (binascii.Error, ValueError) as error:
        raise CodeIncomplete from error
    head, mac = raw[: 1 + _ID_BYTES], raw[1 + _ID_BYTES :]
    if not hmac.compare_digest(mac, _mac(key, head)):
        raise CodeInvalid
    if head[0] != VERSION << 4:
        raise CodeVersionUnknown
    return SignedCode(int.from_bytes(head[1:], "big"))


def typed_form(token: str) -> str:
    """`token` in groups of four, for typing by hand."""
    return "-".join(token[at : at + 4] for at in range(0, len(token), 4))


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, head, "sha256")[:_MAC_BYTES]
