"""The five forms: exact, linear in the quantity, and never more than their parameters bear out."""

from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from activities.quantify.calculation import quantify
from activities.quantify.factors import FactorVersion
from activities.quantify.forms import (
    SHAPES,
    VALUES,
    Form,
    check_derivation,
    cut,
    plain,
    read_derivation,
    read_number,
    saved,
    tree_years,
    write_derivation,
)

forms = st.sampled_from(list(Form))
milli = st.integers(0, 999_999_999_999)


def decimals(places: int, largest: int = 10**6) -> st.SearchStrategy[Decimal]:
    """Decimal numbers that are not negative, with at most `places` decimals."""
    return st.integers(0, largest * 10**places).map(lambda scaled: Decimal(scaled).scaleb(-places))


@st.composite
def derived(draw: st.DrawFn, places: int = 9) -> tuple[Form, dict[str, Decimal]]:
    """A form with possible parameters."""
    form = draw(forms)
    parameters = {}
    for parameter in SHAPES[form].parameters:
        largest = int(parameter.largest) if parameter.largest is not None else 10**6
        parameters[parameter.name] = draw(decimals(places, largest))
    return form, parameters


# --- each form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "quantity", "parameters", "result"),
    [
        (Form.FACTOR, "2.5", {"factor": "48.7"}, "121.75"),
        (Form.DIFFERENCE, "22", {"baseline": "271.8", "project": "61.4"}, "4628.8"),
        (Form.DIFFERENCE, "10", {"baseline": "0.5", "project": "0.75"}, "-2.5"),
        (Form.GENERATION, "3", {"rate": "93", "factor": "4.83"}, "1347.57"),
        (Form.SURVIVAL, "3", {"uptake": "1400"}, "4200"),
        (Form.REPLACEMENT, "2.5", {"production": "3600", "rate": "0.5"}, "4500"),
    ],
)
def test_a_form_computes_what_its_formula_says(
    form: Form, quantity: str, parameters: dict[str, str], result: str
) -> None:
    given_ = {name: Decimal(number) for name, number in parameters.items()}
    assert saved(form, Decimal(quantity), given_) == Decimal(result)


def test_every_form_is_described_for_people() -> None:
    assert SHAPES.keys() == set(Form)
    for shape in SHAPES.values():
        assert shape.formula.startswith("R = ")
        assert shape.title
        for parameter in shape.parameters:
            assert parameter.symbol in shape.formula
            assert parameter.text


def test_tree_years_count_what_is_alive_for_whole_years() -> None:
    assert (tree_years(7, 1), tree_years(3, 2), tree_years(0, 1)) == (7, 6, 0)
    for alive, years in ((-1, 1), (1, 0), (1, -1)):
        with pytest.raises(ValueError, match="alive"):
            tree_years(alive, years)


@pytest.mark.parametrize(
    ("form", "parameters", "reason"),
    [
        (Form.GENERATION, {"rate": 93}, "the form generation needs factor"),
        (Form.FACTOR, {}, "the form factor needs factor"),
        (Form.FACTOR, {"factor": 1, "rate": 1}, "rate is no parameter of the form factor; it has factor"),
        (Form.DIFFERENCE, {"baseline": 1, "project": -1}, "project is negative"),
        (Form.REPLACEMENT, {"production": 1, "rate": Decimal("1.01")}, "rate is larger than 1"),
    ],
)
def test_parameters_that_cannot_be_are_refused(form: Form, parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        saved(form, Decimal(1), {name: Decimal(value) for name, value in parameters.items()})


# --- properties ---------------------------------------------------------------------------------------------


@given(derived(), milli)
def test_every_form_is_linear_in_the_quantity(case: tuple[Form, dict[str, Decimal]], quantity: int) -> None:
    form, parameters = case
    one, many = (saved(form, Decimal(amount).scaleb(-3), parameters) for amount in (1000, quantity))
    assert Fraction(many) == Fraction(quantity, 1000) * Fraction(one)


@given(derived(), milli, milli)
def test_more_activity_never_saves_less_where_one_unit_saves(
    case: tuple[Form, dict[str, Decimal]], one: int, other: int
) -> None:
    form, parameters = case
    assume(saved(form, Decimal(1), parameters) >= 0)
    less, more = sorted((one, other))
    assert saved(form, Decimal(less), parameters) <= saved(form, Decimal(more), parameters)


@given(derived(), st.lists(milli, min_size=1, max_size=8))
def test_an_exact_result_may_be_split_as_one_likes(
    case: tuple[Form, dict[str, Decimal]], parts: list[int]
) -> None:
    form, parameters = case
    whole = saved(form, Decimal(sum(parts)), parameters)
    assert Fraction(whole) == sum(Fraction(saved(form, Decimal(part), parameters)) for part in parts)


@given(derived(places=4), milli)
def test_a_derived_factor_is_recorded_as_the_exact_result_rounded_down(
    case: tuple[Form, dict[str, Decimal]], quantity: int
) -> None:
    """Two parameters of four decimals make eight: exact in nanograms, so nothing is lost before the one rounding."""
    form, parameters = case
    one = saved(form, Decimal(1), parameters)
    assume(one >= 0)
    per_unit = cut(one, 9)
    assert Decimal(per_unit).scaleb(-9) == one
    version = FactorVersion(
        id="k@1", co2e_low_ng=per_unit, co2e_mid_ng=per_unit, co2e_high_ng=per_unit, nox_ng=cut(one, 6)
    )
    check_derivation(form, "low", parameters, per_unit)
    exact = saved(form, Decimal(quantity).scaleb(-3), parameters)
    assert quantify(quantity, version).co2e_mg == floor(Fraction(exact) * 1000)


@given(derived(places=4), milli)
def test_so_is_a_derived_pollutant_also_when_it_is_added(
    case: tuple[Form, dict[str, Decimal]], quantity: int
) -> None:
    form, parameters = case
    one = saved(form, Decimal(1), parameters)
    assume(cut(one, 6) == one * 10**6)
    version = FactorVersion(id="k@1", co2e_low_ng=0, co2e_mid_ng=0, co2e_high_ng=0, nox_ng=cut(one, 6))
    check_derivation(form, "nox", parameters, cut(one, 6))
    exact = saved(form, Decimal(quantity).scaleb(-3), parameters)
    assert quantify(quantity, version).nox_ug == floor(Fraction(exact) * 1000)


# --- cutting ------------------------------------------------------------------------------------------------


def test_cutting_goes_down_also_below_zero() -> None:
    assert [cut(Decimal(text), 0) for text in ("449.19", "0.9", "0", "-0.1", "-1", "-1.000000001")] == [
        *(449, 0, 0, -1, -1, -2),
    ]
    assert cut(Decimal("-0.0000000011"), 9) == -2


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**9), max_value=10**9))
def test_what_is_cut_is_never_more_and_less_than_one_step_less(value: Decimal) -> None:
    steps = cut(value, 9)
    assert 0 <= Fraction(value) * 10**9 - steps < 1


# --- derivations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "bears"), [("449.19", True), ("449.1", True), ("449", True), ("450", False)]
)
def test_a_stated_value_is_the_result_or_that_cut_to_the_digits_printed(stated: str, bears: bool) -> None:
    parameters = {"rate": Decimal(93), "factor": Decimal("4.83")}
    if bears:
        check_derivation(Form.GENERATION, "high", parameters, cut(Decimal(stated), 9))
    else:
        with pytest.raises(ValueError, match=r"the parameters give 449\.19 and not 450"):
            check_derivation(Form.GENERATION, "high", parameters, cut(Decimal(stated), 9))


@pytest.mark.parametrize("stated", ["448", "449.2", "449.191", "440", "0"])
def test_neither_more_nor_another_number_is_borne_out(stated: str) -> None:
    with pytest.raises(ValueError, match="the parameters give"):
        check_derivation(
            Form.GENERATION, "high", {"rate": Decimal(93), "factor": Decimal("4.83")}, cut(Decimal(stated), 9)
        )


@given(derived(), st.integers(0, 9))
def test_a_value_cut_anywhere_is_borne_out_and_one_step_more_is_not(
    case: tuple[Form, dict[str, Decimal]], places: int
) -> None:
    form, parameters = case
    step = 10 ** (9 - places)
    stated = cut(saved(form, Decimal(1), parameters), places) * step
    check_derivation(form, "mid", parameters, stated)
    with pytest.raises(ValueError, match="the parameters give"):
        check_derivation(form, "mid", parameters, stated + step)


numbers = st.integers(-(10**15), 10**15).flatmap(
    lambda scaled: st.integers(0, 12).map(lambda places: Decimal(scaled).scaleb(-places))
)
names = st.sampled_from(["factor", "baseline", "project", "rate", "uptake", "production"])
derivations = st.dictionaries(
    st.sampled_from(list(VALUES)), st.dictionaries(names, numbers, min_size=1, max_size=3)
)


@given(derivations)
def test_a_derivation_survives_being_written_and_read(derivation: dict[str, dict[str, Decimal]]) -> None:
    text = write_derivation(derivation)
    assert read_derivation(text) == derivation
    assert write_derivation(read_derivation(text)) == text


def test_a_derivation_is_read_however_it_is_spaced() -> None:
    spaced = read_derivation(" nox:baseline=1,project = 2 ;  high : rate=93 , factor=4.830;")
    assert write_derivation(spaced) == "high: rate=93, factor=4.83; nox: baseline=1, project=2"
    assert read_derivation("") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rate=93", "is not one of: low, mid, high, nox"),
        ("best: rate=93", "'best' is not one of: low, mid, high"),
        ("high: rate=93; high: rate=94", "high appears twice"),
        ("high: rate=93, rate=94", "'rate=94' is not written name=number, once each"),
        ("high:", "'' is not written name=number"),
        ("high: rate 93", "'rate 93' is not written name=number"),
        ("high: rate=93 g", "'93 g' is not a number"),
        ("high: rate=1e3", "'1e3' is not a number"),
        ("high: rate=NaN", "'NaN' is not a number"),
        ("high: rate=", "'' is not a number"),
        ("high: rate=.5", "is not a number"),
        ("high: rate=5.", "is not a number"),
        ("high: rate=９３", "is not a number"),
        (f"high: rate={'9' * 31}", "is not a number"),
    ],
)
def test_what_is_no_derivation_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_derivation(text)


@given(numbers)
def test_a_number_is_written_without_exponent_and_read_back(number: Decimal) -> None:
    assert read_number(plain(number)) == number
    assert "E" not in plain(number)
