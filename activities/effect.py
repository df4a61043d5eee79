"""The effect (成效) of the scheme in a calendar period: what people say they would have done otherwise, and how many records are wrong.

Of the records that were asked about, and of those who answered, only: nothing is extrapolated to anybody else. What is additional stands
beside the estimated reductions, as a range, and is never added to them.

Read are the standing records, within the period, of whoever agrees to be asked (by `resident_id` and `day`, as records are indexed), each with
its answer (`otherwise_answer` by `action_id`); the spot checks of the months; and the sums of the period, which are kept ready.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import col, select

from activities.actions import Action
from activities.catalogue import ActionKind, EvidenceTier
from activities.error_rates import Rate, error_rates, wilson
from activities.otherwise import ANSWERS, Otherwise, OtherwiseAnswer, drawn
from activities.reviews import standing
from tanpuhui import clock
from tanpuhui.bureau.suppression import Sum, left_out
from tanpuhui.bureau.told import told_sums
from tanpuhui.errors import InvalidField
from tanpuhui.i18n import N_
from tanpuhui.participants import ALL
from tanpuhui.people import AccountKind, Consent, Document, Resident
from tanpuhui.periods import CalendarPeriod

#: Of what periods it is told: what is shorter is of too few people.
UNITS = ("month", "quarter", "year")

#: Records by their evidence, the two of them together, and what the city credits, which is in none of them.
PARTS = ("verified", "self_declared", "both", "city")

#: What became of a question. `additional`: would not have been done, or only a part of it; `silent`: neither answered nor skipped.
SAID = (
    *("asked", "answered", "skipped", "silent"),
    *("additional", *(one.value for one in ANSWERS)),
)

_ADDITIONAL = (Otherwise.NOT, Otherwise.PART)

#: A cell: the kind or `ALL`, the part, and what was said.
Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """What was said of the records of a part. A number is None where it is left out; milligrams of CO2e, low values."""

    said: Mapping[str, int | None]
    answered_mg: int | None
    #: From the records that would not have been done to those of which only a part would have been, each in full.
    additional_mg: tuple[int, int] | None
    estimated_mg: int | None
    checked: Rate | None

    @property
    def share(self) -> tuple[int, int, int] | None:
        """The share of the answers that is additional, and its Wilson interval of 95 %, in permille; None where it is left out.

        additional / answered, and for the interval the formula and the source in `error_rates.wilson`. Who could not say counts as
        an answer that is not additional.
        """
        additional, answered = self.said["additional"], self.said["answered"]
        if additional is None or not answered:
            return None
        return (2000 * additional + answered) // (2 * answered), *wilson(additional, answered)


@dataclass(frozen=True, slots=True)
class Effect:
    """Of a period, and of a kind or all kinds. `kinds`: those that were asked about."""

    period: CalendarPeriod
    kind: str | None
    kinds: tuple[str, ...]
    parts: Mapping[str, Part]


def asked_period(name: str) -> CalendarPeriod:
    """The month, quarter or year called `name`. Raises InvalidField for any other, and for one that has not begun."""
    period = CalendarPeriod.parse(name)
    if period.unit not in UNITS:
        raise _refused("period", N_("成效按月、季或年来看，例如 2026-06、2026-Q2、2026。"))
    if period.first > clock.today():
        raise _refused("period", N_("这段时间还没有开始。"))
    return period


def _refused(field: str, reason: str) -> InvalidField:
    return InvalidField(errors=[{"field": field, "reason": reason}])


def effect(connection: Connection, period: CalendarPeriod, district: str, kind: str | None = None) -> Effect:
    """What is told of a period. Raises InvalidField for an unknown kind.

    What is left out is decided for all kinds of the period together, so that none can be worked out from the others.
    """
    if kind and not connection.scalar(select(ActionKind.code).where(ActionKind.code == kind)):
        raise _refused("kind", N_("没有这种行为。"))
    found = _found(connection, period)
    kinds = tuple(sorted({key for key, _part in found if key != ALL}))
    people = {
        (key, part, said): found[key, part][f"{said}_people"] if (key, part) in found else 0
        for key in (*kinds, ALL)
        for part in PARTS
        for said in SAID
    }
    hidden = left_out(people, [*_sums(kinds)])
    rates = error_rates(connection, period.first, period.last, kind).district
    (estimated,) = told_sums(connection, [period], [district], kind=kind)
    names = {"verified": "verified_co2e_mg", "self_declared": "self_declared_co2e_mg", "both": "co2e_mg"}
    of_kind = kind or ALL

    def part_of(part: str) -> Part:
        numbers = found.get((of_kind, part), {})

        def told(said: str, what: str) -> int | None:
            if (of_kind, part, said) in hidden:
                return None
            return int(numbers.get(f"{said}_{what}") or 0)

        least, most = told("not", "mg"), told("additional", "mg")
        return Part(
            {said: told(said, "records") for said in SAID},
            told("answered", "mg"),
            None if least is None or most is None else (min(least, most), max(least, most)),
            estimated[names.get(part, "city_co2e_mg")],
            {"verified": rates[True], "self_declared": rates[False]}.get(part),
        )

    return Effect(period, kind, kinds, {part: part_of(part) for part in PARTS})


def _sums(kinds: tuple[str, ...]) -> Iterator[Sum[Cell]]:
    """How cells add up: answers to the answered and the asked, evidence to both, kinds to all."""
    for key in (*kinds, ALL):
        for part in PARTS:
            yield Sum(tuple((key, part, one.value) for one in _ADDITIONAL), (key, part, "additional"))
            answers = ("additional", *(one.value for one in ANSWERS if one not in _ADDITIONAL))
            yield Sum(tuple((key, part, said) for said in answers), (key, part, "answered"))
            asked = ("answered", "skipped", "silent")
            yield Sum(tuple((key, part, said) for said in asked), (key, part, "asked"))
        for said in SAID:
            yield Sum(((key, "verified", said), (key, "self_declared", said)), (key, "both", said))
    for part in PARTS:
        for said in SAID:
            yield Sum(tuple((key, part, said) for key in kinds), (ALL, part, said))


def _found(connection: Connection, period: CalendarPeriod) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind (or `ALL`) and part: of everything in `SAID` the records, the distinct people and the milligrams."""
    asked = _asked(period).cte("asked")
    evidence = sa.case((asked.c.city, "city"), (asked.c.verified, "verified"), else_="self_declared")
    columns = [column for said in SAID for column in _counted(said, asked)]
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for key in (asked.c.kind, sa.literal(ALL)):
        for part in (evidence, sa.literal("both")):
            query = sa.select(key.label("kind"), part.label("part"), *columns).group_by(
                *(one for one in (key, part) if not isinstance(one, sa.BindParameter))
            )
            if part is not evidence:
                query = query.where(~asked.c.city)
            found |= {(row["kind"], row["part"]): dict(row) for row in connection.execute(query).mappings()}
    return found


def _counted(said: str, asked: sa.CTE) -> Iterator[Any]:
    """The records, people and milligrams of which `said` was said."""
    answers = {
        "answered": ANSWERS,
        "additional": _ADDITIONAL,
    }.get(said) or ([Otherwise(said)] if said in set(Otherwise) else [])
    these: Any = sa.true() if said == "asked" else asked.c.answer.in_([one.value for one in answers])
    if said == "silent":
        these = asked.c.answer.is_(None)
    yield sa.func.count().filter(these).label(f"{said}_records")
    yield sa.func.count(asked.c.resident_id.distinct()).filter(these).label(f"{said}_people")
    yield sa.func.sum(asked.c.co2e_mg).filter(these).label(f"{said}_mg")


def _asked(period: CalendarPeriod) -> Any:
    """The records that were asked about: drawn, of people who agreed (to whatever words) and have not taken it back."""
    agreed = (
        sa.select(col(Consent.resident_id))
        .join(Resident, col(Resident.id) == col(Consent.resident_id))
        .where(
            col(Consent.document) == Document.QUESTIONS.value,
            col(Consent.withdrawn_at).is_(None),
            col(Resident.account_kind) != AccountKind.CLASS,
        )
        .distinct()
        .subquery()
    )
    return (
        sa.select(
            col(Action.resident_id),
            col(Action.kind),
            col(Action.co2e_mg),
            col(Action.city_credited).label("city"),
            col(EvidenceTier.counts_as_verified).label("verified"),
            sa.cast(col(OtherwiseAnswer.answer), sa.Text).label("answer"),
        )
        .select_from(agreed)
        .join(Action, col(Action.resident_id) == agreed.c.resident_id)
        .join(EvidenceTier, col(EvidenceTier.code) == col(Action.evidence))
        .outerjoin(OtherwiseAnswer, col(OtherwiseAnswer.action_id) == col(Action.id))
        .where(col(Action.day).between(period.first, period.last), drawn(), standing())
    )
