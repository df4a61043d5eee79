"""A monthly or yearly report on paper: drawn from its snapshot alone, the same bytes each time, also where no page is asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from flask import Flask
from flask_babel import Babel, force_locale

from activities.campaign_report_papers import sections_pdf
from activities.period_report_words import made, sections, title
from tanpuhui.i18n import TRANSLATIONS


@contextmanager
def words_in(language: str) -> Iterator[str]:
    """Words are those of ``zh`` or ``en`` inside, also where no page is asked for; the tag of that language."""
    with _words().app_context(), force_locale(language):
        yield "zh-CN" if language == "zh" else "en"


@cache
def _words() -> Flask:
    """An app that knows words and nothing else: reports are drawn by workers, too."""
    app = Flask(__name__)
    Babel(app, default_locale="zh", default_translation_directories=str(TRANSLATIONS))
    return app


def report_pdf(snapshot: Mapping[str, Any], language: str) -> bytes:
    """The report as a PDF in ``zh`` or ``en``."""
    with words_in(language) as tongue:
        return sections_pdf(title(snapshot), made(snapshot), sections(snapshot), tongue)
