"""The error tree: stable codes, sentences that can be filled, and every class used."""

import re
from pathlib import Path

import pytest

from tanpuhui.errors import InvalidInput, Refused, TanpuhuiError, all_errors

ROOT = Path(__file__).parents[2]
ERRORS = all_errors()


def test_every_code_names_one_error() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes)) > 40
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", code) for code in codes)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_an_error_has_a_status_a_sentence_and_an_explanation(error: type[TanpuhuiError]) -> None:
    assert error.status in {400, 401, 403, 404, 405, 409, 410, 413, 414, 415, 422, 429, 500, 503}
    assert "code" in vars(error)  # none inherits the code of another
    assert error.__doc__
    assert error.text.endswith(("。", "%(problems)s"))
    assert error.next_step.endswith("。")
    if issubclass(error, Refused):
        assert 400 <= error.status < 500
    assert "%(" not in error.next_step
    if issubclass(error, InvalidInput):
        assert 400 <= error.status < 500


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_a_sentence_is_filled_by_what_its_raisers_give(error: type[TanpuhuiError]) -> None:
    """Each `raise` in the house names every parameter of the sentence; a missing one would be a 500."""
    wanted = set(re.findall(r"%\((\w+)\)", error.text))
    raised = re.compile(rf"\b{error.__name__}\(([^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*)\)")
    places = [
        (path, call[1])
        for folder in ("platform/tanpuhui", "activities", "rewards")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "errors.py"
        for call in raised.finditer(path.read_text(encoding="utf-8"))
        if wanted
    ]
    for path, arguments in places:
        assert all(f"{name}=" in arguments for name in wanted), path
    assert str(error(**dict.fromkeys(wanted, "x")))
