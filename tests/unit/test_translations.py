"""Both languages are whole: every text is translated, and what is compiled is what is written."""

import gettext
import io
import re

import pytest
from babel.messages.catalog import Catalog

from tests import translations

LANGUAGES = pytest.mark.parametrize("language", translations.LANGUAGES)


@LANGUAGES
def test_every_text_is_translated(language: str) -> None:
    assert translations.untranslated(translations.updated(language)) == []


@LANGUAGES
def test_the_catalogue_holds_the_texts_of_today(language: str) -> None:
    """Neither a text that is missing nor one that is gone: run ``python -m tests.translations``."""
    assert {message.id for message in translations.stored(language)} == {
        message.id for message in translations.updated(language)
    }


@LANGUAGES
def test_the_compiled_catalogue_is_not_stale(language: str) -> None:
    compiled = translations.content(translations.compiled(language))
    assert compiled == translations.content(translations.mo(translations.stored(language)))
    assert len(compiled) > 20


@LANGUAGES
def test_the_same_blanks_are_filled_in(language: str) -> None:
    for message in translations.stored(language):
        if message.id:
            originals = [message.id] if isinstance(message.id, str) else message.id
            for text in translations.strings(message.string):
                wanted = set(re.findall(r"%\(\w+\)s", originals[0]))
                found = set(re.findall(r"%\(\w+\)s", text))
                # A singular may leave its number out: "once more".
                assert found == wanted or (len(originals) > 1 and wanted - found == {"%(num)s"}), text


def test_english_is_english() -> None:
    for message in translations.stored("en"):
        if message.id:
            assert not any(
                re.search("[\u4e00-\u9fff]", text) for text in translations.strings(message.string)
            )


def test_the_compiled_catalogue_answers_with_numbers() -> None:
    found = gettext.GNUTranslations(io.BytesIO(translations.compiled("en")))
    assert [found.ngettext("餐", "餐", number) for number in (1, 2)] == ["meal", "meals"]
    assert found.gettext("餐") == "meal"


def test_a_missing_or_doubtful_translation_is_found() -> None:
    catalog = Catalog(locale="en")
    catalog.add("甲")
    catalog.add("乙", "B", flags=["fuzzy"])
    catalog.add(("丙", "丙"), ("C", ""))
    catalog.add("丁", "D")
    assert translations.untranslated(catalog) == ["甲", "乙", "('丙', '丙')"]
