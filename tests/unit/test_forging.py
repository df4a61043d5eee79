"""Guessing: a million tokens made up at random, of every form, none of which is taken."""

import base64
import random
from pathlib import Path

from tanpuhui.config import Settings
from tanpuhui.errors import CodeInvalid
from tanpuhui.signing import LETTERS, Form, keyring

RING = keyring(Settings(env="test", var=Path("nowhere"), secret_key="k" * 40))
TOKENS = 1_000_000


def test_none_of_a_million_random_tokens_is_taken() -> None:
    """They begin like a genuine one, so that nothing but the signature is left to guess."""
    made_up, taken = random.Random(20270605), 0
    for at in range(TOKENS):
        form = Form(at % len(Form) + 1)
        body = bytes([form << 4]) + made_up.randbytes(LETTERS[form] * 5 // 8 - 1)
        try:
            RING.read(base64.b32encode(body).decode())
            taken += 1
        except CodeInvalid:
            pass
    assert taken == 0
