"""Published sums, reproduced to the printed digits. Each test names its source; none is made up.

A printed number is the result rounded to the digits printed; which way the source rounded is said where it matters.
"""

import csv
from decimal import Decimal
from fractions import Fraction

import pytest
from click.testing import CliRunner

from activities.catalogue import PACKAGE_DATA
from activities.commands import quantify_command
from activities.quantify.by_hand import sum_by_hand
from activities.quantify.calculation import parse_quantity, quantify
from activities.quantify.factors import FactorVersion
from activities.quantify.forms import Form, cut, saved, tree_years


def shipped(kind: str) -> dict[str, str]:
    """The row of a kind in the factors that come with the platform."""
    with (PACKAGE_DATA / "factors.csv").open(encoding="utf-8", newline="") as lines:
        return next(row for row in csv.DictReader(lines) if row["action_code"] == kind)


def per_unit(grams: Decimal) -> FactorVersion:
    """A factor version of `grams` for one unit."""
    ng = cut(grams, 9)
    return FactorVersion(id="kind@1", co2e_low_ng=ng, co2e_mid_ng=ng, co2e_high_ng=ng)


def printed(*words: str) -> str:
    """What `tanpuhui quantify` prints in its first line, after the formula."""
    result = CliRunner().invoke(quantify_command, words, obj=None)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[0].partition(" = ")[2]


# --- quantity x factor --------------------------------------------------------------------------------------


def test_hubei_7250_steps() -> None:
    """A scheme of Hubei (data/README.md): 7,250 steps x 0.02 g = 145 g. Wuhan's 碳碳星球 has the same 0.02 g a step."""
    grams = saved(Form.FACTOR, Decimal(7250), {"factor": Decimal("0.02")})
    assert grams == 145
    assert quantify(parse_quantity("7250"), per_unit(Decimal("0.02"))).co2e_mg == 145_000
    assert printed("--factor", "0.02 g/step", "7,250 steps") == "145 g"
    assert shipped("walk")["co2e_g_high"] == "0.02"


def test_luzhou_500_steps() -> None:
    """泸州绿芽积分 (source of the factor of walking): 8.2 g for 500 steps, that is 0.0164 g a step."""
    low = Decimal(shipped("walk")["co2e_g_low"])
    assert low == Decimal("0.0164")
    assert quantify(parse_quantity(500), per_unit(low)).co2e_mg == 8_200
    assert printed("--factor", "0.0164 g/step", "500 steps") == "8.2 g"


def test_a_pv_plant_of_one_megawatt() -> None:
    """A published PV example: 1 MW x 1,100 h x 0.42 t/MWh = 462 t a year.

    The source misprints the unit of its result. The units leave tonnes, and no other unit could come out. The grid factor
    is Shanghai's (沪环气〔2022〕34号), and the one of our own kWh: 420 g.
    """
    assert printed("--factor", "1,100 h", "--factor", "0.42 t/MWh", "1 MW") == "462 t"
    assert sum_by_hand("1 MW", ["1100 h", "420 g/kWh"]).grams == 462 * 10**6
    assert shipped("household_pv")["co2e_g_low"] == "420"
    with pytest.raises(ValueError, match="h does not cancel"):
        sum_by_hand("1 MWh", ["1100 h", "0.42 t/MWh"])


def test_a_pv_meter_of_38552_kilowatt_hours() -> None:
    """A published meter reading: 38,552.6 kWh x 0.997 kg/kWh = 38.4 t."""
    grams = saved(Form.FACTOR, Decimal("38552.6"), {"factor": Decimal(997)})
    assert grams == Decimal("38436942.2")
    assert quantify(parse_quantity("38552.6"), per_unit(Decimal(997))).co2e_mg == 38_436_942_200
    assert printed("--factor", "0.997 kg/kWh", "38,552.6 kWh") == "38,436.9422 kg = 38.4369422 t ≈ 38.4 t"


def test_a_carton_given_back() -> None:
    """菜鸟 (科技日报 2022): 37 g for a carton used again."""
    assert shipped("parcel_box_return")["co2e_g_low"] == "37"
    assert quantify(parse_quantity(10), per_unit(Decimal(37))).co2e_mg == 370_000


# --- quantity x (baseline - project) ------------------------------------------------------------------------


def test_beijing_metro_in_place_of_a_car_for_22_km() -> None:
    """Beijing 2019 (data/README.md): 22 km a day by metro in place of a car, 5.98 - 1.35 = 4.63 kg CO2."""
    day = {"baseline": Decimal(5980), "project": Decimal(1350)}
    grams = saved(Form.DIFFERENCE, Decimal(1), day)
    assert grams == 4630
    assert quantify(parse_quantity(1), per_unit(grams)).co2e_mg == 4_630_000
    assert printed("--baseline", "5.98 kg/day", "--project", "1.35 kg/day", "1 day") == "4.63 kg"


def test_beijing_metro_by_the_kilometre() -> None:
    """The same by factors for a kilometre, as a record would be computed: the printed digits come back."""
    car, metro = (Fraction(kilograms) * 1000 / 22 for kilograms in ("5.98", "1.35"))
    rates = {
        name: Decimal(int(rate * 10**9)).scaleb(-9)
        for name, rate in {"baseline": car, "project": metro}.items()
    }
    recorded = quantify(parse_quantity(22), per_unit(saved(Form.DIFFERENCE, Decimal(1), rates))).co2e_mg
    assert f"{Decimal(recorded).scaleb(-6):.2f}" == "4.63"


# --- quantity x generation x factor -------------------------------------------------------------------------


def test_a_clean_plate() -> None:
    """北京绿色生活季 (high value of our clean plate): 93 g of food x 4.83 kg/kg = 449 g, printed without decimals."""
    grams = saved(Form.GENERATION, Decimal(1), {"rate": Decimal(93), "factor": Decimal("4.83")})
    assert grams == Decimal("449.19")
    assert cut(grams, 0) == 449 == int(shipped("clean_plate")["co2e_g_high"])
    assert printed("--factor", "4.83 kg/kg", "93 g") == "449.19 g ≈ 449 g"
    assert printed("--factor", "4.83 千克/千克", "93 克") == "449.19 g ≈ 449 g"
    assert printed("--factor", "93 g/meal", "--factor", "4.83 kg/kg", "1 meal") == "449.19 g ≈ 449 g"


@pytest.mark.parametrize(
    ("pollutant", "per_kg"), [("nox", "1.001"), ("pm25", "0.0506"), ("voc", "1.356"), ("co", "11.71")]
)
def test_pollutants_of_a_shared_bike(pollutant: str, per_kg: str) -> None:
    """李文翔 et al. 2021 (Mobike Shanghai 2016): g of a pollutant for each kg of CO2 avoided, at the 48.7 g/km of CEC."""
    row = shipped("bike_trip")
    parameters = {"rate": Decimal(row["co2e_g_low"]), "factor": Decimal(per_kg)}
    milligrams = saved(Form.GENERATION, Decimal(1), parameters)
    assert milligrams == Decimal(row[f"{pollutant}_mg"])
    assert sum_by_hand("1 km", ["48.7 g/km", f"{per_kg} g/kg"]).grams * 1000 == Fraction(milligrams)


# --- tree-years x uptake ------------------------------------------------------------------------------------


def test_trees_alive_at_the_check() -> None:
    """The spread of published values, 1.4-25 kg for a tree and year (source of the factor of planting)."""
    row = shipped("tree_planting")
    for column, kilograms in (("co2e_g_low", "1.4"), ("co2e_g_high", "25")):
        one = saved(Form.SURVIVAL, tree_years(1, 1), {"uptake": Decimal(row[column])})
        assert one == Decimal(kilograms) * 1000
    planted, alive = 10, 7
    recorded = quantify(parse_quantity(tree_years(alive, 1)), per_unit(Decimal(row["co2e_g_low"]))).co2e_mg
    assert recorded == 7 * 1_400_000 < planted * 1_400_000
    assert printed("--factor", "1.4 kg/tree-year", "7 tree-years") == "9.8 kg"


# --- quantity x production x replacement --------------------------------------------------------------------


@pytest.mark.parametrize(("kilograms", "column"), [("1.28", "co2e_g_low"), ("3.6", "co2e_g_high")])
def test_clothing_given_on(kilograms: str, column: str) -> None:
    """绿普惠/泸州 1.28 kg/kg; BIR/University of Copenhagen 2008 3.6 kg/kg: where every piece replaces a new one."""
    parameters = {"production": Decimal(kilograms) * 1000, "rate": Decimal(1)}
    assert saved(Form.REPLACEMENT, Decimal(1), parameters) == Decimal(shipped("clothing_reuse")[column])
    assert printed("--factor", f"{kilograms} kg/kg", "--factor", "100%", "1 kg") == f"{kilograms} kg"


# --- units --------------------------------------------------------------------------------------------------


def test_warm_short_tons() -> None:
    """US EPA WARM states tonnes of CO2e for a short ton; our recycling factors say "converted with 1.10231".

    A short ton is 907.18474 kg exactly, so a tonne is 1.1023113... short tons: 1.10231 to the digits printed.
    """
    exact = sum_by_hand("1 t", ["1 t/short ton"]).grams / 10**6
    assert cut(Decimal(exact.numerator) / Decimal(exact.denominator), 5) == 110_231
    assert printed("--factor", "1 t/short ton", "1 t").startswith("1.10231")
    assert "short ton converted with 1.10231" in shipped("recycle_paper")["source"]
