"""What is due of a bonus, and what is granted of it: whole points, rounded down, within cap and budget."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from activities.events import BonusRules
from rewards.grants import Short, share
from rewards.pools import BonusRule, BonusUnit, CampaignBonus, rule_at
from tanpuhui import clock, ids

SOME = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("unit", "amount", "points", "due"),
    [
        ("percent", 50, 10, 5),
        ("percent", 50, 3, 1),
        ("percent", 10, 9, 0),
        ("percent", 1000, 7, 70),
        ("percent", 33, 100, 33),
        ("points", 5, 10, 5),
        ("points", 5, 1, 5),
        ("points", 5, 0, 0),  # nothing on top of nothing
        ("percent", 100, 0, 0),
    ],
)
def test_what_is_due(unit: str, amount: int, points: int, due: int) -> None:
    assert BonusRule(1, BonusUnit(unit), amount, 100, clock.now()).due(points) == due


@pytest.mark.parametrize(
    ("due", "cap_left", "budget_left", "granted", "short"),
    [
        (5, 100, 100, 5, None),
        (5, 3, 100, 3, Short.CAP),
        (5, 0, 100, 0, Short.CAP),
        (5, -4, 100, 0, Short.CAP),  # a later version has a lower cap
        (5, 100, 3, 3, Short.BUDGET),
        (5, 100, 0, 0, Short.BUDGET),
        (5, 3, 2, 2, Short.BUDGET),
        (5, 0, 0, 0, Short.CAP),
        (5, 5, 5, 5, None),
    ],
)
def test_what_is_granted(due: int, cap_left: int, budget_left: int, granted: int, short: Short) -> None:
    assert share(due, cap_left, budget_left) == (granted, short)


@given(SOME, st.integers(-10_000, 10_000), SOME)
def test_as_much_as_cap_and_budget_let(due: int, cap_left: int, budget_left: int) -> None:
    granted, short = share(due, cap_left, budget_left)
    assert granted == max(0, min(due, cap_left, budget_left))
    assert (short is None) == (granted == due)


def test_the_rule_of_a_record_is_that_of_the_moment_it_was_made() -> None:
    begin = clock.now()
    version = CampaignBonus(campaign_id=ids.new_id(), version=1, valid_from=begin)
    first = version.model_copy(update={"unit": BonusUnit.POINTS, "amount": 5, "cap": 50, "budget": 500})
    none = version.model_copy(update={"version": 2, "valid_from": begin + timedelta(hours=1)})
    third = first.model_copy(update={"version": 3, "amount": 9, "valid_from": begin + timedelta(hours=2)})
    versions = [third, none, first]
    found = [rule_at(versions, begin + timedelta(hours=hours)) for hours in (-1, 0, 0.5, 1, 2, 99)]
    assert [rule and (rule.version, rule.amount) for rule in found] == [
        None,
        (1, 5),
        (1, 5),
        None,
        (3, 9),
        (3, 9),
    ]


def test_the_units_are_those_of_the_rules_of_campaigns() -> None:
    annotation = BonusRules.model_fields["by"].annotation
    assert set(BonusUnit) == set(annotation.__args__)  # type: ignore[union-attr]
