"""Numbers as people read them: cut and never rounded up, in both languages."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from flask_babel import Babel, force_locale

from tanpuhui.web import formatting
from tests.translations import TRANSLATIONS


@pytest.fixture
def app() -> Iterator[Flask]:
    app = Flask(__name__)
    app.config.update(BABEL_DEFAULT_LOCALE="zh", BABEL_TRANSLATION_DIRECTORIES=str(TRANSLATIONS))
    Babel(app)
    with app.test_request_context():
        yield app


def read(amount: formatting.Amount) -> str:
    return str(amount).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("mg", "zh", "en"),
    [
        (0, "0 克", "0 g"),
        (1, "1 毫克", "1 mg"),
        (999, "999 毫克", "999 mg"),
        (1_000, "1 克", "1 g"),
        (144_000, "144 克", "144 g"),
        (45_799, "45.7 克", "45.7 g"),
        (999_999, "999 克", "999 g"),
        (1_280_000, "1.28 千克", "1.28 kg"),
        (1_289_999, "1.28 千克", "1.28 kg"),
        (12_000_000_000, "12 吨", "12 t"),
        (-144_000, "−144 克", "−144 g"),
    ],
)
def test_mass(app: Flask, mg: int, zh: str, en: str) -> None:
    assert read(formatting.mass(mg)) == zh
    with force_locale("en"):
        assert read(formatting.mass(mg)) == en


def test_pollutants_and_factors_have_smaller_units(app: Flask) -> None:
    assert read(formatting.pollutant_mass(155_995)) == "155 毫克"
    assert read(formatting.pollutant_mass(7_885)) == "7.88 毫克"
    assert read(formatting.pollutant_mass(320)) == "320 微克"
    assert read(formatting.factor_mass(144_000_000_000)) == "144 克"
    assert read(formatting.factor_mass(16_400_000)) == "16.4 毫克"


def test_columns_line_up(app: Flask) -> None:
    assert [read(formatting.kilograms(mg)) for mg in (0, 170_300_000, 3_610_929_999)] == [
        "0 千克",
        "170.30 千克",
        "3,610.92 千克",
    ]


def test_quantities_have_their_unit_in_number(app: Flask) -> None:
    assert read(formatting.quantity(2_500, "kg")) == "2.5 千克"
    with force_locale("en"):
        assert read(formatting.quantity(1_000, "meal")) == "1 meal"
        assert read(formatting.quantity(3_000, "meal")) == "3 meals"
        assert read(formatting.quantity(7_250_000, "step")) == "7,250 steps"
    assert read(formatting.quantity(1_000, "a unit of one's own")) == "1 a unit of one's own"


def test_a_form_gets_a_plain_number() -> None:
    assert [formatting.plain_quantity(milli) for milli in (2_500, 1_000, 50, 30_000_000)] == [
        "2.5",
        "1",
        "0.05",
        "30000",
    ]


def test_times_are_those_of_shanghai(app: Flask) -> None:
    late = datetime(2026, 6, 4, 16, 5, tzinfo=UTC)
    assert formatting.moment(late) == "2026年6月5日 00:05"
    assert formatting.day(date(2026, 6, 5)) == "2026年6月5日"
    with force_locale("en"):
        assert formatting.moment(late) == "5 Jun 2026, 00:05"
        assert formatting.day(date(2026, 6, 5)) == "5 Jun 2026"


def test_points_carry_their_sign(app: Flask) -> None:
    assert [formatting.signed(points) for points in (1_200, 0, -10)] == ["+1,200", "0", "−10"]


def test_a_bar_that_is_there_is_seen() -> None:
    assert [formatting.share(part, 100_000) for part in (0, 1, 50_000, 100_000)] == [0, 4, 500, 1000]
    assert formatting.share(5, 0) == 0


def test_data_texts_are_known_in_chinese(app: Flask) -> None:
    assert formatting.data_text("Shanghai grid electricity") == "上海电网供电"
    assert formatting.data_text("a text 100 % new") == "a text 100 % new"
    with force_locale("en"):
        assert formatting.data_text("Shanghai grid electricity") == "Shanghai grid electricity"


def test_prose_is_safe_and_keeps_the_levels() -> None:
    html = formatting.prose("# A <b>\n\n- **one** two\n- three\n\n## B\nText", level=2)
    assert html == (
        "<h2>A &lt;b&gt;</h2>\n<ul><li><strong>one</strong> two</li><li>three</li></ul>\n<h3>B</h3>\n<p>Text</p>"
    )


@pytest.mark.parametrize(
    ("language", "words", "marked"),
    [
        ("en", "云荣快递驿站", '<span lang="zh-Hans">云荣快递驿站</span>'),
        ("en", "沪环气〔2022〕34号", '<span lang="zh-Hans">沪环气〔2022〕34号</span>'),
        ("en", "low: 泸州 8.2 g", 'low: <span lang="zh-Hans">泸州</span> 8.2 g'),
        ("zh", "US EPA WARM v16, converted", '<span lang="en">US EPA WARM v16, converted</span>'),
        ("zh", "云荣快递驿站", "云荣快递驿站"),
        ("zh", "<b>PET塑料", "&lt;b&gt;PET塑料"),
        ("en", "<b>云</b>", '&lt;b&gt;<span lang="zh-Hans">云</span>&lt;/b&gt;'),
    ],
)
def test_what_is_not_in_the_pages_language_says_which_it_is_in(
    app: Flask, language: str, words: str, marked: str
) -> None:
    with force_locale(language):
        assert formatting.as_written(words) == marked
        assert formatting.as_written(formatting.as_written(words)) == marked


def test_an_identifier_is_parted_after_its_underscores_only() -> None:
    assert formatting.identifier("recycle_glass@1") == "recycle_<wbr>glass@1"
    assert formatting.identifier("walk@<1>") == "walk@&lt;1&gt;"
