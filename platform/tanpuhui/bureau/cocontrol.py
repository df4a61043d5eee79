"""Co-control of pollution and carbon: pollution equivalents, cross-elasticity, quadrant.

Pure and exact: integers and fractions in, fractions out; no clock, no database, no floats. A reduction is positive where
emissions fall. What is undefined is None, with the reason beside it, and never 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

from tanpuhui.i18n import N_
from tanpuhui.measures import POLLUTANTS

MG_PER_KG, UG_PER_KG = 10**6, 10**9

#: Kilograms per pollution equivalent: 环境保护税法, annex 2 应税污染物和当量值表, air pollutants.
EQUIVALENT_KG = {"so2": Decimal("0.95"), "nox": Decimal("0.95"), "co": Decimal("16.7")}

#: The law's value for soot (烟尘). It has none for PM2.5, which is counted as soot here: an assumption, always told.
SOOT_KG = Decimal("2.18")


# --- what a set of actions saved ---------------------------------------------------------------------------


class Record(Protocol):
    """What one action saved: milligrams of CO2e (low value), micrograms of pollutants, None without a factor."""

    @property
    def co2e_mg(self) -> int: ...
    @property
    def nox_ug(self) -> int | None: ...
    @property
    def pm25_ug(self) -> int | None: ...
    @property
    def voc_ug(self) -> int | None: ...
    @property
    def so2_ug(self) -> int | None: ...
    @property
    def co_ug(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """A pollutant beside CO2e, over a set of actions.

    Of `actions`, `known` have a factor for the pollutant and saved `ug` micrograms of it. Pollution and carbon are
    compared over the same actions: `compared` of the known ones, with `compared_ug` micrograms and
    `compared_co2e_mg` milligrams. From records these are all the known ones; daily figures cannot tell them apart on a
    day on which a kind's factor began or ceased to have the pollutant.
    """

    actions: int = 0
    known: int = 0
    ug: int = 0
    compared: int = 0
    compared_ug: int = 0
    compared_co2e_mg: int = 0

    def __add__(self, other: "Pair") -> "Pair":
        """Both sets together; no action may be in both."""
        return Pair(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def saved_ug(self) -> int | None:
        """Micrograms saved by the actions with a factor; None if there are none."""
        return self.ug if self.known else None


def pairs(records: Iterable[Record]) -> dict[str, Pair]:
    """Each pollutant beside CO2e over `records`."""
    sums = dict.fromkeys(POLLUTANTS, Pair())
    for record in records:
        for pollutant in POLLUTANTS:
            ug: int | None = getattr(record, f"{pollutant}_ug")
            alone = Pair(actions=1) if ug is None else Pair(1, 1, ug, 1, ug, record.co2e_mg)
            sums[pollutant] += alone
    return sums


# --- pollution equivalents ---------------------------------------------------------------------------------


class Basis(StrEnum):
    """By what a pollutant is counted in pollution equivalents, or why it is not."""

    LAW = "by_law"
    SOOT = "as_soot"
    NO_VALUE = "no_value"
    NO_FACTOR = "no_factor"


@dataclass(frozen=True, slots=True)
class Equivalents:
    """A number of pollution equivalents, or None; `basis` says by what, or why not."""

    value: Fraction | None
    basis: Basis


def equivalents(pollutant: str, kilograms: Fraction | Decimal | int | None) -> Equivalents:
    """Pollution equivalents (污染当量数) = kilograms / kilograms per equivalent.

    环境保护税法, article 8 and annex 2: SO2 0.95, NOx 0.95, CO 16.7, soot 2.18. `kilograms` is None where no factor is
    known. 5,000 kg of NOx are 5263.157..., printed as 5,263.16. The law has no value for total VOCs: undefined.
    """
    if kilograms is None:
        return Equivalents(None, Basis.NO_FACTOR)
    if pollutant in EQUIVALENT_KG:
        return Equivalents(Fraction(kilograms) / Fraction(EQUIVALENT_KG[pollutant]), Basis.LAW)
    if pollutant == "pm25":
        return Equivalents(Fraction(kilograms) / Fraction(SOOT_KG), Basis.SOOT)
    return Equivalents(None, Basis.NO_VALUE)


def lawful_total(found: Mapping[str, Equivalents]) -> tuple[Fraction | None, tuple[str, ...]]:
    """The sum over the pollutants counted by the law itself, and which they are; None if there are none.

    What rests on the assumption about PM2.5 is not in it.
    """
    counted = {name: one.value or Fraction() for name, one in found.items() if one.basis is Basis.LAW}
    return (sum(counted.values(), Fraction()) if counted else None), tuple(counted)


# --- cross-elasticity --------------------------------------------------------------------------------------


class Reading(StrEnum):
    """How a cross-elasticity is read, or why there is none."""

    POLLUTANT_FALLS_MORE = "both_fall_pollutant_more"
    BOTH_FALL_ALIKE = "both_fall_alike"
    CARBON_FALLS_MORE = "both_fall_carbon_more"
    BOTH_RISE = "both_rise"
    CARBON_RISES = "pollutant_falls_carbon_rises"
    POLLUTANT_RISES = "carbon_falls_pollutant_rises"
    POLLUTANT_STILL_CARBON_FALLS = "carbon_falls_pollutant_unchanged"
    POLLUTANT_STILL_CARBON_RISES = "carbon_rises_pollutant_unchanged"
    CARBON_STILL_POLLUTANT_FALLS = "pollutant_falls_carbon_unchanged"
    CARBON_STILL_POLLUTANT_RISES = "pollutant_rises_carbon_unchanged"
    NOTHING_CHANGES = "nothing_changes"
    NO_RECORDS = "no_records"
    NO_FACTOR = "no_factor"
    NOT_SEPARABLE = "not_separable"
    SEVERAL_YEARS = "several_years"
    NO_TOTAL = "no_emission_total"


#: Each reading in a sentence.
READINGS = {
    Reading.POLLUTANT_FALLS_MORE: N_("两者都减少，污染物减少的比例更大。"),
    Reading.BOTH_FALL_ALIKE: N_("两者都减少，比例相同。"),
    Reading.CARBON_FALLS_MORE: N_("两者都减少，碳减少的比例更大。"),
    Reading.BOTH_RISE: N_("两者都增加。数值为正，但没有减排。"),
    Reading.CARBON_RISES: N_("污染物减少，碳增加：不协同。"),
    Reading.POLLUTANT_RISES: N_("碳减少，污染物增加：不协同。"),
    Reading.POLLUTANT_STILL_CARBON_FALLS: N_("碳减少，污染物不变。"),
    Reading.POLLUTANT_STILL_CARBON_RISES: N_("碳增加，污染物不变。"),
    Reading.CARBON_STILL_POLLUTANT_FALLS: N_("污染物减少，碳不变：分母为零。"),
    Reading.CARBON_STILL_POLLUTANT_RISES: N_("污染物增加，碳不变：分母为零。"),
    Reading.NOTHING_CHANGES: N_("两者都不变：零除以零。"),
    Reading.NO_RECORDS: N_("没有记录。"),
    Reading.NO_FACTOR: N_("没有一条记录有这种污染物的因子。"),
    Reading.NOT_SEPARABLE: N_("因子当天有变化，统计分不清哪些记录有因子。"),
    Reading.SEVERAL_YEARS: N_("时间范围跨年，没有对应的年排放总量。"),
    Reading.NO_TOTAL: N_("还没有填写这一年的排放总量。"),
}


@dataclass(frozen=True, slots=True)
class Elasticity:
    """A cross-elasticity, or None where it is undefined; `reading` says how to read it, or why it is not."""

    value: Fraction | None
    reading: Reading


def cross_elasticity(
    *,
    pollutant: Fraction | int,
    pollutant_total: Fraction | int | None,
    co2e: Fraction | int,
    co2e_total: Fraction | int | None,
) -> Elasticity:
    """Els = (ERj / Qj) / (ERk / Qk): j the pollutant, k CO2e.

    ER is the reduction by the same actions (negative where emissions rise), Q the total emissions of the same scope and
    period; ER and Q of one substance in one unit, whichever. Co-control evaluation after Mao Xianqiang (毛显强) and
    others, e.g. Xing, Mao et al., 中国环境管理 2020, 12(4): 20-28; the sign cases as in PMC11666946, table 2. A
    positive value alone is no good sign: it is also positive where both rise. Undefined where a total is missing or not
    above 0, and where CO2e does not change.
    """
    if not (pollutant_total and co2e_total and pollutant_total > 0 and co2e_total > 0):
        return Elasticity(None, Reading.NO_TOTAL)
    if co2e == 0:
        return Elasticity(None, _with_carbon_still(pollutant))
    value = Fraction(pollutant) / Fraction(pollutant_total) / (Fraction(co2e) / Fraction(co2e_total))
    return Elasticity(value, _read(value, co2e_falls=co2e > 0))


def _with_carbon_still(pollutant: Fraction | int) -> Reading:
    if pollutant == 0:
        return Reading.NOTHING_CHANGES
    return Reading.CARBON_STILL_POLLUTANT_FALLS if pollutant > 0 else Reading.CARBON_STILL_POLLUTANT_RISES


def _read(value: Fraction, *, co2e_falls: bool) -> Reading:
    if value == 0:
        return Reading.POLLUTANT_STILL_CARBON_FALLS if co2e_falls else Reading.POLLUTANT_STILL_CARBON_RISES
    if value < 0:
        return Reading.POLLUTANT_RISES if co2e_falls else Reading.CARBON_RISES
    if not co2e_falls:
        return Reading.BOTH_RISE
    if value == 1:
        return Reading.BOTH_FALL_ALIKE
    return Reading.POLLUTANT_FALLS_MORE if value > 1 else Reading.CARBON_FALLS_MORE


# --- the co-control quadrant -------------------------------------------------------------------------------


class Quadrant(StrEnum):
    """Where a set of actions lies: x is its reduction of CO2e, y that of the pollutant."""

    BOTH_FALL = "both_fall"
    POLLUTANT_FALLS = "pollutant_falls_carbon_rises"
    BOTH_RISE = "both_rise"
    CARBON_FALLS = "carbon_falls_pollutant_rises"
    ON_CARBON_FALLS = "carbon_falls_pollutant_unchanged"
    ON_CARBON_RISES = "carbon_rises_pollutant_unchanged"
    ON_POLLUTANT_FALLS = "pollutant_falls_carbon_unchanged"
    ON_POLLUTANT_RISES = "pollutant_rises_carbon_unchanged"
    ORIGIN = "nothing_changes"


#: Each place in words.
QUADRANTS = {
    Quadrant.BOTH_FALL: N_("第一象限：减污又降碳"),
    Quadrant.POLLUTANT_FALLS: N_("第二象限：减污但增碳"),
    Quadrant.BOTH_RISE: N_("第三象限：增污又增碳"),
    Quadrant.CARBON_FALLS: N_("第四象限：降碳但增污"),
    Quadrant.ON_CARBON_FALLS: N_("横轴上：降碳，污染物不变"),
    Quadrant.ON_CARBON_RISES: N_("横轴上：增碳，污染物不变"),
    Quadrant.ON_POLLUTANT_FALLS: N_("纵轴上：减污，碳不变"),
    Quadrant.ON_POLLUTANT_RISES: N_("纵轴上：增污，碳不变"),
    Quadrant.ORIGIN: N_("原点：两者都不变"),
}

_PLACES = {
    (1, 1): Quadrant.BOTH_FALL,
    (-1, 1): Quadrant.POLLUTANT_FALLS,
    (-1, -1): Quadrant.BOTH_RISE,
    (1, -1): Quadrant.CARBON_FALLS,
    (1, 0): Quadrant.ON_CARBON_FALLS,
    (-1, 0): Quadrant.ON_CARBON_RISES,
    (0, 1): Quadrant.ON_POLLUTANT_FALLS,
    (0, -1): Quadrant.ON_POLLUTANT_RISES,
    (0, 0): Quadrant.ORIGIN,
}


def quadrant(co2e: Fraction | int, pollutant: Fraction | int) -> Quadrant:
    """The quadrant or axis of the co-control coordinates (协同控制效应坐标系) that a pair of reductions lies in."""
    return _PLACES[_sign(co2e), _sign(pollutant)]


def _sign(value: Fraction | int) -> int:
    return (value > 0) - (value < 0)


# --- all of it for one pollutant ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Indicator:
    """What a set of actions did about one pollutant. `quadrant` is None where nothing can be compared."""

    pollutant: str
    pair: Pair
    equivalents: Equivalents
    elasticity: Elasticity
    quadrant: Quadrant | None


def indicator(pollutant: str, pair: Pair, totals: Mapping[str, int] | None) -> Indicator:
    """The indicators of `pollutant` over the actions that `pair` sums up.

    `totals`: kilograms emitted in the year by substance (a pollutant or ``co2e``), as far as they are known; None for a
    period that is not within one year.
    """
    saved = None if pair.saved_ug is None else Fraction(pair.saved_ug, UG_PER_KG)
    return Indicator(
        pollutant,
        pair,
        equivalents(pollutant, saved),
        _elasticity(pollutant, pair, totals),
        quadrant(pair.compared_co2e_mg, pair.compared_ug) if pair.compared else None,
    )


def _elasticity(pollutant: str, pair: Pair, totals: Mapping[str, int] | None) -> Elasticity:
    missing = (
        (not pair.actions, Reading.NO_RECORDS),
        (not pair.known, Reading.NO_FACTOR),
        (not pair.compared, Reading.NOT_SEPARABLE),
        (totals is None, Reading.SEVERAL_YEARS),
    )
    for lacking, reading in missing:
        if lacking:
            return Elasticity(None, reading)
    totals = totals or {}
    return cross_elasticity(
        pollutant=Fraction(pair.compared_ug, UG_PER_KG),
        pollutant_total=totals.get(pollutant),
        co2e=Fraction(pair.compared_co2e_mg, MG_PER_KG),
        co2e_total=totals.get("co2e"),
    )


# --- on paper ----------------------------------------------------------------------------------------------


def rounded(value: Fraction, *, places: int = 2, significant: int = 4) -> Decimal:
    """`value` for reading: at least `places` decimals, and as many as show `significant` digits; halves away from zero.

    So 5000 / 0.95 reads 5263.16, as it is published, and a small number never reads 0. Records are cut down because a
    claim must not grow; these are ratios of sums that are cut already, and nobody is credited by them.
    """
    if value:
        places = max(places, significant - 1 - _exponent(abs(value)))
    doubled = 2 * abs(value) * 10**places + 1
    units = doubled.numerator // (2 * doubled.denominator)
    return Decimal(f"{units if value >= 0 else -units}E-{places}")


def _exponent(value: Fraction) -> int:
    """The power of ten of the first digit of a positive number: 0 for 1 to 9, -1 for tenths."""
    guess = len(str(value.numerator)) - len(str(value.denominator))
    return guess if value >= Fraction(10) ** guess else guess - 1
