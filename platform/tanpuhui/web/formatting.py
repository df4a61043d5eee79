"""Numbers, times and names as people read them, in the language of the page.

Amounts are cut, not rounded up: a page never claims more than was recorded.
"""

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from babel.dates import format_date, format_datetime
from flask import Flask, g
from flask_babel import get_domain, get_locale, gettext, ngettext
from markupsafe import Markup, escape

from tanpuhui import clock, i18n, ids
from tanpuhui.i18n import MASSES
from tanpuhui.periods import CalendarPeriod


class Amount(NamedTuple):
    """A number and its unit, both ready to be read; apart, because the number is set larger."""

    number: str
    unit: str

    def __str__(self) -> str:
        """Number and unit with a space that does not break."""
        return f"{self.number}\N{NO-BREAK SPACE}{self.unit}" if self.unit else self.number

    def __html__(self) -> Markup:
        """The same for a page, where the unit may be marked as of another language."""
        return Markup("{}\N{NO-BREAK SPACE}{}").format(*self) if self.unit else escape(self.number)


class Named(Protocol):
    """Reference data that carries its name in both languages."""

    @property
    def name_zh(self) -> str:
        """The Chinese name."""

    @property
    def name_en(self) -> str:
        """The English name."""


POLLUTANT_NAMES = {
    "nox": Markup("NO<sub>x</sub>"),
    "pm25": Markup("PM<sub>2.5</sub>"),
    "voc": Markup("VOCs"),
    "so2": Markup("SO<sub>2</sub>"),
    "co": Markup("CO"),
}

_MASS_MG, _MASS_UG, _MASS_NG = (
    tuple((10**places, MASSES[unit]) for places, unit in zip((9, 6, 3, 0), units, strict=True))
    for units in (("t", "kg", "g", "mg"), ("kg", "g", "mg", "µg"), ("g", "mg", "µg", "ng"))
)


def language() -> str:
    """``zh`` or ``en``: the language of the page."""
    locale = get_locale()
    return "en" if locale is not None and locale.language == "en" else "zh"


def _decimal(value: Decimal | int, places: int = 0) -> str:
    """`value` cut to `places`.

    Both languages part thousands and decimals alike, so Python's own format does; it is some thirty times faster than Babel's, and a
    page of the bureau holds a thousand numbers.
    """
    if isinstance(value, int):
        return f"{value:,}".replace("-", "\N{MINUS SIGN}")
    cut = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN)
    text = f"{cut:,f}" if cut else "0"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def _fixed(amount: int, size: int, places: int) -> str:
    """`amount` in units of `size`, cut to `places` and with zeros at the end, so that the numbers of a column line up."""
    cut = abs(amount) * 10**places // size
    if not cut:
        return "0"
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    return f"{sign}{cut // 10**places:,}.{cut % 10**places:0{places}}"


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
    return Amount(in_kilograms(mg), gettext("千克"))


def in_kilograms(mg: int) -> str:
    """Milligrams in kilograms, for a column whose head says so: 1280000 -> 1.28."""
    return _fixed(mg, 10**6, 2)


def in_grams(ug: int) -> str:
    """Micrograms in grams, for a column whose head says so: 48748 -> 0.048."""
    return _fixed(ug, 10**6, 3)


def tenths(number: int) -> str:
    """A number of tenths: 108 -> 10.8."""
    return f"{number // 10:,}.{number % 10}"


def grams_of(ug: int) -> Amount:
    """Micrograms, always in grams: 48748 -> 0.048 克."""
    return Amount(in_grams(ug), gettext("克"))


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
    return i18n.unit_name(code, language(), number)


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


def day_span(first: date, last: date) -> str:
    """Days of one year, from the first to the last: 2026年6月15日–6月21日; one day is itself."""
    if first == last:
        return day(first)
    return f"{day(first)}–{short_day(last)}" if language() == "zh" else f"{short_day(first)} – {day(last)}"


def calendar_period(period: CalendarPeriod, days: bool = True) -> str:
    """A calendar period: 2026年, 2026年第二季度, 2026年6月, 2026年6月5日, 2026年第23周（6月1日–6月7日), with its `days` or without."""
    if period.unit == "day":
        return day(period.first)
    if period.unit == "week":
        year, number, _ = period.first.isocalendar()
        week = str(gettext("%(year)s年第%(number)s周", year=year, number=number))
        within = f"{short_day(period.first)}–{short_day(period.last)}"
        return str(gettext("%(week)s（%(days)s）", week=week, days=within)) if days else week
    patterns = {"month": ("y年M月", "MMMM y"), "quarter": ("y年QQQQ", "QQQQ y"), "year": ("y年", "y")}
    chinese, english = patterns[period.unit]
    return format_date(period.first, format=chinese if language() == "zh" else english, locale=language())


def short_period(period: CalendarPeriod) -> str:
    """A part of a period that is told above: 6月 of a year, 5日 of a month."""
    chinese, english = {"day": ("M月d日", "d MMM"), "month": ("M月", "MMM")}[period.unit]
    return format_date(period.first, format=chinese if language() == "zh" else english, locale=language())


def weekday(value: date) -> str:
    """The day of the week: 星期五."""
    return format_date(value, format="EEEE", locale=language())


def moment(value: datetime) -> str:
    """A moment as the clocks of the district show it: 2026年11月23日 14:05."""
    pattern = "y年M月d日 HH:mm" if language() == "zh" else "d MMM y, HH:mm"
    return format_datetime(clock.local(value), format=pattern, locale=language())


def time_of_day(value: datetime) -> str:
    """Hours and minutes of a moment in the district."""
    return clock.local(value).strftime("%H:%M")


def ago(value: datetime) -> str:
    """How long ago a moment was: 刚刚, 5 分钟前, 2 小时前, 3 天前."""
    minutes = (clock.now() - value) // timedelta(minutes=1)
    if minutes < 1:
        return str(gettext("刚刚"))
    if minutes < 60:
        return str(ngettext("%(num)s 分钟前", "%(num)s 分钟前", minutes))
    if minutes < 24 * 60:
        return str(ngettext("%(num)s 小时前", "%(num)s 小时前", minutes // 60))
    return str(ngettext("%(num)s 天前", "%(num)s 天前", minutes // (24 * 60)))


def kept(text: object) -> Markup:
    """`text` on one line: an amount with its unit, a date; no line breaks within."""
    return Markup('<span class="nowrap">{}</span>').format(str(text))


_HAN = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef"

#: What is of the other language in a text on a page, by the page's language, and what that language is: Chinese
#: words and what stands between them, or several Latin words in a row.
_FOREIGN = {
    "en": ("zh-Hans", re.compile(rf"([{_HAN}](?:[^\sA-Za-z]*[{_HAN}])?)")),
    "zh": ("en", re.compile(r"([A-Za-z][!-~]*(?: [!-~]+)+)")),
}


def as_written(text: object) -> Markup:
    """Names and words that stay as somebody wrote them, with the language of what is not in the page's marked."""
    if isinstance(text, Markup):
        return text
    tongue, foreign = _FOREIGN[language()]
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(tongue, part) if at % 2 else escape(part)
        for at, part in enumerate(foreign.split(str(text)))
    )


def identifier(text: str) -> Markup:
    """An identifier of the reference data that may be parted after its underscores, and only there."""
    return Markup("_<wbr>").join(text.split("_"))


def span(start: datetime, end: datetime) -> str:
    """From when to when: whole days as days, within a day 2026年6月5日 09:00–17:00, else both moments in full."""
    if time_of_day(start) == time_of_day(end) == "00:00":
        return _days(clock.day_of(start), clock.day_of(end - timedelta(seconds=1)))
    if clock.day_of(start) == clock.day_of(end):
        return f"{moment(start)}–{time_of_day(end)}"
    first, last = (Markup(" ").join(kept(part) for part in moment(at).rsplit(" ", 1)) for at in (start, end))
    return Markup(gettext("%(start)s 至 %(end)s", start=first, end=last))  # noqa: S704 - a translation of dates


def _days(first: date, last: date) -> str:
    if first == last:
        return day(first)
    return Markup(gettext("%(start)s 至 %(end)s", start=kept(day(first)), end=kept(day(last))))  # noqa: S704 - dates


def wait(seconds: int) -> str:
    """How long to wait, as people say it, and never less: 45 -> 45 秒, 600 -> 10 分钟, 7000 -> 2 小时."""
    if seconds < 100:
        return str(ngettext("%(num)s 秒", "%(num)s 秒", seconds))
    minutes = -(-seconds // 60)
    if minutes < 100:
        return str(ngettext("%(num)s 分钟", "%(num)s 分钟", minutes))
    hours = -(-minutes // 60)
    return str(ngettext("%(num)s 小时", "%(num)s 小时", hours))


def said(*sentences: str) -> str:
    """Sentences one after the other: Chinese ones need no space between them."""
    return (" " if language() == "en" else "").join(sentences)


def share(part: int, total: int) -> int:
    """How long a bar is, of 1000; something that is there is never invisible."""
    return 0 if total <= 0 or part <= 0 else max(4, min(1000, part * 1000 // total))


def data_text(text: str) -> str:
    """A text of the reference data, which is English in the files, in the page's language if it is known there."""
    return set_right(gettext(text)) if text else ""


def set_right(text: str) -> str:
    """CO2, CO2e and SO2 in a text of the data, with the 2 where it belongs."""
    return re.sub(r"(?<![\w/.=-])([CS]O)2(?=e?\b)", r"\1₂", text)


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
    in_kilograms,
    in_grams,
    tenths,
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
    day_span,
    calendar_period,
    short_period,
    weekday,
    moment,
    time_of_day,
    ago,
    span,
    kept,
    as_written,
    identifier,
    data_text,
    set_right,
    prose,
)


def _catalogue() -> Any:
    """The translations of the page's language, looked up once a request: a page holds some hundred texts."""
    locale, found = g.get("_catalogue") or (None, None)
    if locale is None or locale is not get_locale():
        locale, found = g._catalogue = get_locale(), get_domain().get_translations()
    return found


def teach(app: Flask) -> None:
    """Give the templates of `app` these filters, under the names of the functions, and its texts their translations."""
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: _catalogue().ugettext(text),
        ngettext=lambda text, plural, number: _catalogue().ungettext(text, plural, number),
        newstyle=True,
    )
    for function in _FILTERS:
        app.add_template_filter(function)
    app.add_template_global(share)
    app.add_template_global(language, "page_language")
    app.add_template_global(ids.new_id, "new_id")
    app.add_template_global(POLLUTANT_NAMES, "pollutant_names")  # type: ignore[arg-type]
