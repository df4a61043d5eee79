"""Units, exactly: measures such as ``0.42 t/MWh`` read from text, multiplied, and shown as a mass.

Rational numbers throughout. Masses, energies, powers, lengths and times convert into one another; any other word
(meal, step, tree-year) is a unit of its own that only cancels itself. Whoever writes ``ton`` must say which.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from math import floor, prod

from activities.quantify.calculation import decimal_text
from activities.quantify.forms import read_number
from tanpuhui.i18n import MASSES, UNITS, unit_name

#: Grams in a unit of mass, the largest first.
GRAMS = {
    unit: Fraction(10) ** power
    for unit, power in {"t": 6, "kg": 3, "g": 0, "mg": -3, "µg": -6, "ng": -9}.items()
}

_SI = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MASS = {"g": 1}
_POUND = Fraction("453.59237")  # grams, exactly: the international pound of 1959

#: Units that convert: dimension as powers of g, m, s and J, and size in those. A year has 365 days.
_SIZES: dict[str, tuple[dict[str, int], Fraction]] = {
    **{unit: (_MASS, size) for unit, size in GRAMS.items()},
    "斤": (_MASS, Fraction(500)),
    "两": (_MASS, Fraction(50)),
    "lb": (_MASS, _POUND),
    "short ton": (_MASS, 2000 * _POUND),
    "long ton": (_MASS, 2240 * _POUND),
    **{unit: ({"m": 1}, Fraction(size)) for unit, size in {"m": 1, "km": 1000}.items()},
    **{unit: ({"s": 1}, Fraction(size)) for unit, size in {"s": 1, "min": 60, "h": 3600}.items()},
    "day": ({"s": 1}, Fraction(86_400)),
    "year": ({"s": 1}, Fraction(365 * 86_400)),
    **{f"{prefix}J": ({"J": 1}, Fraction(size)) for prefix, size in {"": 1, **_SI}.items()},
    **{f"{prefix}Wh": ({"J": 1}, Fraction(3600 * size)) for prefix, size in {"": 1, **_SI}.items()},
    **{f"{prefix}W": ({"J": 1, "s": -1}, Fraction(size)) for prefix, size in {"": 1, **_SI}.items()},
}

#: Units whose size is worth saying where they are used.
_REMARKABLE = {
    "short ton": "1 short ton = 907.18474 kg",
    "long ton": "1 long ton = 1016.0469088 kg",
    "lb": "1 lb = 453.59237 g",
    "斤": "1 斤 = 500 g",
    "两": "1 两 = 50 g",
    "year": "1 year = 365 day",
}

#: Other ways to write them. Those in which the catalogue counts have their names from the translations.
_ALSO = {
    **{
        word: unit for unit in (*UNITS, *MASSES) for word in (unit_name(unit, "zh"), unit_name(unit, "en", 2))
    },
    **{
        word: unit
        for unit, words in {
            "t": ("tonne", "tonnes", "metric ton", "metric tons", "公吨"),
            "kg": ("公斤",),
            "µg": ("ug",),
            "short ton": ("short tons", "短吨"),
            "long ton": ("long tons", "长吨"),
            "km": ("千米",),
            "m": ("米",),
            "h": ("hour", "hours", "小时"),
            "min": ("minute", "minutes", "分钟"),
            "day": ("d", "days", "天", "日"),
            "year": ("a", "yr", "years", "年"),
            "kWh": ("度",),
            "MWh": ("兆瓦时",),
            "W": ("瓦",),
            "kW": ("千瓦",),
            "MW": ("兆瓦",),
        }.items()
        for word in words
    },
}

_TON = re.compile(r"(?<!short )(?<!long )(?<!metric )\btons?\b", re.IGNORECASE)
_START = re.compile(r"([+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?) ?(%?)(.*)", re.DOTALL)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]")
_WORD = re.compile(r"[^\W\d_][\w-]*")
_LONGEST = 120


def insist_on_one_ton(text: str) -> str:
    """`text`, unless it says ``ton`` without saying which. Raises ValueError."""
    if _TON.search(" ".join(text.split())):
        raise ValueError("ton is ambiguous: write t (1,000 kg) or short ton (907.18474 kg)")
    return text


def _dimension_of(word: str) -> dict[str, int]:
    return _SIZES[word][0] if word in _SIZES else {word: 1}


def _size_of(word: str) -> Fraction:
    return _SIZES[word][1] if word in _SIZES else Fraction(1)


@dataclass(frozen=True)
class Measure:
    """A number with units: those it is multiplied by (`up`) and divided by (`down`)."""

    number: Fraction
    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """The units as text: ``t/MWh``."""
        below = f"({'·'.join(self.down)})" if len(self.down) > 1 else "".join(self.down)
        return f"{'·'.join(self.up) or '1'}/{below}" if below else "·".join(self.up)

    @property
    def size(self) -> Fraction:
        """The number in g, m, s and J."""
        return self.number * prod(map(_size_of, self.up)) / prod(map(_size_of, self.down))

    @property
    def dimension(self) -> dict[str, int]:
        """Powers of g, m, s, J and of every unit of its own; those that cancel are left out."""
        powers: Counter[str] = Counter()
        for words, sign in ((self.up, 1), (self.down, -1)):
            for word in words:
                for base, power in _dimension_of(word).items():
                    powers[base] += sign * power
        return {base: power for base, power in powers.items() if power}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the units used are worth, where people may differ about it."""
        return tuple(
            _REMARKABLE[word] for word in dict.fromkeys((*self.up, *self.down)) if word in _REMARKABLE
        )

    def __str__(self) -> str:
        """The measure as people write it."""
        return f"{written(self.number)} {self.unit}".rstrip()


def read_measure(text: str) -> Measure:
    """A measure such as ``93 g``, ``4.83 千克/千克``, ``0.02 g/step``, ``12 g/(person·km)``, ``50%`` or ``7,250``.

    Raises ValueError with the reason.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    plain = " ".join(unicodedata.normalize("NFKC", text).replace("μ", "µ").split())
    match = _START.fullmatch(plain)
    if match is None:
        raise ValueError("does not begin with a number; write for example 93 g, 4.83 kg/kg or 7250 step")
    number, percent, unit = match.groups()
    if unit.startswith((",", ".")) or _EXPONENT.match(unit):
        raise ValueError("the number is to be written like 1100, 1,100 or 0.042")
    up, *down = insist_on_one_ton(unit).split("/")
    if down and not up.strip():
        raise ValueError("nothing stands before the stroke")
    return Measure(
        Fraction(read_number(number.lstrip("+").replace(",", ""))) / (100 if percent else 1),
        _words(up) if up.strip() not in {"", "1"} else (),
        tuple(chain.from_iterable(map(_words, down))),
    )


def _words(part: str) -> tuple[str, ...]:
    """The units of a product; as a whole it may be the name of one (棵·年)."""
    part = part.strip()
    if part.startswith("(") and part.endswith(")"):
        part = part[1:-1].strip()
    if _named(part):
        return (_word(part),)
    return tuple(_word(piece.strip()) for piece in re.split(r"[·*×⋅]", part))


def _named(word: str) -> bool:
    return word in _SIZES or word in UNITS or word in _ALSO


def _word(word: str) -> str:
    if _named(word):
        return _ALSO.get(word, word)
    meant = [known for known in chain(_SIZES, UNITS, _ALSO) if known.casefold() == word.casefold()]
    if meant:
        raise ValueError(f"{word!r} is no unit: is {' or '.join(dict.fromkeys(meant))} meant?")
    if not _WORD.fullmatch(word):
        raise ValueError(f"{word!r} is no unit" if word else "a unit is missing")
    return word


def product(measures: Iterable[Measure]) -> Measure:
    """The product; the same word above and below the stroke cancels."""
    number, up, down = Fraction(1), Counter[str](), Counter[str]()
    for measure in measures:
        number *= measure.number
        up.update(measure.up)
        down.update(measure.down)
    return Measure(number, tuple((up - down).elements()), tuple((down - up).elements()))


def difference(one: Measure, other: Measure) -> Measure:
    """`one` less `other`, in the unit of `one`. Raises ValueError where they cannot be compared."""
    if one.dimension != other.dimension:
        raise ValueError(f"{one} and {other} cannot be compared: {one.unit} and {other.unit} do not convert")
    return Measure((one.size - other.size) / Measure(Fraction(1), one.up, one.down).size, one.up, one.down)


def grams(measure: Measure) -> Fraction:
    """A mass in grams. Raises ValueError, naming what does not cancel, when `measure` is none."""
    if measure.dimension == _MASS:
        return measure.size
    left = [word for word in dict.fromkeys((*measure.up, *measure.down)) if _dimension_of(word) != _MASS]
    stays = f"{' and '.join(left)} {'does' if len(left) == 1 else 'do'} not cancel: " if left else ""
    came_out = f"is in {measure.unit}" if measure.unit else "has no unit"
    raise ValueError(f"{stays}the product {came_out} and is no mass of CO2e")


def mass_unit(measure: Measure) -> str:
    """The unit of mass in which a product came out, g where it names none."""
    return next((word for word in measure.up if _dimension_of(word) == _MASS), "g")


# --- numbers as people read them ----------------------------------------------------------------------------


def written(value: Fraction | Decimal) -> str:
    """A number exactly, its thousands parted; one that never ends is cut to 12 decimals and says so."""
    value = Fraction(value)
    rest, places = value.denominator, {2: 0, 5: 0}
    for prime in places:
        while rest % prime == 0:
            rest //= prime
            places[prime] += 1
    decimals, more = (max(places.values()), "") if rest == 1 else (12, "…")
    scaled = abs(value) * 10**decimals
    whole, point, fraction = decimal_text(scaled.numerator // scaled.denominator, decimals).partition(".")
    return f"{'-' if value < 0 else ''}{int(whole):,}{point}{fraction}{more}"


def in_unit(value: Fraction, unit: str) -> str:
    """A mass of `value` grams in `unit`, exactly."""
    return written(value / _size_of(unit))


def in_largest_mass(
    value: Fraction | Decimal, *, digits: int | None = None, smallest: str = "ng"
) -> tuple[str, str]:
    """A mass of `value` grams in the largest unit that leaves a whole part: exactly, or cut to `digits`, downwards."""
    value = Fraction(value)
    units = [unit for unit in GRAMS if GRAMS[unit] >= GRAMS[smallest]]
    unit = next((unit for unit in units if abs(value) >= GRAMS[unit]), "g" if not value else units[-1])
    number = value / GRAMS[unit]
    if digits is not None:
        decimals = max(0, digits - len(str(int(abs(number)))))
        number = Fraction(floor(number * 10**decimals), 10**decimals)
    return written(number), unit
