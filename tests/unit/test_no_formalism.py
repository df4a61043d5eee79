"""Nothing ranks or assesses anybody by what is done with a screen: log-ins, installs, clicks, views, shares, days in a row, time online.

Every name by which something could be counted, divided, filtered, exported or asked for is looked at: measures and breakdowns of the
statistics, of targets, boards and closing reports, the columns of every sheet and table, the fields, parameters and choices of the API, and
every address. What has such a word for another reason stands here with that reason, and goes from here when it goes.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlmodel import SQLModel

from activities import boards, campaign_report_numbers
from tanpuhui import measures
from tanpuhui.bureau import participation, rollups, target_measures, tracing
from tanpuhui.bureau.open_data import Dataset
from tanpuhui.bureau.sheets import Column, Table
from tanpuhui.bureau.target_measures import Counted, is_formal
from tanpuhui.config import Settings
from tanpuhui.rooms import House, Room, build_house
from tanpuhui.web import create_app

#: Activity in the app, as a part of a name.
ACTIVITY = re.compile(
    r"(^|_)("
    r"log_?ins?|log_?ons?|sign_?ins?|sign_?ups?|registrations?|visits?|visitors?|views?|viewed|impressions?|clicks?|taps?|hits?|opens"
    r"|scans|seen|reads|installs?|installed|installations?|downloads?|uploads|sessions?|devices?|shares?|shared|sharing|forwards?|reposts?"
    r"|likes?|followers?|streaks?|check_?ins?|checked_?in|online|offline|duration|dwell|stay|time_?spent|minutes|seconds|hours"
    r"|stud(y|ied|ies)|learn(ed|ing)?|usage|engagement|active|activity|popularity|dau|mau|wau|pv|uv|scores?|ranks?|ranking"
    r")(_|$)"
)

#: Where such a word stands for something else, and for what.
ALLOWED = {
    "table browser_session*": "that somebody stays logged in; never counted, deleted after its end",
    "table login_code*": "the code on a phone, good for minutes",
    "table device_use*": "how many accounts share a phone on a day: a signal for people, in no statistic",
    "table check_in*": "that somebody came to a gathering; of how many came the gathering tells, of nobody how often",
    "table sign_up*": "a place at a gathering",
    "table gathering.sign_up_until": "until when there are places",
    "table *.seen_*": "that staff was shown a notice, so that it is shown once",
    "table *.m*_minutes": "drops within some minutes are one load: a limit of what counts",
    "table clash_rule.minutes": "two records within some minutes are one deed",
    "table evidence_tier.rank": "which proof of one deed is better",
    "table resident.shares": "whether a family account is shared, not how often anything is",
    "table site.hours": "when a place is open",
    "table staff.active": "whether somebody still works here",
    "table offer.opens_at": "from when there is something to be had",
    "sheet sites.hours": "the same, as open data",
    "api GatheringOut.sign_up_*": "until when there are places",
    "api LimitsOut.*_minutes": "the limits, published",
    "api SameDeedOut.within_minutes": "the same",
    "api *.opens_at": "from when there is something to be had",
    "api Place*.hours": "when a place is open",
    "api Site*.hours": "the same",
    "api TierOut.rank": "which proof of one deed is better",
    "api *Out.rank*": "places on a board of outcomes, which are those of `board` above",
    "api TargetOut.reached_share_permille": "a fraction of a target",
    "address *login*": "the way in",
    "address pages.end_session *": "the way out",
    "address views.*": "the standard and the elder view",
    "address offline.*": "what works without a network",
    "address sharing.*": "a picture that one may keep; who passes it on is known to nobody",
    "address *download *": "a file to take away, not how often it was",
    "address activities-api.post_scan *": "to record a deed",
    "address *check_in*": "that somebody came to a gathering",
    "address *sign*up*": "a place at a gathering",
    "address *seen": "that staff was shown a notice",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that opens no database."""
    return build_house(Settings(var=tmp_path_factory.mktemp("nothing")))


@pytest.fixture
def app(house: House) -> Flask:
    return create_app(house, testing=True)


def parts_of(name: str) -> str:
    """A name in small letters with its parts divided by underscores, however it is written."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def counted() -> Iterator[tuple[str, str]]:
    """Where a name stands, and the name: by what is counted and divided."""
    for name in (*measures.MEASURES, *participation.NUMBERS, *tracing.MADE_OF):
        yield f"statistics {name}", name
    for name in (*participation.BREAKDOWNS, *rollups.BREAKDOWNS):
        yield f"breakdown {name}", name
    for measure in boards.Measure:
        yield f"board {measure}", measure
    for name in (*campaign_report_numbers.TOLD, *campaign_report_numbers.TABLES):
        yield f"report {name}", name
    for code, one in target_measures.MEASURES.items():
        yield from ((f"target {code}", code), (f"target {code}", one.number))


def kept_and_exported(house: House) -> Iterator[tuple[str, str]]:
    """The same of tables, and of sheets for everybody."""
    for table in SQLModel.metadata.tables.values():
        yield f"table {table.name}", table.name
        yield from ((f"table {table.name}.{kept.name}", kept.name) for kept in table.c)
    for room in house.rooms:
        for dataset in room.datasets:
            yield from ((f"sheet {dataset.key}.{one.key}", one.key) for one in dataset.table.columns)


def asked_for(app: Flask, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of the API, with what can be chosen there, and of addresses."""
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield from ((f"api {name}.{part}", part) for part in (field, *described.get("enum", ())))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parts = (parameter["name"], *parameter.get("schema", {}).get("enum", ()))
                yield from ((f"api {path}?{part}", str(part)) for part in parts)
    for rule in app.url_map.iter_rules():
        yield from ((f"address {rule.endpoint} {rule.rule}", name) for name in (rule.endpoint, rule.rule))


def words(house: House) -> Iterator[tuple[str, str]]:
    """In which words it is told what is counted."""
    for code, one in target_measures.MEASURES.items():
        yield from ((f"target {code}", one.name), (f"target {code}", one.how))
    for room in house.rooms:
        for dataset in room.datasets:
            for column in dataset.table.columns:
                yield from (
                    (f"sheet {dataset.key}.{column.key}", text) for text in (column.name, column.meaning)
                )


def found(house: House, app: Flask, document: dict[str, Any]) -> set[str]:
    """Where something is called by activity in the app."""
    named = [*counted(), *kept_and_exported(house), *asked_for(app, document)]
    assert len(named) > 1500
    return {where for where, name in named if ACTIVITY.search(parts_of(str(name)))} | {
        where for where, text in words(house) if is_formal(text)
    }


def refused(places: set[str]) -> set[str]:
    """Those for which there is no other reason."""
    return {one for one in places if not any(fnmatchcase(one, allowed) for allowed in ALLOWED)}


def described(app: Flask) -> dict[str, Any]:
    document: dict[str, Any] = app.test_client().get("/api/v1/openapi.json").get_json()
    return document


def test_nothing_is_counted_by_activity_in_the_app(house: House, app: Flask) -> None:
    places = found(house, app, described(app))
    assert refused(places) == set()
    gone = {allowed for allowed in ALLOWED if not any(fnmatchcase(one, allowed) for one in places)}
    assert gone == set(), "nothing is called so any more"
    # No reason reaches into what is counted: a measure has none.
    assert {allowed.partition(" ")[0] for allowed in ALLOWED} == {"table", "sheet", "api", "address"}


def test_each_such_measure_would_be_refused(
    house: House, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: one is planted in every place that is looked at."""
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, "login_count"))
    monkeypatch.setattr(participation, "NUMBERS", (*participation.NUMBERS, "verified_app_opens"))
    monkeypatch.setattr(participation, "BREAKDOWNS", (*participation.BREAKDOWNS, "device"))
    monkeypatch.setattr(boards, "Measure", StrEnum("Measure", {"STREAK": "streak_days"}))
    monkeypatch.setattr(campaign_report_numbers, "TOLD", ("page_views",))
    formal = replace(target_measures.MEASURES[Counted.CO2E], name="小程序安装量")
    monkeypatch.setitem(target_measures.MEASURES, Counted.CO2E, formal)
    planted = sa.Table("planted", SQLModel.metadata, sa.Column("minutes_online", sa.Integer))
    sheet = Table("boards", "榜", (Column("much", "登录次数"),))
    rooms = (*house.rooms, Room("planted", datasets=(Dataset(sheet, "", "", lambda *_: ()),)))
    monkeypatch.setattr(house, "rooms", rooms)
    app.add_url_rule("/bureau/boards/shares", "bureau.by_shares", lambda: "")
    document = described(app)
    document["components"]["schemas"]["StatisticsOut"]["properties"]["shareCount"] = {}
    document["paths"]["/api/v1/statistics"]["get"]["parameters"].append(
        {"name": "sort", "schema": {"enum": ["co2e", "clicks"]}}
    )
    try:
        assert refused(found(house, app, document)) == {
            "statistics login_count",
            "statistics verified_app_opens",
            "breakdown device",
            "board streak_days",
            "report page_views",
            "sheet boards.much",
            "target co2e",
            "table planted.minutes_online",
            "address bureau.by_shares /bureau/boards/shares",
            "api StatisticsOut.shareCount",
            "api /api/v1/statistics?clicks",
        }
    finally:
        SQLModel.metadata.remove(planted)


@pytest.mark.parametrize(
    "name",
    ["study_seconds", "learned", "online_minutes", "duration", "clicks", "login_count", "logins", "loginCount", "installs", "shares",
     "views", "streak", "check_in_days", "checkins", "sign-ins", "time_spent", "active_users", "DAU", "scans", "sort_by_visits"],
)  # fmt: skip
def test_such_a_name_is_found(name: str) -> None:
    assert ACTIVITY.search(parts_of(name))
