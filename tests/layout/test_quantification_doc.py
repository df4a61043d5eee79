"""docs/quantification.md and its Chinese sister: every example computed again, every list compared with the data."""

import csv
import re
import shlex
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import pytest
from click.testing import CliRunner

from activities.catalogue import PACKAGE_DATA
from activities.commands import quantify_command
from activities.declarations import DECLARATION_STATE_NAMES
from activities.declared import REDUCTION_STATE_NAMES
from activities.quantify.forms import SHAPES
from activities.quantify.proposals import PROPOSAL_STATE_NAMES
from tanpuhui.bureau.cocontrol import EQUIVALENT_KG, SOOT_KG, equivalents, rounded
from tests.document import ROOT
from tests.world import World

DOCUMENTS = {"en": "docs/quantification.md", "zh": "docs/quantification.zh.md"}
LANGUAGES = pytest.mark.parametrize("language", DOCUMENTS)
YES = {"en": "yes", "zh": "是"}


def text_of(language: str) -> str:
    return (ROOT / DOCUMENTS[language]).read_text(encoding="utf-8")


def sections(language: str) -> list[tuple[str, str]]:
    """Each heading with its marks, and what stands under it."""
    parts = re.split(r"^(#+) .+$", text_of(language), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def rows(language: str, first: str) -> list[list[str]]:
    """The rows of the table whose head begins with `first`."""
    table = re.search(rf"^\| {first} \|.*\n\| ---.*\n((?:\|.*\n)+)", text_of(language), re.MULTILINE)
    assert table, first
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table[1].splitlines()]


def examples(language: str) -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that are shown below it."""
    for fence in re.findall(r"^```console\n(.*?)^```", text_of(language), re.DOTALL | re.MULTILINE):
        for example in fence.split("$ tanpuhui quantify ")[1:]:
            command, *shown = example.splitlines()
            yield command, shown


def shipped(file: str) -> list[dict[str, str]]:
    with (PACKAGE_DATA / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@LANGUAGES
def test_every_example_is_what_the_command_says(world: World, language: str) -> None:
    found = list(examples(language))
    assert len(found) >= 10
    for command, shown in found:
        said = CliRunner().invoke(quantify_command, shlex.split(command), obj=world.house)
        assert said.exit_code == 0, said.output
        assert shown
        assert [line for line in shown if line not in said.stdout.splitlines()] == [], command


def test_both_languages_give_the_same_examples_and_the_same_numbers() -> None:
    english, chinese = sections("en"), sections("zh")
    assert [marks for marks, _ in english] == [marks for marks, _ in chinese]
    assert [command for command, _ in examples("en")] == [command for command, _ in examples("zh")]
    for (_, one), (_, other) in zip(english, chinese, strict=True):
        assert numbers(one) == numbers(other)


def numbers(text: str) -> list[str]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", prose))


@LANGUAGES
def test_each_form_has_its_formula_and_an_example(language: str) -> None:
    forms = [part for marks, part in sections(language) if marks == "###"]
    for shape, part in zip(SHAPES.values(), forms, strict=True):
        assert f"`{shape.formula}`" in part
        assert "$ tanpuhui quantify" in part
    if language == "zh":
        titles = re.findall(r"^### (.+)$", text_of("zh"), re.MULTILINE)
        assert titles == [shape.title for shape in SHAPES.values()]


@LANGUAGES
def test_what_the_city_credits_is_what_the_factors_say(language: str) -> None:
    credited = {row["action_code"] for row in shipped("factors.csv") if row["city_credited"] == "yes"}
    line = next(line for line in text_of(language).split("\n- ") if "household_pv" in line)
    assert set(re.findall(r"[a-z]+_[a-z]+", line)) == credited


@LANGUAGES
def test_the_tiers_are_those_of_the_data(language: str) -> None:
    said = rows(language, "tier" if language == "en" else "证据等级")
    assert [[name, rank, share, str(verified == YES[language])] for name, rank, share, verified in said] == [
        [
            row[f"name_{language}"],
            row["rank"],
            f"{row['points_percent']} %",
            str(row["counts_as_verified"] == "yes"),
        ]
        for row in shipped("evidence.csv")
    ]


@LANGUAGES
def test_the_equivalents_are_those_of_the_code(language: str) -> None:
    said = {
        row[0].lower().replace(".", ""): row[1]
        for row in rows(language, "pollutant" if language == "en" else "污染物")
    }
    assert {name: said[name] for name in EQUIVALENT_KG} == {
        name: str(value) for name, value in EQUIVALENT_KG.items()
    }
    assert said["pm25"] == str(SOOT_KG)
    assert equivalents("voc", Fraction(1)).value is None
    found = equivalents("nox", 5000).value
    assert found is not None
    assert f"5,000 / 0.95 = {rounded(found):,}" in text_of(language)


@LANGUAGES
def test_every_state_has_its_name_in_the_order_it_comes(language: str) -> None:
    text = text_of(language)
    for names in (PROPOSAL_STATE_NAMES, REDUCTION_STATE_NAMES):
        places = [text.index(f"{name}") for name in list(names.values())]
        assert all(before < after for before, after in pairwise(places))
    assert all(name in text for name in DECLARATION_STATE_NAMES.values())


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@LANGUAGES
def test_every_page_named_is_there(world: World, language: str) -> None:
    served = {rule.rule for rule in world.app.url_map.iter_rules()}
    named = set(re.findall(r"(?<![\w./])/[a-z][a-z0-9/-]+", text_of(language)))
    assert named >= {"/factors", "/bureau/whatif"}
    assert named - served == set()


@LANGUAGES
def test_a_number_that_is_not_so_is_noticed(language: str) -> None:
    """The negative control, for the comparison of both languages and for the examples."""
    assert numbers("93 g, 4.83 kg") != numbers("93 g, 4.84 kg")
    command, _ = next(examples(language))
    said = CliRunner().invoke(quantify_command, ["--factor", "41 g/time", "1 time"])
    assert command == "own_cup 1"
    assert "1 time × 40 g/time = 40 g" not in said.stdout.splitlines()
