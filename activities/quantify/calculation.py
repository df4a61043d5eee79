"""The sum: quantity x factor, in integers, rounded down once.

Pure: no clock, no database, no floats. Rounding down never credits more than was saved, and splitting a
quantity into several records never gains.
"""

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from tanpuhui.errors import QuantityNotANumber, QuantityTooPrecise

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_LONGEST = 60


class Factor(Protocol):
    """Nanograms saved per unit; a pollutant that is None has no known factor. `FactorVersion` is one."""

    @property
    def id(self) -> str: ...
    @property
    def co2e_low_ng(self) -> int: ...
    @property
    def co2e_mid_ng(self) -> int: ...
    @property
    def co2e_high_ng(self) -> int: ...
    @property
    def nox_ng(self) -> int | None: ...
    @property
    def pm25_ng(self) -> int | None: ...
    @property
    def voc_ng(self) -> int | None: ...
    @property
    def so2_ng(self) -> int | None: ...
    @property
    def co_ng(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Reduction:
    """An estimated reduction: CO2e in milligrams (`co2e_mg` is the low value), pollutants in micrograms.

    A pollutant that is None has no known factor, which is not zero.
    """

    co2e_mg: int
    co2e_mid_mg: int
    co2e_high_mg: int
    nox_ug: int | None
    pm25_ug: int | None
    voc_ug: int | None
    so2_ug: int | None
    co_ug: int | None
    factor_version: str


def quantify(quantity_milli: int, factor: Factor) -> Reduction:
    """What `quantity_milli` thousandths of the factor's unit save.

    Thousandths x nanograms are 10**-12 g: divided by 10**9 they are milligrams (CO2e), by 10**6 micrograms
    (pollutants). Every division rounds down, also below zero: an added emission is never made smaller.
    """
    nox, pm25, voc, so2, co = factor.nox_ng, factor.pm25_ng, factor.voc_ng, factor.so2_ng, factor.co_ng
    return Reduction(
        quantity_milli * factor.co2e_low_ng // 1_000_000_000,
        quantity_milli * factor.co2e_mid_ng // 1_000_000_000,
        quantity_milli * factor.co2e_high_ng // 1_000_000_000,
        None if nox is None else quantity_milli * nox // 1_000_000,
        None if pm25 is None else quantity_milli * pm25 // 1_000_000,
        None if voc is None else quantity_milli * voc // 1_000_000,
        None if so2 is None else quantity_milli * so2 // 1_000_000,
        None if co is None else quantity_milli * co // 1_000_000,
        factor.id,
    )


# --- quantities in and out ----------------------------------------------------------------------------------


def parse_quantity(value: str | int | Decimal) -> int:
    """A quantity as thousandths of its unit, exactly. Its bounds are those of the kind and not checked here.

    Raises QuantityNotANumber (also for a bool, a float, NaN and the infinities) and QuantityTooPrecise (more
    than three decimals or nine digits before the point).
    """
    if isinstance(value, str):
        number = _from_text(value)
    elif isinstance(value, Decimal):
        number = value
    elif type(value) is int:
        if abs(value) > 999_999_999:
            raise QuantityTooPrecise
        return value * 1000
    else:
        raise QuantityNotANumber
    if not number.is_finite():
        raise QuantityNotANumber
    if not number:
        return 0
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number.adjusted() > 8 or len(digits) > _LONGEST:
        raise QuantityTooPrecise
    significant = "".join(map(str, digits)).rstrip("0")
    places = exponent + len(digits) - len(significant) + 3
    if places < 0:
        raise QuantityTooPrecise
    thousandths = int(significant.ljust(len(significant) + places, "0"))
    return -thousandths if sign else thousandths


def _from_text(value: str) -> Decimal:
    # Chinese keyboards give full-width digits; people mean the number.
    text = unicodedata.normalize("NFKC", value[: _LONGEST * 2]).strip()
    if not _NUMBER.fullmatch(text):
        raise QuantityNotANumber
    if len(value) > _LONGEST:
        raise QuantityTooPrecise
    return Decimal(text)


def decimal_text(value: int, places: int) -> str:
    """An integer scaled by 10**places as a decimal without superfluous zeros: (2500, 3) -> '2.5'."""
    whole, fraction = divmod(abs(value), 10**places)
    tail = str(fraction).rjust(places, "0").rstrip("0") if fraction else ""
    return f"{'-' if value < 0 else ''}{whole}{'.' if tail else ''}{tail}"
