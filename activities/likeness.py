"""What grams are like: how long a lamp burns on the electricity that emits as much. No figure of our own is needed.

The published factor of a kilowatt-hour of grid electricity (that of `GRID`, in the version valid on the day) says how
much a kilowatt-hour emits; that a lamp of 10 watts takes 0.01 kWh an hour is what a watt means:

    seconds = CO2e / (factor per kWh) x 3 600 000 J/kWh / 10 W

    144 g / (420 g/kWh) = 0.342 kWh;  0.342 kWh / 0.01 kW = 34.2 h  ->  34 hours

Divided by the high value of the factor and cut, never rounded up: it claims no more than was saved.
"""

from dataclasses import dataclass

from activities.quantify.factors import FactorVersion
from tanpuhui.i18n import NN_

#: The kind whose factor states what a kilowatt-hour of the district's grid emits.
GRID = "household_pv"

#: Watts of the lamp.
LAMP_W = 10

_JOULES_PER_KWH = 3_600_000
_NG_PER_MG = 1_000_000

DURATIONS = {"second": NN_("秒"), "minute": NN_("分钟"), "hour": NN_("小时"), "day": NN_("天")}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

#: A picture of more lamps than these is counted by nobody.
MOST_LAMPS = 60
#: How many days a lamp of the picture stands for, where a day each would be too many.
_DAYS_EACH = (1, 30, 365)


@dataclass(frozen=True, slots=True)
class Light:
    """How long a lamp burns, cut to whole seconds, and the factor version of the electricity it takes."""

    seconds: int
    grid: FactorVersion

    @property
    def unit(self) -> str:
        """The duration to say it in, a key of `DURATIONS`: the smallest of which there are at most `MOST_LAMPS`."""
        fitting = (unit for unit, size in _SECONDS.items() if self.seconds // size <= MOST_LAMPS)
        return next(fitting, "day")

    @property
    def tenths(self) -> int:
        """Tenths of that duration; whole ones from ten on, where a tenth says nothing."""
        tenths = self.seconds * 10 // _SECONDS[self.unit]
        return tenths if tenths < 100 else tenths // 10 * 10

    @property
    def each(self) -> int:
        """How many of that duration one lamp of the picture stands for."""
        whole = self.seconds // _SECONDS[self.unit]
        each = next((days for days in _DAYS_EACH if whole // days <= MOST_LAMPS), _DAYS_EACH[-1])
        while whole // each > MOST_LAMPS:
            each *= 10
        return each

    @property
    def lamps(self) -> int:
        """The lamps of the picture; none for less than a second."""
        return self.seconds // _SECONDS[self.unit] // self.each


def light(co2e_mg: int, grid: FactorVersion | None) -> Light | None:
    """How long the lamp burns for `co2e_mg` milligrams; None for none, and without a factor of electricity."""
    if grid is None or grid.unit != "kWh" or grid.co2e_high_ng <= 0 or co2e_mg <= 0:
        return None
    seconds = co2e_mg * _NG_PER_MG * _JOULES_PER_KWH // LAMP_W // grid.co2e_high_ng
    return Light(seconds, grid)
