"""Factors in words: how the bureau's pages call and write what a version or a proposal says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from flask_babel import gettext

from activities.catalogue import ActionKind
from activities.quantify.calculation import decimal_text
from activities.quantify.factors import POLLUTANTS, Confidence, FactorValues
from activities.quantify.forms import SHAPES, Form, plain, read_derivation, saved
from activities.quantify.methodologies import Methodology, ScenarioKind
from activities.quantify.proposals import values_in
from activities.quantify.traces import compound
from tanpuhui.i18n import N_
from tanpuhui.web.formatting import POLLUTANT_NAMES, data_text, day, language, unit_name

#: What the fields of a factor are called, in the order in which they are read. The unit is that of the kind.
FIELD_NAMES = {
    "co2e_low_ng": N_("减排量（较低值）"),
    "co2e_mid_ng": N_("减排量（居中值）"),
    "co2e_high_ng": N_("减排量（较高值）"),
    **{f"{name}_ng": name for name in POLLUTANTS},
    "source": N_("来源"),
    "source_year": N_("来源年份"),
    "region": N_("地区"),
    "confidence": N_("可信度"),
    "baseline": N_("对照"),
    "methodology": N_("方法学"),
    "derivation": N_("推算参数"),
    "scenario_kind": N_("场景类型"),
    "city_credited": N_("由谁核算"),
    "valid_from": N_("生效日"),
    "valid_to": N_("最后有效日"),
    "note": N_("备注"),
}

#: How sure a factor is, in plain words.
CONFIDENCE = {
    Confidence.A: N_("A：读过原始文件"),
    Confidence.B: N_("B：来自新闻报道"),
    Confidence.C: N_("C：来自转述"),
    Confidence.D: N_("D：由公开数字换算"),
}

CREDITED_BY = {False: N_("本区核算"), True: N_("市级方法学核算，本区只给积分")}
SCENARIO_NAMES = {
    ScenarioKind.PROJECT: N_("减排项目"),
    ScenarioKind.SCENARIO: N_("减排场景"),
    ScenarioKind.BEHAVIOUR: N_("行为场景"),
}
STEP_NAMES = {
    "factor.proposed": N_("提出"),
    "factor.amended": N_("修改"),
    "factor.reviewed": N_("复核通过"),
    "factor.published": N_("发布"),
    "factor.declined": N_("未采纳"),
    "factor.withdrawn": N_("撤回"),
    "factor.retired": N_("版本停用"),
    "factor.cancelled": N_("版本取消"),
}


def title_of(methodology: Methodology | None) -> str:
    """The title of a methodology in the page's language; nothing for none."""
    if methodology is None:
        return ""
    return methodology.title_en if language() == "en" else methodology.title_zh


def options(names: Mapping[Any, str]) -> list[tuple[str, str]]:
    """Choices for a select: value and name in the page's language."""
    return [(str(value), gettext(text)) for value, text in names.items()]


def field_name(name: str) -> str:
    """What a field of a factor is called, in the page's language."""
    text = FIELD_NAMES[name]
    return POLLUTANT_NAMES.get(text) or gettext(text)


def written(name: str, value: Any, unit: str, titles: Mapping[str, str]) -> str:
    """The value of a field as people read it; `titles` are those of the methodologies by code."""
    if name.endswith("_ng"):
        places, mass = (9, N_("克")) if name.startswith("co2e") else (6, N_("毫克"))
        if value is None:
            return str(gettext("暂无因子"))
        return f"{decimal_text(value, places)} {gettext(mass)}/{unit_name(unit)}"
    if name in _WORDS:
        return str(gettext(_WORDS[name][value]))
    if not value:
        return "…" if name in _OPEN_ENDED else "–"
    if name == "methodology":
        return titles[value]
    return day(value) if isinstance(value, date) else data_text(str(value))


_WORDS: dict[str, Mapping[Any, str]] = {
    "confidence": CONFIDENCE,
    "city_credited": CREDITED_BY,
    "scenario_kind": SCENARIO_NAMES,
}
_OPEN_ENDED = {"valid_from", "valid_to"}


@dataclass(frozen=True)
class Line:
    """A field of a proposal beside the version it is compared with (empty if there is none)."""

    field: str
    name: str
    before: str
    after: str
    changed: bool


def compared(before: FactorValues | None, after: FactorValues, titles: Mapping[str, str]) -> list[Line]:
    """Every field of `after` beside that of `before`."""
    old, new = values_in(before) if before else {}, values_in(after)
    return [
        Line(
            name,
            field_name(name),
            written(name, old[name], after.unit, titles) if before else "",
            written(name, new[name], after.unit, titles),
            bool(before) and old[name] != new[name],
        )
        for name in FIELD_NAMES
    ]


# --- derivations --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worked:
    """A value worked out from its parameters: ``low``, ``rate=93, factor=4.83``, ``449.19`` (None: it cannot be)."""

    value: str
    parameters: str
    result: str | None


def worked_out(methodology: Methodology | None, text: str) -> list[Worked]:
    """What each part of a derivation gives for one unit, exactly; nothing where it cannot be read."""
    if methodology is None:
        return []
    try:
        derivation = read_derivation(text)
    except ValueError:
        return []
    return [
        Worked(value, ", ".join(f"{name}={plain(number)}" for name, number in given.items()),
               _result(methodology.form, given))
        for value, given in derivation.items()
    ]  # fmt: skip


def _result(form: Form, parameters: Mapping[str, Decimal]) -> str | None:
    try:
        return plain(saved(form, Decimal(1), parameters))
    except ValueError:
        return None


def parameters_of(methodology: Methodology, kind: ActionKind) -> list[tuple[str, str, str]]:
    """The parameters of a methodology's form: name, what it is, unit for CO2e."""
    return [
        (parameter.name, gettext(parameter.text), compound(parameter.unit.format(unit=kind.unit), language()))
        for parameter in SHAPES[methodology.form].parameters
    ]
