"""The words of a page, each with the language it stands in: what people read, and what is read out to them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

from sqlmodel import SQLModel, select

from activities.campaign_templates import shelf
from activities.campaigns import CampaignVersion
from tanpuhui.rooms import House
from tanpuhui.web import formatting
from tanpuhui.web.formatting import set_right
from tests.tables import contents

_VOID = {"meta", "link", "input", "br", "img", "hr", "rect", "path", "circle", "line"}
_SPOKEN = ("aria-label", "title", "alt", "placeholder")
_NO_WORDS = {"script", "style", "code", "textarea"}


class Words(HTMLParser):
    """Collects the words of one page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._open: list[tuple[str, str, bool]] = []
        self._found: list[tuple[str, str]] = []
        self.feed(page)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """(language, words), in the order of the page."""
        return iter(self._found)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the language, and what is spoken of the element."""
        given = {name: text or "" for name, text in attrs}
        _, language, silent = self._open[-1] if self._open else ("", "", False)
        language = given.get("lang") or language
        for name in _SPOKEN:
            self._note(language, given.get(name, ""))
        if tag not in _VOID:
            self._open.append((tag, language, silent or tag in _NO_WORDS))

    def handle_endtag(self, tag: str) -> None:
        """Close the element, and whatever was left open in it."""
        while tag not in _VOID and self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Note what is read."""
        if self._open and not self._open[-1][2]:
            self._note(self._open[-1][1], data)

    def _note(self, language: str, text: str) -> None:
        words = " ".join(text.split())
        if words:
            self._found.append((language, words))


_HAN = "\u4e00-\u9fff"
_SIGNS_OF_A_SLIP = {
    "en": rf"[{_HAN}\u3000-\u303f\uff00-\uffef]|CO2",
    # words of another language, the punctuation of another script, a 2 that stands too high
    "zh-Hans": rf"[A-Za-z]{{3,}}[ ,]+[A-Za-z]{{2,}}|[{_HAN}][,;:?!\")]|[,;:?!\"(][{_HAN}]|CO2",
}


def slips(page: str, names: list[str]) -> list[str]:
    """Words on a page that are not in its language or not set as that language is; `names` stay as they are."""
    found = []
    for language, text in Words(page):
        words = text
        for name in names:
            words = words.replace(name, " · ") if name in words else words
        if re.search(_SIGNS_OF_A_SLIP[language], words):
            found.append(text)
    return found


def names_of(house: House) -> list[str]:
    """Texts that are data and stay in the language they were written in, the longest first."""
    columns = {table.name: [column.name for column in table.c] for table in SQLModel.metadata.sorted_tables}
    found = set()
    for table, rows in contents(house).items():
        for row in rows.values():
            for name, value in zip(["", *columns[table]], row, strict=True):
                if isinstance(value, str) and name in _NAMES:
                    found |= {value.strip(), *value.strip().splitlines()}
                elif name == "prizes":
                    found |= {prize["name"] for prize in value}
    with house.db.reading_session() as session:
        found |= {version.read().words for version in session.exec(select(CampaignVersion))}
        found |= {one.template.author for one in shelf(session)}
    for text in list(found):  # also as they are read where a part of them is marked as of another language
        for _tongue, foreign in formatting._FOREIGN.values():
            found |= {part.strip() for part in foreign.split(text) if len(part.strip()) >= 6}
    return sorted(filter(None, {*found, *map(set_right, found)}), key=len, reverse=True)


#: Columns with names of places, people and documents, and with what people wrote.
_NAMES = {
    "name",
    "text",
    "title",
    "label",
    "source",
    "city_reference",
    "sources",
    "title_zh",
    "funder",
    "words",
    "collect_at",
    "nickname",
    "hours",
    "reason",
    "region",
    "note",
    "baseline",
    "prize",
    "purpose",
    "witness",
    "cancel_reason",
    "decided_because",
    "revoked_because",
}
