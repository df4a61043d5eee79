"""Error rates: the Wilson interval against values worked out by hand."""

import pytest

from activities.error_rates import Rate, rate_of, wilson
from activities.spot_checks import Outcome


@pytest.mark.parametrize(
    ("wrong", "judged", "interval"),
    [
        (0, 0, (0, 1000)),
        (0, 1, (0, 794)),  # z²/(1+z²) = 3.84146/4.84146 = 0.79345
        (0, 10, (0, 278)),  # 3.84146/13.84146 = 0.27753
        (1, 1, (206, 1000)),  # 1/4.84146 = 0.20655
        (10, 10, (722, 1000)),  # 10/13.84146 = 0.72247
        (1, 10, (17, 405)),  # 0.01788 to 0.40415
        (5, 50, (43, 214)),  # 0.04348 to 0.21360
        (50, 100, (403, 597)),  # 0.40383 to 0.59617
    ],
)
def test_the_wilson_interval(wrong: int, judged: int, interval: tuple[int, int]) -> None:
    assert wilson(wrong, judged) == interval


def test_the_interval_mirrors_and_holds_the_share() -> None:
    for judged in range(1, 40):
        for wrong in range(judged + 1):
            low, high = wilson(wrong, judged)
            assert wilson(judged - wrong, judged) == (1000 - high, 1000 - low)
            assert low * judged <= 1000 * wrong <= high * judged


def test_more_wrong_than_judged_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_a_rate_counts_what_is_known_alone() -> None:
    outcomes = {
        Outcome.RIGHT: 5,
        Outcome.WRONG_KIND: 1,
        Outcome.DID_NOT_HAPPEN: 1,
        Outcome.CANNOT_TELL: 2,
        None: 3,
    }
    rate = rate_of(outcomes)
    assert rate == Rate(right=5, wrong=2, cannot_tell=2, open=3)
    assert (rate.judged, rate.permille) == (7, 286)
    assert Rate(cannot_tell=4).permille is None
    assert rate + Rate(right=1) == Rate(6, 2, 2, 3)
