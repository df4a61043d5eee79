"""Where the 街镇 stand in the schematic map: a tile for each, roughly as they lie. No borders, no areas, no distances.

The positions are data (`tiles_<district>.csv`, row and column from the north-west) and nobody's survey: whoever knows better
changes the file. A district without such a file has no map; its table tells the same.
"""

import csv
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def tile_rows(district: str) -> tuple[tuple[str | None, ...], ...]:
    """The codes of the 街镇 of a district by rows from north to south and columns from west to east; None where no tile is."""
    file = _HERE / f"tiles_{district}.csv"
    if not file.is_file():
        return ()
    with file.open(encoding="utf-8", newline="") as text:
        at = {(int(row["row"]), int(row["column"])): row["code"] for row in csv.DictReader(text)}
    rows, columns = (range(1, max(place[side] for place in at) + 1) for side in (0, 1))
    return tuple(tuple(at.get((row, column)) for column in columns) for row in rows)
