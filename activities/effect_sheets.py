"""The effect of a period as a table: for CSV and Excel."""

from collections.abc import Iterator

from activities.effect import PARTS, Effect, Part
from activities.otherwise import OTHERWISE_NAMES
from tanpuhui.bureau.sheets import Column, Row, Sort, Table
from tanpuhui.i18n import N_

PART_NAMES = {
    "verified": N_("经过验证"),
    "self_declared": N_("自报"),
    "both": N_("验证和自报合计"),
    "city": N_("市级核算，另计"),
}

SAID_NAMES = {
    "asked": N_("问到的记录"),
    "answered": N_("回答的"),
    "skipped": N_("跳过的"),
    "silent": N_("还没有理会的"),
    "additional": N_("不会做或只做一部分"),
    **{said.value: name for said, name in OTHERWISE_NAMES.items()},
}

_RECORDS = N_("条")
_PERMILLE = N_("千分比")
_MILLIGRAMS = N_("毫克 CO2e")
_FEW = N_("空着：不到 5 人，或者会让别的数被推算出来。")
#: Where the interval of a share is taken from.
WILSON = "E. B. Wilson, JASA 22 (1927), 209-212"

TABLE = Table(
    "effect",
    N_("成效"),
    (
        Column("period", N_("时间"), meaning=N_("年、季或月，按上海时间。")),
        Column("kind", N_("行为"), meaning=N_("行为的代码；空着：所有行为。")),
        Column("part", N_("证据"), meaning=N_("both 是 verified 和 self_declared 之和；city 不在其中。")),
        *(Column(said, name, Sort.WHOLE, _RECORDS, _FEW) for said, name in SAID_NAMES.items()),
        Column("additional_permille", N_("额外的占回答的"), Sort.WHOLE, _PERMILLE, _FEW),
        Column(
            "additional_low_permille",
            N_("区间下限"),
            Sort.WHOLE,
            _PERMILLE,
            N_("可信程度百分之九十五的区间"),
            WILSON,
        ),
        Column(
            "additional_high_permille",
            N_("区间上限"),
            Sort.WHOLE,
            _PERMILLE,
            N_("可信程度百分之九十五的区间"),
            WILSON,
        ),
        Column("answered_co2e_mg", N_("回答的记录的估算减排量"), Sort.WHOLE, _MILLIGRAMS, N_("较低值。")),
        Column(
            "additional_from_co2e_mg",
            N_("其中额外的，从"),
            Sort.WHOLE,
            _MILLIGRAMS,
            N_("只算回答“不会做”的记录。"),
        ),
        Column(
            "additional_to_co2e_mg",
            N_("其中额外的，到"),
            Sort.WHOLE,
            _MILLIGRAMS,
            N_("再加上回答“会做一部分”的记录，整条计入。"),
        ),
        Column(
            "estimated_co2e_mg",
            N_("全部记录的估算减排量"),
            Sort.WHOLE,
            _MILLIGRAMS,
            N_("较低值，放在旁边对照。额外的不能加进来。"),
        ),
        Column("checked", N_("抽查已判断"), Sort.WHOLE, _RECORDS, N_("点位抽样中已判断对错的记录。")),
        Column("wrong", N_("抽查有错"), Sort.WHOLE, _RECORDS),
        Column("wrong_permille", N_("差错率"), Sort.WHOLE, _PERMILLE),
        Column(
            "wrong_low_permille",
            N_("差错率区间下限"),
            Sort.WHOLE,
            _PERMILLE,
            N_("可信程度百分之九十五的区间"),
            WILSON,
        ),
        Column(
            "wrong_high_permille",
            N_("差错率区间上限"),
            Sort.WHOLE,
            _PERMILLE,
            N_("可信程度百分之九十五的区间"),
            WILSON,
        ),
    ),
)


def rows_of(found: Effect) -> Iterator[Row]:
    """A row for each part."""
    for name in PARTS:
        yield (found.period.name, found.kind, name, *cells(found.parts[name]))


def cells(part: Part) -> tuple[int | None, ...]:
    """The numbers of a part in the order of the columns."""
    rate = part.checked
    return (
        *(part.said[said] for said in SAID_NAMES),
        *(part.share or (None, None, None)),
        part.answered_mg,
        *(part.additional_mg or (None, None)),
        part.estimated_mg,
        *((rate.judged, rate.wrong, rate.permille) if rate else (None, None, None)),
        *(rate.interval if rate and rate.judged else (None, None)),
    )
