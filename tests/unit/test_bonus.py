"""What is due of a bonus, and what is granted of it: whole points, rounded down, within cap and budget."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from activities.events import BonusRules
from rewards.grants import Credit, Short, decide, share
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


# --- out of order --------------------------------------------------------------------------------------------

BEGIN = clock.now()
CASES = 10_000


def _versions(cap: int) -> list[CampaignBonus]:
    """Five points an action, and twice as many from the tenth minute on."""
    first = CampaignBonus(
        campaign_id=ids.new_id(),
        version=1,
        unit=BonusUnit.POINTS,
        amount=5,
        cap=cap,
        budget=500,
        valid_from=BEGIN,
    )
    second = first.model_copy(
        update={"version": 2, "amount": 10, "valid_from": BEGIN + timedelta(minutes=10)}
    )
    return [second, first]


def _history() -> tuple[list[Credit], list[UUID]]:
    """What four residents earned, minute by minute, and which of it was voided."""
    residents = [ids.new_id() for _ in range(4)]
    earned = [
        Credit(ids.new_id(), residents[at % 4], points=at % 3, recorded_at=BEGIN + timedelta(minutes=at))
        for at in range(13)
    ]
    return earned, [earned[at].action_id for at in (1, 5, 11)]


def _brought(
    facts: Sequence[Credit | UUID], chance: random.Random, versions: Sequence[CampaignBonus], budget: int
) -> tuple[dict[UUID, int], int]:
    """What stands after these facts have come in batches of some size, some of them twice, and the most that ever stood.

    As the subscriber does it: of a batch the voids first; what was decided is not decided again; a void gives back.
    """
    bag, most = [*facts, *chance.sample(facts, len(facts) // 3)], 0
    chance.shuffle(bag)
    stands: dict[UUID, int] = {}
    holder: dict[UUID, UUID] = {}
    net: defaultdict[UUID, int] = defaultdict(int)
    while bag:
        size = chance.randint(1, 7)
        batch, bag = bag[:size], bag[size:]
        for void in (fact for fact in batch if isinstance(fact, UUID)):
            if stands.get(void):
                net[holder[void]] -= stands[void]
            stands[void] = 0
        fresh = {
            fact.action_id: fact
            for fact in batch
            if isinstance(fact, Credit) and fact.action_id not in stands
        }
        for decision in decide(fresh.values(), versions, net, budget - sum(stands.values())):
            stands[decision.action_id] = decision.granted
            holder[decision.action_id] = decision.resident_id
            net[decision.resident_id] += decision.granted
            assert decision.granted == decision.due or decision.short is not None
        assert all(has <= versions[0].cap for has in net.values())
        most = max(most, sum(stands.values()))
    return {action: points for action, points in stands.items() if points}, most


def test_in_ten_thousand_orders_the_same_comes_out_and_never_more_than_there_is() -> None:
    """Reversed, doubled, late, in any batches: equal while cap and budget reach, within both where they do not."""
    earned, voided = _history()
    ample, scarce = _versions(cap=500), _versions(cap=23)
    wanted = {
        one.action_id: (10 if one.recorded_at >= ample[0].valid_from else 5)
        for one in earned
        if one.points and one.action_id not in voided
    }
    for seed in range(CASES):
        chance = random.Random(seed)
        assert _brought([*earned, *voided], chance, ample, 500)[0] == wanted, f"seed {seed}"
        if seed % 5 == 0:
            assert _brought([*earned, *voided], chance, scarce, 41)[1] <= 41, f"seed {seed}"


def test_the_units_are_those_of_the_rules_of_campaigns() -> None:
    annotation = BonusRules.model_fields["by"].annotation
    assert set(BonusUnit) == set(annotation.__args__)  # type: ignore[union-attr]
