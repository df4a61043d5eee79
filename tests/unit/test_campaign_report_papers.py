"""A report is drawn the same by every process, whatever its time zone and however it orders its sets."""

import hashlib
import os
import subprocess
import sys
from typing import Any

from flask import Flask
from flask_babel import Babel, force_locale

from activities.campaign_report_papers import report_csv, report_pdf
from tanpuhui.i18n import TRANSLATIONS


def row(key: str, records: int | None, **more: Any) -> dict[str, Any]:
    people = None if records is None else records // 2
    amounts = dict.fromkeys(("co2e_mg", "co2e_mid_mg", "co2e_high_mg"), records and records * 144_000)
    named = {"key": key, "zh": f"名称 {key}", "en": f"Name {key}", "city": False}
    return {**named, "participants": people, "records": records, **amounts, **more}


def snapshot(days: int = 70) -> dict[str, Any]:
    """A report with something in every part, on several pages."""
    return {
        "format": 1,
        "made_at": "2027-06-20T00:00:30+00:00",
        "campaign": {
            "id": "0" * 32,
            "title": "光盘行动周",
            "owner": "静安区",
            "where": "静安区",
            "starts_at": "2027-06-01T16:30:00+00:00",
            "ends_at": "2027-08-09T16:00:00+00:00",
            "cancelled": True,
            "days": ["2027-06-02", "2027-08-09"],
            "version": 2,
            "approved_at": "2027-05-20T17:00:00+00:00",
            "by_template": False,
            "sites": [f"点位 {number}" for number in range(30)],
            "kinds": [{"zh": "光盘行动", "en": "Clean plate"}],
            "divisions": [],
            "goals": {"participants": 100, "actions": None, "kg": 5},
        },
        "participants": 400,
        "new": 120,
        "returning": 280,
        "tables": {
            "whole": [row("all", 800), row("all", 60, city=True)],
            "kind": [row("clean_plate", 700), row("own_cup", None), row("no_cutlery", None)],
            "day": [row(f"2027-{6 + day // 30:02}-{day % 30 + 1:02}", None if day == 9 else 10 + day) for day in range(days)],
            "street": [row("310106006", 500), row("310106011", 300)],
            "community": [row("310106006002", 500), row("310106011002", 300)],
            "proof": [row("verified", 780), row("self_declared", 20)],
            "evidence": [row("site_code", 780), row("self_declared", 20)],
        },
        "pollutants": [{"key": "nox", "city": False, "ug": 3_000_000, "known": 12}],
        "refused": [{"key": "too_soon", "times": 12}, {"key": "no_such_reason", "times": None}],
        "waiting": None,
        "factors": [
            {
                "key": "clean_plate@1", "zh": "光盘行动", "en": "Clean plate", "year": 2021, "region": "CN",
                "source": "https://example.org/" + "a-very-long-address-without-a-break/" * 6,
            }
        ],
        "checked": [{"verified": True, "judged": 9, "wrong": 1, "interval": [19, 436]}],
        "otherwise": {
            "asked": 90, "answered": 60, "answers": {"same": 20, "part": 10, "not": 30, "unknown": None},
            "not_share": {"permille": 500, "interval": [377, 623]},
        },
        "bonus": {"budget": 1000, "granted": 640},
    }  # fmt: skip


def digest() -> str:
    """A fingerprint of everything that is drawn."""
    app = Flask(__name__)
    app.config.update(BABEL_DEFAULT_LOCALE="zh", BABEL_TRANSLATION_DIRECTORIES=str(TRANSLATIONS))
    Babel(app)
    drawn = hashlib.sha256(report_csv(snapshot()))
    with app.test_request_context():
        for language in ("zh", "en"):
            with force_locale(language):
                drawn.update(report_pdf(snapshot(), language))
    return drawn.hexdigest()


def test_another_process_elsewhere_draws_the_same_bytes() -> None:
    elsewhere = {**os.environ, "TZ": "America/New_York", "PYTHONHASHSEED": "310106", "LANG": "C"}
    program = "from tests.unit.test_campaign_report_papers import digest; print(digest())"
    done = subprocess.run(
        [sys.executable, "-c", program], env=elsewhere, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest()
