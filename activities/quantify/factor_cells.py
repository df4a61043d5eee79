"""A factor as people type it: the columns of the sheet as the fields of a form, and the rule for each.

A form is read by the sheet's own readers, so that form and file take the same values.
"""

import unicodedata
from collections.abc import Mapping

from activities.catalogue import ActionKind
from activities.quantify.factor_sheet import FACTORS_FILE, row_values
from activities.quantify.factors import POLLUTANTS, FactorValues
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.reference import Row

#: What each column takes, in plain words.
RULES = {
    "action_code": N_("应是行为的代码，例如 clean_plate。"),
    "unit": N_(
        "应是这种行为的计量单位；吨写 t（1000 千克），美吨写 short ton（907.18474 千克），不要只写 ton。"
    ),
    "scenario_kind": N_("应是“减排项目”“减排场景”“行为场景”之一。"),
    "city_credited": N_("应是 yes 或 no。"),
    **dict.fromkeys(
        ("co2e_g_low", "co2e_g_mid", "co2e_g_high"), N_("应是 0 到 9000000 之间的数，最多 9 位小数。")
    ),
    **dict.fromkeys(
        (f"{name}_mg" for name in POLLUTANTS),
        N_("应是 −9000000 到 9000000 之间的数，最多 6 位小数；不知道就留空。"),
    ),
    **dict.fromkeys(("baseline", "source"), N_("请填写，最多 1000 个字。")),
    "source_year": N_("应是四位数的年份，例如 2024。"),
    "region": N_("请填写，最多 64 个字。"),
    "confidence": N_("应是 A、B、C、D 之一。"),
    "note": N_("最多 1000 个字，可以留空。"),
    **dict.fromkeys(("valid_from", "valid_to"), N_("应是日期，例如 2026-06-05；没有就留空。")),
    "methodology": N_("应是方法学的代码；留空就用这种行为现在的方法学。"),
    "derivation": N_("应写成“high: rate=93, factor=4.83”这样，几项之间用分号隔开。"),
    "version": N_("应是 1 到 9999 的整数；留空就接着编号。"),
}

#: Columns of prose, which stays as it is typed.
_PROSE = {"baseline", "source", "region", "note", "scenario_kind"}


def read_values(kind: ActionKind, cells: Mapping[str, str]) -> FactorValues:
    """The values for one unit of `kind` that a form's `cells` say, by the names of the sheet's columns.

    Raises InvalidField with the rule of every column that cannot be read.
    """
    given = {**cells, "action_code": kind.code, "unit": kind.unit}
    values, errors = {}, []
    for column in FACTORS_FILE.columns:
        text = given.get(column.name, "")
        if column.name not in _PROSE:
            text = narrow(text)
        try:
            values[column.name] = column.convert(" ".join(text.split()))
        except ValueError:
            errors.append({"field": column.name, "reason": RULES[column.name]})
    if errors:
        raise InvalidField(errors=errors)
    return values_of(Row("", 0, values))


def narrow(text: str) -> str:
    """`text` with the narrow signs that the full-width ones of a Chinese keyboard mean."""
    return unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")


def values_of(row: Row) -> FactorValues:
    """The values of a row in which every cell could be read."""
    return FactorValues(**{**row_values(row), "methodology": row.get("methodology") or None})
