"""Identity: time-ordered UUIDs (RFC 9562, version 7) that never step back, and short random numbers."""

import hashlib
import secrets
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def new_id() -> UUID:
    """A new UUIDv7. Ids of one process are strictly increasing, also when the wall clock steps back."""
    global _last_ms, _sequence  # noqa: PLW0603 - the monotone counter is the point
    with _lock:
        ms = time.time_ns() // 1_000_000
        if ms > _last_ms:
            _last_ms, _sequence = ms, secrets.randbits(11)
        else:
            _sequence += 1
            if _sequence > 0xFFF:
                _last_ms, _sequence = _last_ms + 1, 0
        ms, sequence = _last_ms, _sequence
    value = (ms & (2**48 - 1)) << 80 | 0x7 << 76 | sequence << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)


def id_of(form: UUID, *contents: object) -> UUID:
    """The id of what a form makes: as old as the form's own id, and the same whenever the same is sent with it."""
    digest = hashlib.sha256(repr((form, contents)).encode()).digest()
    return UUID(int=form.int >> 62 << 62 | int.from_bytes(digest[:8], "big") >> 2)


def random_number(bits: int) -> int:
    """A random positive number below 2**bits, never zero."""
    while True:
        number = secrets.randbits(bits)
        if number:
            return number


#: Crockford's digits: none is taken for another when a number is read out or copied by hand.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

#: Letters that somebody may copy in place of the digits they look like.
LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})


def certificate_number(series: str, year: int) -> str:
    """A certificate's number: its series, the year and 60 random bits, such as ``T2027-7K3M-9QWX-PD4H``."""
    number = random_number(60)
    return _written(series, str(year), "".join(_DIGITS[number >> 5 * place & 31] for place in range(12)))


def read_certificate_number(text: str) -> str:
    """What was typed as a certificate's number, as it is printed: no gaps, no small letters, no letter for a digit."""
    letters = "".join(filter(str.isalnum, text.upper()))
    digits = letters[1:].translate(LOOKALIKES)
    return _written(letters[:1], digits[:4], digits[4:])


def _written(series: str, year: str, digits: str) -> str:
    return f"{series}{year}-{digits[:4]}-{digits[4:8]}-{digits[8:]}"
