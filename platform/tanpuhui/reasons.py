"""What pydantic finds wrong, in words for people: a reason and the numbers in it."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tanpuhui.i18n import N_

_WHOLE = N_("请填整数。")
_CHOICE = N_("请从列表中选择。")
_TEXT = N_("请填文字。")
_DAY = N_("请按 2026-06-05 这样写日期。")
_MOMENT = N_("请填写日期和时间。")
_LIST = N_("这里应是一个列表。")
_PARTS = N_("这里应是一组带名称的内容。")

_REASONS = {
    "missing": N_("缺少这一项。"),
    "extra_forbidden": N_("没有这一项。"),
    "greater_than_equal": N_("不能小于 %(ge)s。"),
    "less_than_equal": N_("不能大于 %(le)s。"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "string_type": _TEXT,
    "string_too_short": N_("至少 %(min_length)s 个字。"),
    "string_too_long": N_("最多 %(max_length)s 个字。"),
    "too_short": N_("至少选 %(min_length)s 项。"),
    "too_long": N_("最多 %(max_length)s 项。"),
    "list_type": _LIST,
    "dict_type": _PARTS,
    "model_type": _PARTS,
    "model_attributes_type": _PARTS,
    "literal_error": _CHOICE,
    "union_tag_invalid": _CHOICE,
    "union_tag_not_found": _CHOICE,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": N_("时间要写明时区。"),
}


def findings(error: ValidationError) -> Iterator[tuple[tuple[int | str, ...], dict[str, Any]]]:
    """Where and why, one after the other: the reason, and the values that stand in it; nothing of what was sent."""
    for entry in error.errors(include_url=False, include_input=False):
        context = entry.get("ctx", {})
        if entry["type"] == "said":  # in our own words
            yield entry["loc"], {"reason": entry["msg"]}
            continue
        reason = _REASONS.get(entry["type"], N_("填写的内容不符合要求。"))
        values = {name: value for name, value in context.items() if f"%({name})s" in reason}
        yield entry["loc"], {"reason": reason, **({"params": values} if values else {})}
