"""The sum shown: formula, every number with its unit, and where it comes from, in Chinese and in English.

Pure. One implementation for the command, the pages and the API: `trace_of`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from activities.catalogue import ActionKind
from activities.quantify.calculation import Reduction, decimal_text, quantify
from activities.quantify.factors import FactorVersion
from activities.quantify.forms import SHAPES, Form, Parameter, plain, read_derivation, saved
from activities.quantify.methodologies import FILING_NAMES, Methodology
from activities.quantify.units import in_largest_mass, written
from tanpuhui.i18n import N_, translated, unit_name

LANGUAGES = ("zh", "en")


class Line(NamedTuple):
    """A number of a reduction: its field and the factor's, what it is called, and how it is written.

    `value` names it in a derivation (`forms.VALUES`). The factor is shown in `shown`, 10**`places` nanograms;
    the reduction is recorded in `recorded`.
    """

    field: str
    factor_field: str
    value: str
    zh: str
    en: str
    shown: str = "mg"
    places: int = 6
    recorded: str = "µg"


LINES = (
    Line("co2e_mg", "co2e_low_ng", "low", "减排量（低）", "CO2e (low)", "g", 9, "mg"),
    Line("co2e_mid_mg", "co2e_mid_ng", "mid", "减排量（中）", "CO2e (mid)", "g", 9, "mg"),
    Line("co2e_high_mg", "co2e_high_ng", "high", "减排量（高）", "CO2e (high)", "g", 9, "mg"),
    Line("nox_ug", "nox_ng", "nox", "氮氧化物 NOx", "NOx"),
    Line("pm25_ug", "pm25_ng", "pm25", "细颗粒物 PM2.5", "PM2.5"),
    Line("voc_ug", "voc_ng", "voc", "挥发性有机物 VOCs", "VOCs"),
    Line("so2_ug", "so2_ng", "so2", "二氧化硫 SO2", "SO2"),
    Line("co_ug", "co_ng", "co", "一氧化碳 CO", "CO"),
)

#: What a record of a kind says whose reductions the city credits.
CITY_CREDITED = N_("减排量由市级方法学另行核算，本区给积分。")


@dataclass(frozen=True)
class Step:
    """A number of the sum: the recorded value (None: no factor known), its unit, and the formula twice."""

    name: str
    value: int | None
    unit: str
    zh: str
    en: str


@dataclass(frozen=True)
class Derived:
    """How a value of the factor follows from parameters: the step it belongs to, the parameters as
    ``{"name", "symbol", "zh", "en", "value", "unit"}``, the exact result for one unit, and the sum twice."""

    name: str
    parameters: tuple[dict[str, str], ...]
    result: str
    unit: str
    zh: str
    en: str


@dataclass(frozen=True)
class Trace:
    """A sum, shown. `glances`: by language, what is understood at once, the low value first, each a line. `form_title`
    is Chinese source text, empty without a methodology; `derivations` are empty where the source states the values."""

    kind: ActionKind
    quantity_milli: int
    factor: FactorVersion
    methodology: Methodology | None
    reduction: Reduction
    glances: Mapping[str, tuple[str, ...]]
    formula: str
    form_title: str
    steps: tuple[Step, ...]
    derivations: tuple[Derived, ...]

    @property
    def glance_zh(self) -> str:
        """All that is understood at once on one line, in Chinese."""
        return "；".join(self.glances["zh"])

    @property
    def glance_en(self) -> str:
        """The same in English."""
        return "; ".join(self.glances["en"])

    def document(self) -> dict[str, Any]:
        """The trace as a JSON document: what, how much, each step, and where the factor comes from."""
        kind, factor = self.kind, self.factor
        described = (
            "unit",
            "source",
            "source_year",
            "region",
            "confidence",
            "baseline",
            "scenario_kind",
            "note",
        )
        credited = CITY_CREDITED if factor.city_credited else ""
        return {
            "kind": kind.code,
            "name_zh": kind.name_zh,
            "name_en": kind.name_en,
            "quantity": decimal_text(self.quantity_milli, 3),
            "unit": factor.unit,
            **_twice(
                "unit", *(_beside(self.quantity_milli, factor.unit, language) for language in LANGUAGES)
            ),
            **_twice("glance", self.glance_zh, self.glance_en),
            "formula": self.formula,
            "reduction": asdict(self.reduction),
            "steps": [asdict(step) for step in self.steps],
            "derivation": [asdict(derived) for derived in self.derivations],
            "methodology": self.methodology and _described(self.methodology),
            "factor": {
                "version": factor.id,
                **{name: getattr(factor, name) for name in described},
                "city_credited": factor.city_credited,
                **_twice("remark", *(translated(credited, language) for language in LANGUAGES)),
                "valid_from": factor.valid_from and factor.valid_from.isoformat(),
                "valid_to": factor.valid_to and factor.valid_to.isoformat(),
            },
        }


def trace_of(
    kind: ActionKind, quantity_milli: int, factor: FactorVersion, methodology: Methodology | None
) -> Trace:
    """How `quantity_milli` thousandths of the unit of `kind` become a reduction by `factor`.

    `methodology` is the one that `factor` follows, None if it follows none.
    """
    form = methodology.form if methodology else None
    reduction = quantify(quantity_milli, factor)
    glances = {lang: tuple(_glances(quantity_milli, factor, reduction, form, lang)) for lang in LANGUAGES}
    return Trace(
        kind,
        quantity_milli,
        factor,
        methodology,
        reduction,
        glances,
        SHAPES[form or Form.FACTOR].formula,
        SHAPES[form].title if form else "",
        explain(quantity_milli, factor),
        tuple(_derived(factor, form)) if form else (),
    )


def _twice(name: str, zh: str, en: str) -> dict[str, str]:
    return {f"{name}_zh": zh, f"{name}_en": en}


def _described(methodology: Methodology) -> dict[str, Any]:
    title = SHAPES[methodology.form].title
    filing = FILING_NAMES[methodology.filing_status]
    return {
        "code": methodology.code,
        **_twice("title", methodology.title_zh, methodology.title_en),
        "form": methodology.form,
        **_twice("form", *(translated(title, language) for language in LANGUAGES)),
        "formula": SHAPES[methodology.form].formula,
        "filing_status": methodology.filing_status,
        **_twice("filing_status", *(translated(filing, language) for language in LANGUAGES)),
        "city_reference": methodology.city_reference,
    }


# --- the numbers --------------------------------------------------------------------------------------------


def explain(quantity_milli: int, factor: FactorVersion) -> tuple[Step, ...]:
    """How each number of `calculation.quantify` came about, with units, in both languages; the low CO2e first."""
    reduction = quantify(quantity_milli, factor)
    steps = []
    for line in LINES:
        per_unit: int | None = getattr(factor, line.factor_field)
        value: int | None = getattr(reduction, line.field)
        if per_unit is None:
            zh, en = f"{line.zh}：暂无因子", f"{line.en}: no factor known"
        else:
            zh, en = (
                _product(line, quantity_milli, factor.unit, per_unit, language) for language in LANGUAGES
            )
            zh = f"{line.zh} = {zh}，向下取整记 {value} {unit_name(line.recorded, 'zh')}"
            en = f"{line.en} = {en}, rounded down to {value} {line.recorded}"
        steps.append(Step(line.field, value, line.recorded, zh, en))
    return tuple(steps)


def _product(line: Line, quantity_milli: int, unit: str, per_unit: int, language: str) -> str:
    quantity = f"{decimal_text(quantity_milli, 3)} {_beside(quantity_milli, unit, language)}"
    rate = f"{decimal_text(per_unit, line.places)} {compound(f'{line.shown}/{unit}', language)}"
    exact = f"{decimal_text(quantity_milli * per_unit, line.places + 3)} {unit_name(line.shown, language)}"
    return f"{quantity} × {rate} = {exact}"


def _beside(quantity_milli: int, unit: str, language: str) -> str:
    """The unit as it stands beside the quantity."""
    return unit_name(unit, language, 1 if quantity_milli == 1000 else 2)


def compound(unit: str, language: str) -> str:
    """A unit with at most one stroke in ``zh`` or ``en``: ``g/meal`` -> 克/餐."""
    return "/".join(unit_name(part, language) for part in unit.split("/", 1))


# --- derivations --------------------------------------------------------------------------------------------


def _derived(factor: FactorVersion, form: Form) -> Iterator[Derived]:
    derivation = read_derivation(factor.derivation)
    for line in LINES:
        if line.value not in derivation:
            continue
        given = derivation[line.value]
        unit = f"{line.shown}/{factor.unit}"
        parameters = tuple(
            {
                "name": parameter.name,
                "symbol": parameter.symbol,
                **{language: translated(parameter.text, language) for language in LANGUAGES},
                "value": plain(given[parameter.name]),
                "unit": _unit_of(parameter, line, factor.unit),
            }
            for parameter in SHAPES[form].parameters
        )
        result = plain(saved(form, Decimal(1), given))
        stated = decimal_text(getattr(factor, line.factor_field), line.places)
        zh, en = (_sum(parameters, form, result, unit, language) for language in LANGUAGES)
        zh = f"{line.zh}的因子 = {zh}，记 {stated} {compound(unit, 'zh')}"
        en = f"{line.en} factor = {en}, stated as {stated} {compound(unit, 'en')}"
        yield Derived(line.field, parameters, result, unit, zh, en)


def _unit_of(parameter: Parameter, line: Line, unit: str) -> str:
    return (parameter.unit if line.shown == "g" else parameter.pollutant_unit).format(unit=unit)


def _sum(parameters: tuple[dict[str, str], ...], form: Form, result: str, unit: str, language: str) -> str:
    terms = (
        f"{parameter[language]} {parameter['value']} {compound(parameter['unit'], language)}".rstrip()
        for parameter in parameters
    )
    return f"{f' {SHAPES[form].sign} '.join(terms)} = {result} {compound(unit, language)}"


# --- at a glance --------------------------------------------------------------------------------------------

_NAMED = {
    "zh": {"low": "", "mid": "居中值：", "high": "较高值："},
    "en": {"low": "", "mid": "mid: ", "high": "high: "},
}


def _glances(
    quantity_milli: int, factor: FactorVersion, reduction: Reduction, form: Form | None, language: str
) -> Iterator[str]:
    """The low value, and those that are derived: they tell a story (93 g x 4.83 kg/kg) that a rate does not."""
    derivation = read_derivation(factor.derivation) if form else {}
    for line in LINES[:3]:
        if line.value == "low" or line.value in derivation:
            stated = {"factor": Decimal(getattr(factor, line.factor_field)).scaleb(-line.places)}
            given = derivation.get(line.value, stated)
            shown = form if form and line.value in derivation else Form.FACTOR
            product, exact = _told(quantity_milli, factor.unit, shown, given, language)
            number, mass = in_largest_mass(Fraction(getattr(reduction, line.field), 1000), digits=3)
            # A result that is cut, or was cut by its source, is not said to be equal.
            equals = "=" if in_largest_mass(exact) == (number, mass) else "≈"
            yield f"{_NAMED[language][line.value]}{product} {equals} {number} {unit_name(mass, language)}"


def _told(
    quantity_milli: int, unit: str, form: Form, given: dict[str, Decimal], language: str
) -> tuple[str, Decimal]:
    """``3 meals × 144 g/meal``, and its exact result in grams.

    Of one unit only the parameters, where there are several: ``93 g × 4.83 kg/kg``.
    """
    shape = SHAPES[form]
    single = quantity_milli == 1000 and len(shape.parameters) > 1
    terms = [
        _term(given[parameter.name], parameter.unit.format(unit=unit), unit if single else "", language)
        for parameter in shape.parameters
    ]
    product = f" {shape.sign} ".join(terms)
    if not single:
        product = f"({product})" if shape.sign != "×" else product
        product = (
            f"{written(Fraction(quantity_milli, 1000))} {_beside(quantity_milli, unit, language)} × {product}"
        )
    return product, saved(form, Decimal(quantity_milli).scaleb(-3), given)


def _term(value: Decimal, unit: str, dropped: str, language: str) -> str:
    """A parameter in a handy unit; ``/meal`` is dropped where there is but one meal."""
    numerator, _, denominator = unit.partition("/")
    number = written(value)
    if numerator == "g":
        number, numerator = in_largest_mass(value, smallest="g")
    unit = numerator if denominator in {"", dropped} else f"{numerator}/{denominator}"
    return f"{number} {compound(unit, language)}".rstrip()
