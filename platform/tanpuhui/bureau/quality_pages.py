"""The quality desk: every check of the house on one page, each line with the page where something can be done about it."""

from datetime import date, datetime
from typing import Any

from flask import Blueprint, Response, render_template, url_for
from flask_babel import gettext
from flask_openapi import APIBlueprint
from pydantic import BaseModel, Field

from tanpuhui import clock, quality
from tanpuhui.bureau.participation import may_read
from tanpuhui.quality import SEVERITY_NAMES, Found, Named, Row, Text
from tanpuhui.rooms import House
from tanpuhui.staff import Role
from tanpuhui.web.api import READING, api_blueprint, json_answer
from tanpuhui.web.auth import house, machine, staff, staff_required
from tanpuhui.web.formatting import day, language, moment

blueprint = Blueprint("quality", __name__)

READERS = (Role.OFFICER, Role.ADMIN, Role.AUDITOR)


@blueprint.get("/bureau/quality")
@staff_required(*READERS)
def desk() -> str:
    """What wants somebody's hand, the most urgent first; that all is well, if it is."""
    may_read(house(), staff(), READERS)
    now = clock.now()
    with house().db.reading() as connection:
        found = quality.look(house(), connection, now)
    return render_template("bureau/quality.html", found=found, now=now, names=SEVERITY_NAMES)


@blueprint.app_template_filter()
def row_words(row: Row) -> str:
    """What a row says, in the language of the page."""
    words: str = gettext(row.words) % {name: _shown(value) for name, value in row.values.items()}
    return words


def _shown(value: Any) -> Any:
    match value:
        case datetime():
            return moment(value)
        case date():
            return day(value)
        case Text(words):
            return gettext(words)
        case Named(zh, en):
            return en if language() == "en" else zh
        case tuple():
            return gettext("、").join(value)
    return value


# --- API -----------------------------------------------------------------------------------------------------


class QualityRowOut(BaseModel):
    """One thing that wants somebody's hand."""

    text: str = Field(description="What it is, in the language of the request.")
    page: str = Field(description="The path of the page where something can be done about it.")


class QualityCheckOut(BaseModel):
    """A check and what it found."""

    key: str
    question: str
    severity: str = Field(description="`now` or `soon`: how soon somebody should look at what is found.")
    count: int = Field(description="How many things were found; 0 if all is well.")
    rows: list[QualityRowOut] = Field(description=f"The first {quality.SHOWN} of them.")


class QualityOut(BaseModel):
    """Every check, the most urgent first."""

    looked_at: str
    checks: list[QualityCheckOut]


def api(house: House) -> APIBlueprint:
    """The operation of the quality desk under `/api/v1`."""
    found = api_blueprint("quality-api", __name__)

    @found.get(
        "/quality",
        summary="What wants somebody's hand",
        responses={"200": QualityOut, **READING},
    )
    def get_quality() -> Response:
        may_read(house, machine(), READERS)
        now = clock.now()
        with house.db.reading() as connection:
            checks = [_plain(one) for one in quality.look(house, connection, now)]
        return json_answer({"looked_at": now.isoformat(), "checks": checks})

    return found


def _plain(one: Found) -> dict[str, Any]:
    return {
        "key": one.check.key,
        "question": gettext(one.check.question),
        "severity": one.check.severity.value,
        "count": one.count,
        "rows": [{"text": row_words(row), "page": url_for(row.endpoint, **row.at)} for row in one.rows],
    }
