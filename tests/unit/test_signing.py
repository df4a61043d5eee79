"""Codes: genuine ones are read however they arrive, everything else is refused."""

import base64
import hmac
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tanpuhui import signing
from tanpuhui.config import Settings
from tanpuhui.errors import CodeInvalid, CodeVersionUnknown
from tanpuhui.signing import Form, Token, keyring

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
NUMBERS = st.integers(1, 2**40 - 1)


def settings(secret: str = "k" * 40, **more: str) -> Settings:
    return Settings(env="test", var=Path("nowhere"), secret_key=secret, **more)


RING, OTHER = keyring(settings()), keyring(settings("o" * 40))
TOKENS = st.one_of(
    st.builds(Token, st.sampled_from([Form.PLACE, Form.MEMBER]), NUMBERS),
    st.builds(Token, st.just(Form.COUNTED), NUMBERS, st.tuples(st.integers(0, 2**32 - 1))),
    st.builds(
        Token,
        st.just(Form.MEASURED),
        NUMBERS,
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**40 - 1)),
    ),
)


@given(TOKENS)
def test_a_token_says_again_what_it_was_made_of(token: Token) -> None:
    text = RING.sign(token)
    assert len(text) == signing.LETTERS[token.form]
    assert set(text) <= set(LETTERS)
    lookalike = text.replace("O", "0").replace("I", "1").replace("B", "8")
    for form in (text, text.lower(), signing.typed_form(text), f" {text}\n", lookalike):
        assert RING.read(form) == token


@given(TOKENS, st.data())
def test_any_other_letter_makes_it_worthless(token: Token, data: st.DataObject) -> None:
    text = RING.sign(token)
    at = data.draw(st.integers(0, len(text) - 1))
    forged = text[:at] + data.draw(st.sampled_from(LETTERS)) + text[at + 1 :]
    if forged != text:
        with pytest.raises(CodeInvalid):
            RING.read(forged)


@given(st.text(max_size=60))
def test_whatever_somebody_types_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(CodeInvalid):
        RING.read(text)


@given(st.sampled_from(sorted(signing.LETTERS.values())), st.data())
def test_random_letters_of_the_right_length_are_refused(length: int, data: st.DataObject) -> None:
    with pytest.raises(CodeInvalid):
        RING.read(data.draw(st.text(LETTERS, min_size=length, max_size=length)))


@given(TOKENS, st.data())
def test_a_torn_code_is_refused(token: Token, data: st.DataObject) -> None:
    text = RING.sign(token)
    with pytest.raises(CodeInvalid):
        RING.read(text[: data.draw(st.integers(0, len(text) - 1))])


@given(TOKENS)
def test_a_code_of_another_deployment_is_refused(token: Token) -> None:
    with pytest.raises(CodeInvalid):
        RING.read(OTHER.sign(token))


@pytest.mark.parametrize(
    "text", ["=" * 24, "A" * 16 + "=" * 8, "A" * 23 + "=", "ａ" * 24, "码" * 24, "A" * 1_000_000]
)
def test_padding_foreign_letters_and_length_break_nothing(text: str) -> None:
    with pytest.raises(CodeInvalid):
        RING.read(text)


@pytest.mark.parametrize("head", [0x00, 0x20, 0xF0, 0x11])
def test_a_genuine_code_of_another_form_or_key_is_told_apart(head: int) -> None:
    key = RING.settings.key("codes-1" if head & 15 else "codes")
    body = bytes([head]) + (77).to_bytes(5, "big")
    token = base64.b32encode(body + hmac.digest(key, body, "sha256")[:9]).decode()
    with pytest.raises(CodeVersionUnknown):
        RING.read(token)


@pytest.mark.parametrize("number", [-1, 2**40])
def test_only_numbers_that_fit_are_signed(number: int) -> None:
    with pytest.raises(OverflowError):
        RING.sign(Token(Form.PLACE, number))


# --- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        Token(Form.PLACE, 77),
        Token(Form.MEMBER, 77),
        Token(Form.COUNTED, 77, (3,)),
        Token(Form.MEASURED, 77, (2500, 1)),
    ],
    ids=lambda code: code.form.name,
)
def test_a_key_is_replaced_with_an_overlap(code: Token) -> None:
    """A code of the old key is good until the key is taken away; then its holder is told so, not that it is forged."""
    before, during, after = (keyring(settings(code_keys=keys)) for keys in ("0", "1,0", "1"))
    old, new = before.sign(code), during.sign(code)
    assert old != new
    assert during.read(old) == during.read(new) == after.read(new) == code
    with pytest.raises(CodeVersionUnknown):
        after.read(old)
    with pytest.raises(CodeVersionUnknown):
        before.read(new)


@pytest.mark.parametrize("keys", ["", "16", "-1", "a", "1,", "0;1"])
def test_keys_are_named_by_numbers_of_0_to_15(keys: str) -> None:
    with pytest.raises(ValueError, match="code_keys"):
        settings(code_keys=keys)


# --- partners ----------------------------------------------------------------------------------------------


def test_a_partner_signs_what_its_own_scale_measured_and_nothing_else() -> None:
    key = RING.partner_key(5)
    receipt = Token(Form.MEASURED, 5, (2500, 1))
    assert RING.read(signing.sign_measured(key, 0, receipt)) == receipt
    assert signing.sign_measured(key, 0, receipt) == RING.sign(receipt)
    with pytest.raises(CodeInvalid):
        RING.read(signing.sign_measured(key, 0, Token(Form.MEASURED, 6, (2500, 1))))
    head = bytes([Form.PLACE << 4]) + (5).to_bytes(5, "big")
    poster = base64.b32encode(head + hmac.digest(key, head, "sha256")[:9]).decode()
    with pytest.raises(CodeInvalid):
        RING.read(poster)
