"""The numbers of certificates: nobody guesses one, and one that is read out is not mistaken."""

from datetime import date

from tanpuhui import ids

#: Crockford's digits: none is taken for another when a number is read out or copied by hand.
_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1"})


def certificate_number(letter: str, day: date) -> str:
    """A new number: a letter for its kind, the year and 60 random bits, such as ``T2027-7K3M-9QWX-PD4H``."""
    number = ids.random_number(60)
    return _written(letter, str(day.year), "".join(_DIGITS[number >> 5 * place & 31] for place in range(12)))


def read_number(text: str) -> str:
    """What was typed as a number, as it is printed: no gaps, no small letters, no letter for a digit."""
    letters = "".join(filter(str.isalnum, text.upper()))
    digits = letters[1:].translate(_ALIKE)
    return _written(letters[:1], digits[:4], digits[4:])


def _written(letter: str, year: str, digits: str) -> str:
    return f"{letter}{year}-{digits[:4]}-{digits[4:8]}-{digits[8:]}"
