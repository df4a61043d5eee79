"""Printed codes: genuine ones are read however they arrive, everything else is refused."""

import base64
import hmac

import pytest
from hypothesis import given, strategies as st

from tanpuhui import signing
from tanpuhui.errors import CodeInvalid, CodeVersionUnknown

KEY, OTHER = b"k" * 32, b"o" * 32
IDS = st.integers(1, 2**40 - 1)


@given(IDS)
def test_a_token_says_its_number_again(number: int) -> None:
    token = signing.sign(KEY, number)
    assert len(token) == signing.TOKEN_LENGTH
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert signing.verify(KEY, token).code_id == number
    for form in (
        token.lower(),
        signing.typed_form(token),
        f" {token}\n",
        token.replace("O", "0").replace("I", "1").replace("B", "8"),
    ):
        assert signing.verify(KEY, form).code_id == number


@given(IDS, st.integers(0, signing.TOKEN_LENGTH - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_any_other_letter_makes_it_worthless(number: int, at: int, letter: str) -> None:
    token = signing.sign(KEY, number)
    forged = token[:at] + letter + token[at + 1 :]
    if forged != token:
        with pytest.raises(CodeInvalid):
            signing.verify(KEY, forged)


@given(st.text(max_size=60))
def test_whatever_somebody_types_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(CodeInvalid):
        signing.verify(KEY, text)


@pytest.mark.parametrize("cut", range(signing.TOKEN_LENGTH))
def test_a_torn_code_is_refused(cut: int) -> None:
    with pytest.raises(CodeInvalid):
        signing.verify(KEY, signing.sign(KEY, 77)[:cut])


def test_a_code_of_another_deployment_is_refused() -> None:
    with pytest.raises(CodeInvalid):
        signing.verify(KEY, signing.sign(OTHER, 77))


@pytest.mark.parametrize(
    "text", ["=" * 24, "A" * 16 + "=" * 8, "A" * 23 + "=", "ａ" * 24, "码" * 24, "A" * 1_000_000]
)
def test_padding_foreign_letters_and_length_break_nothing(text: str) -> None:
    with pytest.raises(CodeInvalid):
        signing.verify(KEY, text)


@pytest.mark.parametrize("head", [0x00, 0x20, 0xF0, 0x11])
def test_a_genuine_code_of_another_version_is_told_apart(head: int) -> None:
    body = bytes([head]) + (77).to_bytes(5, "big")
    token = base64.b32encode(body + hmac.digest(KEY, body, "sha256")[:9]).decode()
    with pytest.raises(CodeVersionUnknown):
        signing.verify(KEY, token)


@pytest.mark.parametrize("number", [-1, 2**40])
def test_only_numbers_that_fit_are_signed(number: int) -> None:
    with pytest.raises(OverflowError):
        signing.sign(KEY, number)
