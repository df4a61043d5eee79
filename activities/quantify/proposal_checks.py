"""What values must fulfil to be proposed, and again to be published: the message for what the database constrains.

Fields are called by the columns of the sheet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, select

from activities.catalogue import ActionKind
from activities.quantify.factors import POLLUTANTS, FactorValues, FactorVersion, in_the_way, versions_by_kind
from activities.quantify.forms import VALUES, Form, check_derivation, read_derivation
from activities.quantify.methodologies import FilingStatus, Methodology, methodology_of
from tanpuhui import clock
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_

#: Nanograms for one unit: as much as the database takes.
LARGEST_CO2E_NG, LARGEST_POLLUTANT_NG = 9_000_000_000_000_000, 9_000_000_000_000

FieldProblem = dict[str, str]


@dataclass(frozen=True)
class Standing:
    """What stands in the database that values are held against, by kind."""

    kinds: Mapping[str, ActionKind]
    methodologies: Mapping[str, Methodology]
    versions: Mapping[str, Sequence[FactorVersion]]


def standing(session: Session) -> Standing:
    """What stands now."""
    kinds = {kind.code: kind for kind in session.exec(select(ActionKind))}
    return Standing(kinds, methodology_of(session.connection()), versions_by_kind(session))


def accepted(values: FactorValues, beside: Standing) -> FactorValues:
    """`values`, with the methodology of their kind if they name none. Raises InvalidField."""
    methodology = beside.methodologies.get(values.action_code)
    if methodology and not values.methodology:
        values = values.model_copy(update={"methodology": methodology.code})
    errors = list(_problems(values, beside))
    if errors:
        raise InvalidField(errors=errors)
    return values


def _problems(values: FactorValues, beside: Standing) -> Iterator[FieldProblem]:
    kind = beside.kinds.get(values.action_code)
    if kind is None:
        yield _bad("action_code", N_("没有这种行为。"))
        return
    if values.unit != kind.unit:
        yield _bad("unit", N_("单位须与这种行为的计量单位相同。"))
    yield from _amounts(values)
    for name in ("baseline", "source", "region"):
        if not getattr(values, name).strip():
            yield _bad(name, N_("请填写这一项。"))
    if not 1900 <= values.source_year <= clock.today().year:
        yield _bad("source_year", N_("年份应在 1900 年到今年之间。"))
    yield from _validity(values, beside.versions.get(kind.code, ()))
    yield from _method(values, beside.methodologies.get(kind.code))


def _bad(column: str, reason: str) -> FieldProblem:
    return {"field": column, "reason": reason}


def _amounts(values: FactorValues) -> Iterator[FieldProblem]:
    if values.co2e_low_ng < 0:
        yield _bad("co2e_g_low", N_("减排量不能是负数。"))
    if values.co2e_low_ng > values.co2e_mid_ng:
        yield _bad("co2e_g_low", N_("较低值不应大于居中值。"))
    if values.co2e_mid_ng > values.co2e_high_ng:
        yield _bad("co2e_g_mid", N_("居中值不应大于较高值。"))
    too_large = N_("数值太大，请核对单位。")
    if values.co2e_high_ng > LARGEST_CO2E_NG:
        yield _bad("co2e_g_high", too_large)
    for name in POLLUTANTS:
        if abs(getattr(values, f"{name}_ng") or 0) > LARGEST_POLLUTANT_NG:
            yield _bad(f"{name}_mg", too_large)


def _validity(values: FactorValues, versions: Sequence[FactorVersion]) -> Iterator[FieldProblem]:
    if values.valid_from and values.valid_to and values.valid_from > values.valid_to:
        yield _bad("valid_to", N_("结束日期应不早于开始日期。"))
    elif in_the_way(versions, values):
        yield _bad("valid_from", N_("有效期与已发布的版本重叠。已发布的版本不会改，请另选生效日。"))


def _method(values: FactorValues, methodology: Methodology | None) -> Iterator[FieldProblem]:
    """A factor follows the methodology of its kind, and its derivation is one of that methodology's form."""
    if methodology and methodology.filing_status is FilingStatus.CITY_METHOD and not values.city_credited:
        yield _bad("city_credited", N_("市级已有方法学，减排量须由市级核算，本区只给积分。"))
    if values.methodology and (methodology is None or values.methodology != methodology.code):
        yield _bad("methodology", N_("新的因子须沿用这种行为现在的方法学。"))
    elif values.derivation and methodology is None:
        yield _bad("derivation", N_("这种行为没有方法学，推算参数请留空。"))
    elif values.derivation and methodology is not None:
        reason = _derivation(values, methodology.form)
        if reason:
            yield _bad("derivation", reason)


def _derivation(values: FactorValues, form: Form) -> str:
    """What is wrong with the derivation; empty if it bears the values out."""
    try:
        derivation = read_derivation(values.derivation)
    except ValueError:
        return N_("推算参数读不懂，请照示例写。")
    for value in VALUES:
        if value in derivation:
            stated: int | None = getattr(
                values, f"co2e_{value}_ng" if value not in POLLUTANTS else f"{value}_ng"
            )
            if stated is None:
                return N_("推算参数里有一项没有填数值。")
            try:
                check_derivation(form, value, derivation[value], stated)
            except ValueError:
                return N_("按这些参数算不出所填的数值，请对照试算。")
    return ""
