"""The sum shown: every number with its unit in both languages, and what is unknown said to be unknown."""

import csv
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from activities.catalogue import PACKAGE_DATA, ActionKind
from activities.quantify.calculation import quantify
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.quantify.forms import Form
from activities.quantify.methodologies import FilingStatus, Methodology
from activities.quantify.traces import LINES, Trace, explain, trace_of
from tanpuhui.i18n import UNITS

GRAM = 10**9


def factor(
    unit: str, low: str, mid: str | None = None, high: str | None = None, **more: Any
) -> FactorVersion:
    """A version whose values are given in grams."""
    grams = [Decimal(value) for value in (low, mid or low, high or mid or low)]
    low_ng, mid_ng, high_ng = (int(value * GRAM) for value in grams)
    told = {"confidence": "B", "scenario_kind": "行为场景", "city_credited": False, "source": "a source"}
    told |= {"source_year": 2024, "region": "China", "baseline": "a baseline"}
    values: Any = {**told, "id": "kind@1", "unit": unit, **more}
    return FactorVersion(co2e_low_ng=low_ng, co2e_mid_ng=mid_ng, co2e_high_ng=high_ng, **values)


def methodology(form: Form, **more: Any) -> Methodology:
    return Methodology(
        code="rule", title_zh="规则", title_en="Rule", form=form, filing_status=FilingStatus.NOT_FILED, **more
    )


def trace(version: FactorVersion, quantity_milli: int, form: Form | None = None) -> Trace:
    kind = ActionKind(code="kind", name_zh="行为", name_en="Action", unit=version.unit)
    return trace_of(kind, quantity_milli, version, methodology(form) if form else None)


BIKE = factor("km", "48.7", nox_ng=48_748_700, pm25_ng=2_464_220, voc_ng=66_037_200, co_ng=570_277_000)
PLATE = factor("meal", "144", "340", "449", derivation="high: rate=93, factor=4.83")
WALK = factor("step", "0.0164", "0.0164", "0.02")


# --- every number -------------------------------------------------------------------------------------------


def test_each_number_comes_with_its_units_and_what_is_unknown_is_said() -> None:
    steps = {step.name: step for step in explain(2500, BIKE)}
    assert steps["co2e_mg"].en == "CO2e (low) = 2.5 km × 48.7 g/km = 121.75 g, rounded down to 121750 mg"
    assert steps["nox_ug"].zh == (
        "氮氧化物 NOx = 2.5 公里 × 48.7487 毫克/公里 = 121.87175 毫克，向下取整记 121871 微克"
    )
    assert steps["so2_ug"].value is None
    assert steps["so2_ug"].zh == "二氧化硫 SO2：暂无因子"
    assert steps["so2_ug"].en == "SO2: no factor known"


def test_an_added_emission_is_shown_with_its_sign_and_rounded_away_from_zero() -> None:
    (step,) = [step for step in explain(500, factor("km", "1", so2_ng=-1_000_001)) if step.name == "so2_ug"]
    assert step.en == "SO2 = 0.5 km × -1.000001 mg/km = -0.5000005 mg, rounded down to -501 µg"


def test_units_stand_in_the_plural_where_english_wants_it_and_a_strange_unit_stays() -> None:
    assert explain(3000, PLATE)[0].en.startswith("CO2e (low) = 3 meals × 144 g/meal")
    assert explain(3000, factor("plate", "1"))[0].zh.startswith("减排量（低） = 3 plate × 1 克/plate")


quantities = st.integers(1, 999_999_999_999)
nanograms = st.integers(0, 9 * 10**15)


@given(quantities, st.lists(nanograms, min_size=3, max_size=3), st.none() | st.integers(-(10**12), 10**12))
def test_the_trace_tells_what_was_computed(quantity: int, three: list[int], nox: int | None) -> None:
    low, mid, high = sorted(three)
    version = FactorVersion(
        id="k@1", unit="kg", co2e_low_ng=low, co2e_mid_ng=mid, co2e_high_ng=high, nox_ng=nox
    )
    result = quantify(quantity, version)
    steps = explain(quantity, version)
    assert [step.name for step in steps] == [line.field for line in LINES]
    assert [step.value for step in steps] == [getattr(result, step.name) for step in steps]
    exact = Decimal(quantity) * low / 1000 / GRAM
    shown = re.findall(r"= ([0-9.]+) g, rounded down to ([0-9]+) mg", steps[0].en)
    assert [(Decimal(grams), int(mg)) for grams, mg in shown] == [(exact, result.co2e_mg)]


# --- where a factor comes from ------------------------------------------------------------------------------


def test_a_derived_value_shows_its_parameters_with_names_and_units() -> None:
    (derived,) = trace(PLATE, 1000, Form.GENERATION).derivations
    assert derived.zh == (
        "减排量（高）的因子 = 每单位产生量 93 克/餐 × 排放因子 4.83 千克/千克 = 449.19 克/餐，记 449 克/餐"
    )
    assert derived.en.endswith("93 g/meal × emission factor 4.83 kg/kg = 449.19 g/meal, stated as 449 g/meal")
    rate, emission = derived.parameters
    assert (rate["name"], rate["symbol"], rate["zh"], rate["value"], rate["unit"]) == (
        *("rate", "w", "每单位产生量", "93", "g/meal"),
    )
    assert (emission["symbol"], emission["zh"], emission["unit"]) == ("f", "排放因子", "kg/kg")


def test_pollutants_have_parameters_of_their_own_units() -> None:
    told = "low: baseline=271.8, project=61.4; nox: baseline=0.5, project=0.75"
    low, nox = trace(
        factor("km", "210.4", nox_ng=-250_000, derivation=told), 1000, Form.DIFFERENCE
    ).derivations
    assert low.zh.endswith("271.8 克/公里 − 项目因子 61.4 克/公里 = 210.4 克/公里，记 210.4 克/公里")
    assert nox.zh.endswith(
        "基准因子 0.5 毫克/公里 − 项目因子 0.75 毫克/公里 = -0.25 毫克/公里，记 -0.25 毫克/公里"
    )


def test_a_share_has_no_unit() -> None:
    version = factor("kg", "1800", derivation="low: production=3600, rate=0.5")
    (derived,) = trace(version, 1000, Form.REPLACEMENT).derivations
    assert derived.zh.startswith("减排量（低）的因子 = 生产排放 3600 克/千克 × 替代率 0.5 = 1800 克/千克")


def test_the_formula_is_that_of_the_methodology_or_plain() -> None:
    assert trace(PLATE, 1000, Form.GENERATION).formula == "R = Q × w × f"
    assert trace(PLATE, 1000, Form.GENERATION).form_title == "数量 × 产生量 × 排放因子"
    plain = trace(PLATE, 1000)
    assert (plain.formula, plain.form_title, plain.derivations) == ("R = Q × f", "", ())


# --- at a glance --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "form", "quantity_milli", "zh", "en"),
    [
        (
            PLATE,
            Form.GENERATION,
            1000,
            "1 餐 × 144 克/餐 = 144 克；较高值：93 克 × 4.83 千克/千克 ≈ 449 克",
            "1 meal × 144 g/meal = 144 g; high: 93 g × 4.83 kg/kg ≈ 449 g",
        ),
        (
            PLATE,
            Form.GENERATION,
            3000,
            "3 餐 × 144 克/餐 = 432 克；较高值：3 餐 × 93 克/餐 × 4.83 千克/千克 ≈ 1.34 千克",
            "3 meals × 144 g/meal = 432 g; high: 3 meals × 93 g/meal × 4.83 kg/kg ≈ 1.34 kg",
        ),
        (PLATE, None, 1000, "1 餐 × 144 克/餐 = 144 克", "1 meal × 144 g/meal = 144 g"),
        (WALK, None, 7_250_000, "7,250 步 × 0.0164 克/步 ≈ 118 克", "7,250 steps × 0.0164 g/step ≈ 118 g"),
        (WALK, None, 1000, "1 步 × 0.0164 克/步 ≈ 16 毫克", "1 step × 0.0164 g/step ≈ 16 mg"),
        (
            factor("km", "210.4", derivation="low: baseline=271.8, project=61.4"),
            Form.DIFFERENCE,
            22_000,
            "22 公里 × (271.8 克/公里 − 61.4 克/公里) ≈ 4.62 千克",
            "22 km × (271.8 g/km − 61.4 g/km) ≈ 4.62 kg",
        ),
        (
            factor("day", "4630", derivation="low: baseline=5980, project=1350"),
            Form.DIFFERENCE,
            1000,
            "5.98 千克 − 1.35 千克 = 4.63 千克",
            "5.98 kg − 1.35 kg = 4.63 kg",
        ),
        (
            factor("kg", "1800", derivation="low: production=3600, rate=0.5"),
            Form.REPLACEMENT,
            2500,
            "2.5 千克 × 3.6 千克/千克 × 0.5 = 4.5 千克",
            "2.5 kg × 3.6 kg/kg × 0.5 = 4.5 kg",
        ),
        (
            factor("tree-year", "1400", derivation="low: uptake=1400"),
            Form.SURVIVAL,
            3000,
            "3 棵·年 × 1.4 千克/棵·年 = 4.2 千克",
            "3 tree-years × 1.4 kg/tree-year = 4.2 kg",
        ),
        (factor("time", "0"), None, 1000, "1 次 × 0 克/次 = 0 克", "1 time × 0 g/time = 0 g"),
        (factor("time", "0.0004"), None, 1000, "1 次 × 0.0004 克/次 ≈ 0 克", "1 time × 0.0004 g/time ≈ 0 g"),
    ],
)
def test_one_line_says_it(
    version: FactorVersion, form: Form | None, quantity_milli: int, zh: str, en: str
) -> None:
    shown = trace(version, quantity_milli, form)
    assert (shown.glance_zh, shown.glance_en) == (zh, en)


@given(quantities, nanograms)
def test_the_glance_never_claims_more_than_was_recorded(quantity: int, per_unit: int) -> None:
    version = FactorVersion(
        id="k@1", unit="kg", co2e_low_ng=per_unit, co2e_mid_ng=per_unit, co2e_high_ng=per_unit
    )
    shown = trace(version, quantity)
    match = re.fullmatch(r".* [=≈] ([0-9.,]+) (t|kg|g|mg)", shown.glance_en)
    assert match
    size = {"t": 10**9, "kg": 10**6, "g": 1000, "mg": 1}[match[2]]
    told = Decimal(match[1].replace(",", "")) * size
    assert told <= shown.reduction.co2e_mg
    assert told >= shown.reduction.co2e_mg * Decimal("0.99")


# --- the document -------------------------------------------------------------------------------------------


def test_the_document_is_json_and_holds_what_the_command_promises() -> None:
    told = json.loads(json.dumps(trace(PLATE, 1000, Form.GENERATION).document()))
    assert told.keys() >= {"kind", "name_zh", "name_en", "quantity", "unit", "reduction", "steps", "factor"}
    assert (told["unit"], told["unit_zh"], told["unit_en"]) == ("meal", "餐", "meal")
    assert told["reduction"]["co2e_mg"] == 144_000
    assert told["methodology"]["form"] == "generation"
    assert told["derivation"][0]["result"] == "449.19"
    assert (told["factor"]["valid_from"], told["factor"]["remark_zh"]) == (None, "")


def test_what_the_city_credits_is_said_with_the_factor() -> None:
    told = trace(factor("km", "46.7", city_credited=True), 1000).document()["factor"]
    assert told["city_credited"]
    assert told["remark_zh"] == "减排量由市级方法学另行核算，本区给积分。"
    assert "the district gives points" in told["remark_en"]


# --- the reference data -------------------------------------------------------------------------------------


def reference_traces() -> Iterator[Trace]:
    """A trace of every factor that comes with the platform."""
    with (PACKAGE_DATA / "methodologies.csv").open(encoding="utf-8", newline="") as lines:
        rules = {
            kind: methodology(Form(row["form"]))
            for row in csv.DictReader(lines)
            for kind in row["kinds"].split()
        }
    with (PACKAGE_DATA / "factors.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            pollutants = {
                f"{name}_ng": int(Decimal(row[f"{name}_mg"]) * 10**6)
                for name in POLLUTANTS
                if row[f"{name}_mg"]
            }
            version = factor(
                row["unit"],
                *(row[f"co2e_g_{name}"] for name in ("low", "mid", "high")),
                derivation=row["derivation"],
                **pollutants,
            )
            kind = ActionKind(
                code=row["action_code"], name_zh=row["name_zh"], name_en=row["name_en"], unit=row["unit"]
            )
            yield trace_of(kind, 2500, version, rules[kind.code])


def test_every_unit_of_the_reference_data_has_a_name_in_both_languages() -> None:
    for shown in reference_traces():
        assert shown.factor.unit in UNITS
        assert not re.search("[a-z]", re.sub("CO2e|NOx|PM2.5|VOCs|SO2|CO", "", shown.glance_zh))


def test_english_lines_hold_no_chinese_and_chinese_lines_no_english() -> None:
    for shown in reference_traces():
        told = shown.document()
        english = [shown.glance_en, told["methodology"]["form_en"], told["methodology"]["filing_status_en"]]
        english += [step.en for step in shown.steps] + [derived.en for derived in shown.derivations]
        assert [text for text in english if re.search("[\u4e00-\u9fff]", text)] == []
        chinese = [step.zh for step in shown.steps] + [derived.zh for derived in shown.derivations]
        assert [text for text in chinese if re.search("[a-z]{3}", text)] == []
