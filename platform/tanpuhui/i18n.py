"""Marking of texts, and texts in a language of one's choice.

Chinese is the source language; the catalogues of translations are the one place where English stands. Pages
translate at the last moment into the language of the request; what shows both languages at once asks here.
"""

import gettext
from functools import cache
from pathlib import Path

TRANSLATIONS = Path(__file__).parent / "web" / "translations"


def N_(text: str) -> str:  # noqa: N802 - the name gettext tools look for
    """Mark `text` for translation and return it unchanged."""
    return text


def NN_(text: str) -> str:  # noqa: N802 - the name the extraction looks for
    """Mark a text whose translation changes with the number beside it, and return it unchanged."""
    return text


#: The units in which the catalogue counts, and the tree, whose years it counts.
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
    "tree": NN_("棵"),
}

#: The units in which masses are shown, the largest first.
MASSES = {
    "t": N_("吨"),
    "kg": N_("千克"),
    "g": N_("克"),
    "mg": N_("毫克"),
    "µg": N_("微克"),
    "ng": N_("纳克"),
}


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("messages", TRANSLATIONS, [language], fallback=True)


def translated(text: str, language: str) -> str:
    """`text` in ``zh`` or ``en``; one that has no translation stays as it is."""
    return _catalogue(language).gettext(text) if text else ""


def unit_name(code: str, language: str, number: int = 1) -> str:
    """A unit beside `number` in ``zh`` or ``en``; a unit of a district's own stays as it is."""
    if code in UNITS:
        return _catalogue(language).ngettext(UNITS[code], UNITS[code], number)
    return translated(MASSES.get(code, code), language)
