"""Numbers, times and names as people read them, in the language of the page.

Amounts are cut, not rounded up: a page never claims more than was recorded.
"""

import re
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from flask import Flask
from flask_babel import get_locale, gettext, ngettext
from markupsafe import Markup, escape

from tanpuhui import clock
from tanpuhui.i18n import N_


class Amount(NamedTuple):
    """A number and its unit, both ready to be read; apart, because the number is set larger."""

    number: str
    unit: str

    def __str__(self) -> str:
        """Number and unit with a space that does not break."""
        return f"{self.number}\N{NO-BREAK SPACE}{self.unit}" if self.unit else self.number


class Named(Protocol):
    """Reference data that carries its name in both languages."""

    @property
    def name_zh(self) -> str:
        """The Chinese name."""

    @property
    def name_en(self) -> str:
        """The English name."""


def NN_(text: str) -> str:  # noqa: N802 - the name the extraction looks for
    """Mark a text whose translation changes with the number beside it, and return it unchanged."""
    return text


#: The units in which the catalogue counts.
UNITS = {
    "meal": NN_("餐"),
    "order": NN_("单"),
    "time": NN_("次"),
    "kg": NN_("千克"),
    "box": NN_("个"),
    "km": NN_("公里"),
    "step": NN_("步"),
    "kWh": NN_("千瓦时"),
    "tree-year": NN_("棵·年"),
}

POLLUTANT_NAMES = {
    "nox": Markup("NO<sub>x</sub>"),
    "pm25": Markup("PM<sub>2.5</sub>"),
    "voc": Markup("VOCs"),
    "so2": Markup("SO<sub>2</sub>"),
    "co": Markup("CO"),
}

_MASS_MG = ((10**9, N_("吨")), (10**6, N_("千克")), (10**3, N_("克")), (1, N_("毫克")))
_MASS_UG = ((10**9, N_("千克")), (10**6, N_("克")), (10**3, N_("毫克")), (1, N_("微克")))
_MASS_NG = ((10**9, N_("克")), (10**6, N_("毫克")), (10**3, N_("微克")), (1, N_("纳克")))


def language() -> str:
    """``zh`` or ``en``: the language of the page."""
    locale = get_locale()
    return "en" if locale is not None and locale.language == "en" else "zh"


def _decimal(value: Decimal | int, places: int = 0, *, fixed: bool = False) -> str:
    """`value` cut to `places`; `fixed` keeps zeros at the end, so that the numbers of a column line up."""
    cut = Decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN)
    pattern = f"#,##0.{'0' * places}" if fixed and cut else "#,##0.###"
    return format_decimal(cut, format=pattern, locale=language()).replace("-", "\N{MINUS SIGN}")


def _in_largest_unit(amount: int, units: tuple[tuple[int, str], ...]) -> Amount:
    """`amount` with three digits in the largest unit that leaves a whole part."""
    if amount == 0:
        return Amount("0", gettext(units[-2][1]))
    size, unit = next(pair for pair in units if abs(amount) >= pair[0])
    value = Decimal(amount) / size
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return Amount(_decimal(value, places), gettext(unit))


def mass(mg: int) -> Amount:
    """Milligrams: 144000 -> 144 克, 1280000 -> 1.28 千克."""
    return _in_largest_unit(mg, _MASS_MG)


def pollutant_mass(ug: int) -> Amount:
    """Micrograms: 48748 -> 48.7 毫克."""
    return _in_largest_unit(ug, _MASS_UG)


def factor_mass(ng: int) -> Amount:
    """Nanograms, as factors are kept: 144000000000 -> 144 克."""
    return _in_largest_unit(ng, _MASS_NG)


def kilograms(mg: int) -> Amount:
    """Milligrams, always in kilograms, so that the rows of a table compare: 1280000 -> 1.28 千克."""
    return Amount(_decimal(Decimal(mg) / 10**6, 2, fixed=True), gettext("千克"))


def grams_of(ug: int) -> Amount:
    """Micrograms, always in grams: 48748 -> 0.048 克."""
    return Amount(_decimal(Decimal(ug) / 10**6, 3, fixed=True), gettext("克"))


def whole(number: int) -> str:
    """A whole number with its thousands parted."""
    return _decimal(number)


def counted(number: int, unit: str = "") -> Amount:
    """A whole number and a unit that is translated already."""
    return Amount(whole(number), unit)


def signed(number: int) -> str:
    """A whole number with its sign: +10, −10."""
    return f"+{whole(number)}" if number > 0 else whole(number)


def unit_name(code: str, number: int = 1) -> str:
    """A unit of the catalogue in the page's language; a unit of a district's own stays as it is."""
    return ngettext(UNITS[code], UNITS[code], number) if code in UNITS else code


def plain_quantity(milli: int) -> str:
    """Thousandths as a plain decimal, for a form's field: 2500 -> 2.5."""
    return f"{Decimal(milli) / 1000:f}".rstrip("0").rstrip(".") if milli % 1000 else str(milli // 1000)


def quantity(milli: int, unit: str) -> Amount:
    """Thousandths of a unit of the catalogue: 2500, ``kg`` -> 2.5 千克."""
    return Amount(_decimal(Decimal(milli) / 1000, 3), unit_name(unit, 1 if milli == 1000 else 2))


def name_of(named: Named) -> str:
    """The name in the page's language."""
    return named.name_en if language() == "en" else named.name_zh


def day(value: date) -> str:
    """A day: 2026年11月23日."""
    return format_date(value, format="y年M月d日" if language() == "zh" else "d MMM y", locale=language())


def short_day(value: date) -> str:
    """A day within the year: 11月23日."""
    return format_date(value, format="M月d日" if language() == "zh" else "d MMM", locale=language())


def moment(value: datetime) -> str:
    """A moment as the clocks of the district show it: 2026年11月23日 14:05."""
    pattern = "y年M月d日 HH:mm" if language() == "zh" else "d MMM y, HH:mm"
    return format_datetime(clock.local(value), format=pattern, locale=language())


def time_of_day(value: datetime) -> str:
    """Hours and minutes of a moment in the district."""
    return clock.local(value).strftime("%H:%M")


def share(part: int, total: int) -> int:
    """How long a bar is, of 1000; something that is there is never invisible."""
    return 0 if total <= 0 or part <= 0 else max(4, min(1000, part * 1000 // total))


def data_text(text: str) -> str:
    """A text of the reference data, which is English in the files, in the page's language if it is known there."""
    return gettext(text) if text else ""


def prose(text: str, level: int = 2) -> Markup:
    """The little Markdown of our own texts as HTML: headings (from `level` on), lists, bold, paragraphs."""
    lines = [line.strip() for line in text.splitlines()]
    blocks = []
    for kind, group in groupby((line for line in lines if line), key=_line_kind):
        for line in group if kind != "ul" else [None]:
            if line is None:
                items = Markup("").join(Markup("<li>{}</li>").format(_inline(item[2:])) for item in group)
                blocks.append(Markup("<ul>{}</ul>").format(items))
            else:
                body = _inline(line.lstrip("# "))
                tag = f"h{level + int(kind[1]) - 1}" if kind[0] == "h" else kind
                blocks.append(Markup("<{0}>{1}</{0}>").format(tag, body))
    return Markup("\n").join(blocks)


def _line_kind(line: str) -> str:
    if line.startswith("- "):
        return "ul"
    return "h2" if line.startswith("## ") else "h1" if line.startswith("# ") else "p"


def _inline(text: str) -> Markup:
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))  # noqa: S704 - escaped


_FILTERS: tuple[Any, ...] = (
    mass,
    pollutant_mass,
    factor_mass,
    kilograms,
    grams_of,
    whole,
    counted,
    signed,
    unit_name,
    plain_quantity,
    quantity,
    name_of,
    day,
    short_day,
    moment,
    time_of_day,
    data_text,
    prose,
)


def teach(app: Flask) -> None:
    """Give the templates of `app` these filters, under the names of the functions."""
    for function in _FILTERS:
        app.add_template_filter(function)
    app.add_template_global(share)
    app.add_template_global(language, "page_language")
    app.add_template_global(POLLUTANT_NAMES, "pollutant_names")  # type: ignore[arg-type]
