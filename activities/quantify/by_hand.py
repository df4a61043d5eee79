"""A sum by hand: measures written out, multiplied with their units. To check a published figure, no data needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from activities.quantify.units import (
    Measure,
    difference,
    grams,
    in_largest_mass,
    in_unit,
    mass_unit,
    product,
    read_measure,
    written,
)


@dataclass(frozen=True)
class Sum:
    """The sum as read, its exact result in grams and in which mass it came out, what its units are worth."""

    formula: str
    grams: Fraction
    unit: str
    remarks: tuple[str, ...]

    @property
    def co2e_mg(self) -> int:
        """What would be recorded: milligrams, rounded down once, also below zero."""
        milligrams = self.grams * 1000
        return milligrams.numerator // milligrams.denominator

    def document(self) -> dict[str, Any]:
        """The sum as a JSON document; exact numbers are text, so that nobody rounds them."""
        return {
            "formula": self.formula,
            "result": in_unit(self.grams, self.unit).replace(",", ""),
            "unit": self.unit,
            "co2e_g": written(self.grams).replace(",", ""),
            "co2e_mg": self.co2e_mg,
            "glance": " ".join(in_largest_mass(self.grams, digits=3)),
            "remarks": list(self.remarks),
        }


def sum_by_hand(
    quantity: str, factors: Sequence[str], baseline: str | None = None, project: str | None = None
) -> Sum:
    """`quantity` times every one of `factors`, and times (`baseline` - `project`) where these are given.

    A factor without a unit is grams of CO2e for one unit of the quantity; a share is written ``50%``. Raises
    ValueError with the reason, also when the units do not cancel to a mass.
    """
    amount = _read("quantity", quantity)
    if amount.number <= 0:
        raise ValueError(f"quantity {quantity!r} must be larger than 0")
    terms = [_factor("factor", text, amount) for text in factors]
    shown = [str(term) for term in terms]
    if baseline is not None or project is not None:
        if baseline is None or project is None:
            raise ValueError("baseline and project are given together")
        before, after = _factor("baseline", baseline, amount), _factor("project", project, amount)
        terms.append(difference(before, after))
        shown.append(f"({before} − {after})")
    if not terms:
        raise ValueError("a factor is needed")
    result = product([*terms, amount])
    exact, unit = grams(result), mass_unit(result)
    return Sum(
        f"{' × '.join([str(amount), *shown])} = {in_unit(exact, unit)} {unit}",
        exact,
        unit,
        tuple(dict.fromkeys(remark for measure in (amount, *terms) for remark in measure.remarks)),
    )


def _read(what: str, text: str) -> Measure:
    try:
        return read_measure(text)
    except ValueError as error:
        raise ValueError(f"{what} {text[:120]!r}: {error}") from None


def _factor(what: str, text: str, amount: Measure) -> Measure:
    factor = _read(what, text)
    if factor.number < 0:
        raise ValueError(f"{what} {text!r} is negative; an added emission is a project above its baseline")
    if factor.up or factor.down or text.rstrip().endswith(("%", "％")):
        return factor
    return Measure(factor.number, ("g", *amount.down), amount.up)
