"""Sums of calendar periods as they are told: the same numbers in every page, file and answer, with those of a few people withheld.

Which cells are withheld is decided ahead (`bureau.withheld`). What has come since is told only of enough people.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import product
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from tanpuhui.bureau.participation import NUMBERS, Period, statistics
from tanpuhui.bureau.rollups import sums
from tanpuhui.bureau.suppression import FEWEST, told
from tanpuhui.bureau.withheld import withheld_among
from tanpuhui.bureau.withholding import NEWCOMERS, UNITS, Cell, newcomers_offered, offered
from tanpuhui.participants import ALL
from tanpuhui.periods import CalendarPeriod

#: Why a number is not told: too few people are behind it or behind a neighbour, or it is finer than what is told at all.
FEW, FINE = "few", "fine"

_DISTRICT = 6  # digits of its code


def told_sums(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    *,
    by: Sequence[str] = (),
    kind: str | None = None,
    campaign: str | None = None,
) -> list[dict[str, Any]]:
    """`bureau.rollups.sums`, with `withheld` in each row: None, `FEW` or `FINE`; then each of its numbers is None.

    Rows that are withheld are there even if nothing was recorded: that is not told either.
    """
    rows = sums(connection, periods, areas, by=by, kind=kind, campaign=campaign)
    cells = [tuple(_cells(row, periods, areas, kind)) for row in rows]
    if campaign:
        reasons = _reasons_of_campaigns(connection, [(campaign, row) for row in rows])
        coarse = [all(len(one.area) == _DISTRICT and one.kind == ALL for one in found) for found in cells]
        reasons = [
            one if is_coarse and "evidence" not in by else FINE
            for one, is_coarse in zip(reasons, coarse, strict=True)
        ]
    else:
        asked = (Cell(period.unit, period.first, area, ALL) for period in periods for area in areas)
        hidden = withheld_among(connection, {part for cell in asked for part in _parts(cell)})
        _hide_newcomers(rows, cells, hidden)
        reasons = [_reason(row, found, hidden) for row, found in zip(rows, cells, strict=True)]
        rows += _of_nobody(hidden, rows, periods, areas, by, kind)
        reasons += [FEW] * (len(rows) - len(reasons))
    for row, reason in zip(rows, reasons, strict=True):
        row["withheld"] = reason
        if reason:
            row.update(dict.fromkeys((*NUMBERS, "participants", "newcomers")))
    return sorted(rows, key=lambda row: tuple(row[name] for name in by))


def _hide_newcomers(
    rows: Sequence[dict[str, Any]], cells: Sequence[Sequence[Cell]], hidden: Set[Cell]
) -> None:
    """Do not tell of newcomers where they, or who took part besides, are few, or would give such a number away."""
    for row, found in zip(rows, cells, strict=True):
        new = row["newcomers"]
        if new is not None and not (
            told(new)
            and told(row["participants"] - new)
            and all(newcomers_offered(cell.unit, cell.area, cell.kind) for cell in found)
            and not any(cell._replace(kind=NEWCOMERS) in hidden for cell in found)
        ):
            row["newcomers"] = None


def whole_sums(
    connection: Connection,
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    *,
    by: Sequence[str] = (),
    kind: str | None = None,
    campaign: str | None = None,
) -> list[dict[str, Any]]:
    """The same with nothing withheld, for who gave a reason; the caller keeps it (`audit.saw`)."""
    rows = sums(connection, periods, areas, by=by, kind=kind, campaign=campaign)
    return [{**row, "withheld": None} for row in rows]


def _cells(
    row: Mapping[str, Any], periods: Sequence[CalendarPeriod], areas: Sequence[str], kind: str | None
) -> Iterator[Cell]:
    """The cells of the cube that a row is made of."""
    what = row.get("kind") or kind or ALL
    for period, area in product(
        [row["period"]] if "period" in row else periods, [row["area"]] if "area" in row else areas
    ):
        yield Cell(period.unit, period.first, area, what)


def _parts(cell: Cell) -> Iterator[Cell]:
    """The cells by which it is decided whether one is told: of a week, its days."""
    if cell.unit == "week":
        for day in CalendarPeriod(cell.unit, cell.first).parts("day"):
            yield cell._replace(unit="day", first=day.first)
    else:
        yield cell


def _reason(row: Mapping[str, Any], cells: Sequence[Cell], hidden: set[Cell]) -> str | None:
    if not all(offered(cell.unit, cell.area, cell.kind) for cell in cells):
        return FINE
    few = row["participants"] is not None and not told(row["participants"])
    return FEW if few or any(part in hidden for cell in cells for part in _parts(cell)) else None


def _of_nobody(
    hidden: Set[Cell],
    rows: Sequence[Mapping[str, Any]],
    periods: Sequence[CalendarPeriod],
    areas: Sequence[str],
    by: Sequence[str],
    kind: str | None,
) -> list[dict[str, Any]]:
    """Rows of cells that are withheld though nothing was recorded there, where rows are cells."""
    if not {"period", "area"} <= {
        *by,
        *(["period"] if len(periods) == 1 else []),
        *(["area"] if len(areas) == 1 else []),
    }:
        return []
    if "evidence" in by or not by:
        return []
    there = {tuple(row[name] for name in by) for row in rows}
    found = []
    for cell in hidden:
        if cell.kind == NEWCOMERS:
            continue
        values = {"period": CalendarPeriod(cell.unit, cell.first), "area": cell.area, "kind": cell.kind}
        key = tuple(values[name] for name in by)
        fitting = cell.kind != ALL if "kind" in by and not kind else cell.kind == (kind or ALL)
        if fitting and values["period"] in periods and key not in there:
            found.append(
                {**dict(zip(by, key, strict=True)), **dict.fromkeys((*NUMBERS, "participants", "newcomers"))}
            )
    return found


def _reasons_of_campaigns(
    connection: Connection, rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str | None]:
    """Why rows of a campaign each, of the district and all kinds, are not told: a row has to hold the whole campaign, as it is told as a
    whole by its own page, and enough people have to have taken part. What is outside of all campaigns is not told.
    """
    totals = SQLModel.metadata.tables["campaign_total"].c
    query = sa.select(totals.campaign, totals.actions + totals.city_actions, totals.participants)
    found = connection.execute(query.where(totals.campaign.in_({campaign for campaign, _row in rows})))
    wholes = {row[0]: (row[1], row[2]) for row in found}

    def reason(campaign: str, actions: int) -> str | None:
        whole, people = wholes.get(campaign, (0, 0))
        if not told(people):
            return FEW
        return None if campaign and actions == whole else FINE

    return [reason(campaign, row["actions"]) for campaign, row in rows]


def told_statistics(
    connection: Connection, within: Period, by: Sequence[str], district: str
) -> list[dict[str, Any]]:
    """`bureau.participation.statistics`, with `withheld` as in `told_sums`.

    Days that are no calendar period are told as the sum of calendar periods, each of which is told: so two spans that differ by a
    day give nothing away. Of campaigns it is told what lies in these days as a whole, and not what was outside of them.
    """
    rows = statistics(connection, within, by)
    pieces = _pieces(within)
    cells = []
    for row in rows:
        area = row.get("community") or row.get("division") or district
        spans = [CalendarPeriod("day", row["day"])] if "day" in by else pieces
        cells.append([Cell(span.unit, span.first, area, row.get("kind", ALL)) for span in spans])
    hidden = withheld_among(connection, {cell for found in cells for cell in found})
    reasons = [_reason(row, found, hidden) for row, found in zip(rows, cells, strict=True)]
    if "campaign" in by:
        reasons = _reasons_of_campaigns(connection, [(row["campaign"], row) for row in rows])
        reasons = [one if len(by) == 1 else FINE for one in reasons]
    for row, reason in zip(rows, reasons, strict=True):
        row["withheld"] = reason
        if reason:
            row.update(dict.fromkeys((*NUMBERS, "participants")))
    return rows


def untold_kinds(connection: Connection, within: Period, district: str) -> frozenset[str]:
    """The kinds whose numbers of these days are not told in the district: one of the calendar periods that make them up is withheld."""
    pieces = {(piece.unit, piece.first) for piece in _pieces(within)}
    hidden = withheld_among(connection, {Cell(unit, first, district, ALL) for unit, first in pieces})
    counts = SQLModel.metadata.tables["participant_count"].c
    few = sa.select(counts.unit, counts.first, counts.kind).where(
        counts.unit.in_({unit for unit, _ in pieces}),
        counts.first.in_({first for _, first in pieces}),
        counts.area == district,
        counts.campaign == ALL,
        counts.participants.between(1, FEWEST - 1),
    )
    untold = [(cell.unit, cell.first, cell.kind) for cell in hidden]
    untold += [tuple(row) for row in connection.execute(few)]
    return frozenset(
        kind for unit, first, kind in untold if (unit, first) in pieces and kind not in {ALL, NEWCOMERS}
    )


def _pieces(within: Period) -> list[CalendarPeriod]:
    """The largest calendar periods of the cube that make up some days."""
    found: list[CalendarPeriod] = []
    day = within.first
    while day <= within.last:
        fitting = (CalendarPeriod.containing(unit, day) for unit in reversed(UNITS))
        found.append(next(one for one in fitting if one.first == day and one.last <= within.last))
        day = found[-1].after().first
    return found
