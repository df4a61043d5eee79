"""What if: the sum over records is exact, whatever they hold, and what is not known stays unknown."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from hypothesis import given, settings, strategies as st

from activities.actions import Action, ActionVoid
from activities.quantify import whatif
from activities.quantify.calculation import quantify
from activities.quantify.factors import POLLUTANTS, FactorVersion
from activities.quantify.whatif import MEASURES, Choices, Comparison, Part, Row
from activities.reviews import ActionReview
from tanpuhui.errors import InvalidField

DAY = date(2026, 6, 5)
STREETS = ("310106006", "310106011")


def version(kind: str, number: int, low: int = 10**9, *, city: bool = False, **more: Any) -> FactorVersion:
    high = more.pop("high", low)
    return FactorVersion(
        id=f"{kind}@{number}", action_code=kind, version=number, city_credited=city,
        co2e_low_ng=low, co2e_mid_ng=low, co2e_high_ng=high, **more,
    )  # fmt: skip


# --- whatever was recorded ----------------------------------------------------------------------------------

_POLLUTANT = st.none() | st.integers(-9 * 10**12, 9 * 10**12)
_FACTORS = st.builds(
    lambda low, more, city, rest: {"low": low, "high": low + more, "city": city, **rest},
    st.integers(0, 4 * 10**15),
    st.integers(0, 5 * 10**15),
    st.booleans(),
    st.fixed_dictionaries({f"{name}_ng": _POLLUTANT for name in POLLUTANTS}),
)
#: kind, number of the version, street, thousandths, voided. Few quantities, so that records are alike.
_RECORDS = st.tuples(
    st.sampled_from(["glass", "paper"]),
    st.integers(1, 2),
    st.sampled_from(STREETS),
    st.sampled_from([1, 333, 1000, 999_999_999_999]) | st.integers(1, 50_000),
    st.booleans(),
)


@contextmanager
def recorded(
    records: Sequence[tuple[str, int, str, int, bool]], versions: dict[tuple[str, int], FactorVersion]
) -> Iterator[sa.Connection]:
    """A database that holds these actions, each computed by its version."""
    tables = [Action.__table__, ActionVoid.__table__, ActionReview.__table__]  # type: ignore[attr-defined]
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for table in tables:
            table.create(connection)
        now = datetime(2026, 6, 5, tzinfo=UTC)
        for ordinal, (kind, number, street, milli, voided) in enumerate(records, 1):
            reduction = asdict(quantify(milli, versions[kind, number]))
            action = Action(
                id=uuid4(), resident_id=uuid4(), day=DAY, kind=kind, ordinal=ordinal, quantity_milli=milli,
                occurred_at=now, recorded_at=now, evidence="measured", site_id=uuid4(), code_id=1,
                division_code=f"{street}002", city_credited=versions[kind, number].city_credited, **reduction,
            )  # fmt: skip
            connection.execute(sa.insert(tables[0]).values(action.model_dump()))
            if voided:
                connection.execute(
                    sa.insert(tables[1]).values(
                        action_id=action.id, voided_at=now, voided_by=uuid4(), reason="-"
                    )
                )
        yield connection
    engine.dispose()


def added_up(
    records: Sequence[tuple[str, int, str, int, bool]], versions: dict[tuple[str, int], FactorVersion]
) -> dict[Any, dict[str, int]]:
    """The plain sum, one record after the other: (kind, street, city) -> measure -> sum and known."""
    found: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for kind, number, street, milli, voided in records:
        factor = versions[kind, number]
        if voided:
            continue
        part = found[kind, street, factor.city_credited]
        part["records"] += 1
        for measure in MEASURES:
            value = getattr(quantify(milli, factor), measure)
            if value is not None:
                part[measure] += value
                part[f"{measure} known"] += 1
    return found


def parts(rows: list[Row], side: str) -> dict[Any, dict[str, int]]:
    found: dict[Any, dict[str, int]] = {}
    for row in rows:
        for city, comparison in ((False, row.own), (True, row.city)):
            part = getattr(comparison, side)
            if part.records:
                known = {f"{measure} known": count for measure, count in part.known.items()}
                found[row.kind, row.street, city] = {"records": part.records, **part.sums, **known}
    return found


@settings(max_examples=60, deadline=None)
@given(records=st.lists(_RECORDS, max_size=25), values=st.tuples(*[_FACTORS] * 6), replaced=st.integers(0, 3))
def test_the_answer_is_the_sum_over_the_records_and_never_overflows(
    records: list[tuple[str, int, str, int, bool]], values: tuple[dict[str, Any], ...], replaced: int
) -> None:
    keys = [(kind, number) for kind in ("glass", "paper") for number in (1, 2, 3)]
    versions = {key: version(*key, **more) for key, more in zip(keys, values, strict=True)}
    replacements = {
        kind: versions[kind, 3] for at, kind in enumerate(("glass", "paper")) if replaced >> at & 1
    }
    with recorded(records, versions) as connection:
        rows = whatif.what_if(connection, DAY, DAY, replacements)
    instead = [(kind, 3 if kind in replacements else of, *rest) for kind, of, *rest in records]
    assert parts(rows, "recorded") == added_up(records, versions)
    assert parts(rows, "recomputed") == added_up(instead, versions)  # type: ignore[arg-type]
    standing = [record for record in records if not record[4]]
    total = whatif.total(rows)
    assert total.records == len(standing)
    assert total.concerned == sum(kind in replacements for kind, *_ in standing)
    assert total.moved == sum(
        versions[kind, of].city_credited != replacements[kind].city_credited
        for kind, of, *_ in standing
        if kind in replacements
    )
    for rolled_up in (whatif.by_kind(rows), whatif.by_street(rows)):
        assert whatif.total(rolled_up) == total


def test_what_is_rounded_once_for_all_is_not_what_was_recorded() -> None:
    """The negative control: the sum of the quantities, which figures hold, gives another number."""
    factor, other = version("glass", 1, 1_600_000_000), version("glass", 2, 1_900_000_000, so2_ng=-1_500_000)
    versions = {("glass", 1): factor, ("glass", 2): other}
    with recorded([("glass", 1, STREETS[0], 1, False)] * 10, versions) as connection:
        own = whatif.total(whatif.what_if(connection, DAY, DAY, {"glass": other})).own
    assert own.recorded.value("co2e_mg") == 10  # each 1.6 mg, rounded down
    assert own.recomputed.value("co2e_mg") == 10  # each 1.9 mg
    assert own.recomputed.value("so2_ug") == -20  # each -1.5 µg: an added emission never shrinks
    at_once = quantify(10, other)
    assert (at_once.co2e_mg, at_once.so2_ug) == (19, -15)


def test_only_the_days_of_the_period_count() -> None:
    factor = version("glass", 1)
    with recorded([("glass", 1, STREETS[0], 1000, False)], {("glass", 1): factor}) as connection:
        assert whatif.what_if(connection, date(2026, 6, 6), date(2026, 6, 7), {}) == []
        assert len(whatif.what_if(connection, date(2026, 6, 1), date(2026, 6, 5), {})) == 1


# --- what is compared ---------------------------------------------------------------------------------------


def compared(before: FactorVersion, after: FactorVersion, *records: int) -> Row:
    with recorded(
        [(before.action_code, before.version, STREETS[0], milli, False) for milli in records],
        {(before.action_code, before.version): before},
    ) as connection:
        return whatif.total(whatif.what_if(connection, DAY, DAY, {after.action_code: after}))


def test_a_pollutant_that_only_one_version_knows_has_no_difference() -> None:
    row = compared(version("glass", 1, nox_ng=10**6), version("glass", 2, 2 * 10**9, so2_ng=10**6), 1000)
    assert (row.own.recorded.value("nox_ug"), row.own.recomputed.value("nox_ug")) == (1000, None)
    assert (row.own.recorded.value("so2_ug"), row.own.recomputed.value("so2_ug")) == (None, 1000)
    assert (row.own.recorded.known["so2_ug"], row.own.recomputed.known["so2_ug"]) == (0, 1)
    for measure in ("nox_ug", "so2_ug", "co_ug"):
        assert (row.own.difference(measure), row.own.percent(measure)) == (None, None)
    assert (row.own.difference("co2e_mg"), row.own.percent("co2e_mg")) == (1000, "100.00")


def test_sums_over_different_records_are_not_subtracted() -> None:
    """Of two kinds one gains a factor for NOx: together they have no difference, though both sums are known."""
    versions = {("glass", 1): version("glass", 1, nox_ng=10**6), ("paper", 1): version("paper", 1)}
    records = [("glass", 1, STREETS[0], 1000, False), ("paper", 1, STREETS[1], 1000, False)]
    with recorded(records, versions) as connection:
        rows = whatif.what_if(connection, DAY, DAY, {"paper": version("paper", 2, nox_ng=10**6)})
    total = whatif.total(rows).own
    assert (total.recorded.value("nox_ug"), total.recomputed.value("nox_ug")) == (1000, 2000)
    assert (total.recorded.known["nox_ug"], total.recomputed.known["nox_ug"]) == (1, 2)
    assert total.difference("nox_ug") is None
    glass = next(row for row in rows if row.kind == "glass").own
    assert glass.difference("nox_ug") == 0


def test_records_that_would_move_to_the_city_leave_the_districts_total() -> None:
    row = compared(version("glass", 1, nox_ng=10**6), version("glass", 2, city=True, nox_ng=10**6), 1000, 500)
    assert (row.records, row.concerned, row.moved) == (2, 2, 2)
    assert (row.own.recorded.records, row.own.recomputed.records) == (2, 0)
    assert (row.city.recorded.records, row.city.recomputed.records) == (0, 2)
    assert (row.own.difference("co2e_mg"), row.city.difference("co2e_mg")) == (-1500, 1500)
    assert (row.own.percent("co2e_mg"), row.city.percent("co2e_mg")) == ("-100.00", None)
    assert (row.own.recorded.value("nox_ug"), row.own.recomputed.value("nox_ug")) == (1500, None)
    assert (row.own.difference("nox_ug"), row.city.difference("nox_ug")) == (None, None)


def test_the_version_of_the_record_itself_changes_nothing() -> None:
    factor = version("glass", 1, nox_ng=10**6)
    row = compared(factor, factor, 1000, 333)
    assert (row.records, row.concerned, row.moved) == (2, 0, 0)
    assert row.own.recorded == row.own.recomputed
    assert (row.own.difference("co2e_mg"), row.own.percent("co2e_mg")) == (0, "0.00")


@pytest.mark.parametrize(
    ("difference", "base", "text"),
    [(1, 3, "33.33"), (-1, 3, "-33.33"), (2, 3, "66.66"), (-50, 100, "-50.00"), (50, -100, "50.00"),
     (-1, 10**6, "0.00"), (10**30, 10**12, "100000000000000000000.00")],
)  # fmt: skip
def test_a_percentage_is_cut_to_two_digits(difference: int, base: int, text: str) -> None:
    assert whatif.percent(difference, base) == text


def test_a_percentage_of_nothing_is_undefined() -> None:
    none, some = Part(), Part(1, Counter(co2e_mg=5), Counter(co2e_mg=1))
    assert Comparison(none, some).percent("co2e_mg") is None
    assert Comparison(some, none).percent("co2e_mg") == "-100.00"


def test_streets_and_kinds_without_records_have_their_row() -> None:
    assert [(row.street, row.records) for row in whatif.by_street([], STREETS)] == [
        (street, 0) for street in STREETS
    ]
    assert [(row.kind, row.records) for row in whatif.by_kind([], ["glass"])] == [("glass", 0)]


# --- what to compute with -----------------------------------------------------------------------------------

GLASS = [version("glass", 1), version("glass", 2, valid_from=date(2026, 5, 1)),
         version("glass", 3, valid_from=date(2026, 3, 1), valid_to=date(2026, 4, 30))]  # fmt: skip
PAPER = version("paper", 1)
OFFERED = Choices({factor.id: factor for factor in (*GLASS, PAPER)}, {"7": version("paper", 0)})


def test_newest_is_the_version_that_takes_effect_last() -> None:
    assert OFFERED.replacements(newest=True) == {"glass": GLASS[1], "paper": PAPER}


def test_what_is_named_goes_before_the_newest() -> None:
    chosen = OFFERED.replacements(["glass@1"], ["7"], newest=True)
    assert {kind: (factor.action_code, factor.version) for kind, factor in chosen.items()} == {
        "glass": ("glass", 1),
        "paper": ("paper", 0),
    }


@pytest.mark.parametrize(
    ("versions", "proposals", "at"),
    [(["glass@9"], [], "version"), (["7"], [], "version"), ([], ["8"], "proposal"),
     ([], ["glass@1"], "proposal"), (["glass@1", "glass@2"], [], "version"), (["paper@1"], ["7"], "proposal")],
)  # fmt: skip
def test_an_unknown_factor_and_a_second_one_of_a_kind_are_refused(
    versions: list[str], proposals: list[str], at: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        OFFERED.replacements(versions, proposals)
    assert [error["field"] for error in refused.value.params["errors"]] == [at]


def test_the_same_factor_twice_is_one() -> None:
    assert OFFERED.replacements(["glass@1", "glass@1"]) == {"glass": GLASS[0]}
