"""Sign what a scale has weighed, as Tanpuhui reads it. Only the standard library is needed; see docs/partners.md.

    PARTNER_KEY=<64 hexadecimal digits> python3 sign_receipt.py \\
        --address https://tanpuhui.example --code 123456789 --amount 2.5 --serial 1
"""

import argparse
import base64
import hmac
import os
import sys
from decimal import Decimal

MEASURED = 4


def sign_receipt(key: bytes, key_number: int, code: int, amount_milli: int, serial: int) -> str:
    """The 40 letters of a receipt. Raises OverflowError for a number that does not fit its place."""
    head = bytes([MEASURED << 4 | key_number])
    head += code.to_bytes(5, "big") + amount_milli.to_bytes(4, "big") + serial.to_bytes(5, "big")
    mac = hmac.digest(key, head, "sha256")[:10]
    return base64.b32encode(head + mac).decode()


def main() -> None:
    """Print the address that the receipt's QR code is to carry."""
    options = argparse.ArgumentParser(description="Sign what a scale has weighed.")
    options.add_argument("--address", required=True, help="of the district's Tanpuhui")
    options.add_argument("--code", type=int, required=True, help="the number of the scale's code")
    options.add_argument("--key-number", type=int, default=0, choices=range(16))
    options.add_argument(
        "--amount", type=Decimal, required=True, help="in the unit of the kind, three decimals"
    )
    options.add_argument("--serial", type=int, required=True, help="from 1, never the same one twice")
    given = options.parse_args()
    key = bytes.fromhex(os.environ["PARTNER_KEY"])
    token = sign_receipt(key, given.key_number, given.code, int(given.amount * 1000), given.serial)
    sys.stdout.write(f"{given.address.rstrip('/')}/s/{token}\n")


if __name__ == "__main__":
    main()
