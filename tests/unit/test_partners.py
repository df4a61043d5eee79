"""What docs/partners.md says a partner has to sign is what we read."""

import hmac
import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from tanpuhui import qr, signing
from tanpuhui.config import Settings
from tanpuhui.errors import CodeInvalid
from tanpuhui.signing import Form, Token
from tests.readers import assert_read_in_every_way

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "sign_receipt.py"
sign_receipt = runpy.run_path(str(EXAMPLE))["sign_receipt"]
TEXT = (DOCS / "partners.md").read_text(encoding="utf-8")
KEY = bytes.fromhex(re.search(r"Key `([0-9a-f]{64})`", TEXT)[1])  # type: ignore[index]


def ring(keys: str) -> signing.Keyring:
    return signing.keyring(Settings(env="test", var=Path("nowhere"), secret_key="k" * 40, code_keys=keys))


RING = ring("3,0")
VECTORS = [
    (*map(int, row[:4]), row[4])
    for row in re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| `(\w+)` \|$", TEXT, re.MULTILINE)
]


def test_the_published_vectors_are_what_both_sides_make() -> None:
    assert len(VECTORS) == 5
    for key_number, code, amount, serial, token in VECTORS:
        assert sign_receipt(KEY, key_number, code, amount, serial) == token
        assert signing.sign_measured(KEY, key_number, Token(Form.MEASURED, code, (amount, serial))) == token


def test_the_worked_example_is_right_to_the_byte() -> None:
    head, mac, token, address = re.search(
        r"bytes 0-14 +(.+)\nHMAC +(.+)\ntoken +(.+)\nQR code +(.+)\n", TEXT
    ).groups()  # type: ignore[union-attr]
    assert hmac.digest(KEY, bytes.fromhex(head), "sha256") == bytes.fromhex(mac)
    assert token == VECTORS[0][-1]
    assert address == f"https://tanpuhui.example/s/{token}"


@given(
    st.integers(1, 2**40 - 1), st.integers(0, 2**32 - 1), st.integers(1, 2**40 - 1), st.sampled_from([3, 0])
)
def test_what_the_example_signs_with_its_own_key_is_read(
    code: int, amount: int, serial: int, key_number: int
) -> None:
    key = ring(str(key_number)).partner_key(code)
    token = sign_receipt(key, key_number, code, amount, serial)
    assert RING.read(token) == Token(Form.MEASURED, code, (amount, serial))
    with pytest.raises(CodeInvalid):
        RING.read(sign_receipt(KEY, key_number, code, amount, serial))


def test_the_example_runs_by_itself() -> None:
    given = [
        "--address",
        "https://tanpuhui.example/",
        "--code",
        "123456789",
        "--amount",
        "2.5",
        "--serial",
        "1",
    ]
    environment = {**os.environ, "PARTNER_KEY": KEY.hex()}
    done = subprocess.run(
        [sys.executable, "-I", EXAMPLE, *given], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"https://tanpuhui.example/s/{VECTORS[0][-1]}\n"


def test_a_receipt_is_read_in_every_way_with_the_longest_host() -> None:
    address = f"https://carbon.jingan-district.example./s/{VECTORS[-1][-1]}"
    assert_read_in_every_way(Image.open(io.BytesIO(qr.png(address, level="M"))), address, level="M")
