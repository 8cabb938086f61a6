"""The statistics, checked by hand and by what is known of them."""

import random

import pytest

from fswatch_builder.research.estimates import Estimate, estimate, ratio


def test_the_median_lies_in_its_interval_and_measurements_that_agree_leave_no_doubt() -> None:
    assert estimate([3.0, 1.0, 2.0]).median == 2.0
    assert estimate([5.0] * 7) == Estimate(5.0, 5.0, 5.0, 7)
    assert estimate([4.0]) == Estimate(4.0, 4.0, 4.0, 1)


def test_the_same_measurements_give_the_same_interval() -> None:
    samples = [random.Random(1).gauss(10, 1) for _ in range(9)]
    assert estimate(samples) == estimate(samples)


def test_one_run_that_was_disturbed_does_not_move_the_middle() -> None:
    assert estimate([1.0, 1.1, 0.9, 1.0, 60.0]).median == 1.0


def test_the_interval_holds_the_true_median_about_as_often_as_it_promises() -> None:
    """Of 200 samples of 15, drawn from a skewed distribution whose median is known: log-normal, 1."""
    draw = random.Random(7)
    held = 0
    for _ in range(200):
        found = estimate([draw.lognormvariate(0, 0.5) for _ in range(15)])
        held += found.low <= 1 <= found.high
    # Binomial: 190 expected, three standard deviations are nine.
    assert 175 <= held <= 200


def test_the_interval_of_a_median_is_the_one_that_counting_all_draws_gives() -> None:
    """Of three measurements, 27 draws are equally likely, and 7 of them have the lowest as their median."""
    found = estimate([1.0, 2.0, 3.0])
    assert (found.low, found.high) == (1.0, 3.0)


def test_a_ratio_is_that_of_the_medians() -> None:
    found = ratio([4.0, 4.0, 4.0], [2.0, 2.0, 2.0])
    assert found == Estimate(2.0, 2.0, 2.0, 3)
    wide = ratio([3.0, 4.0, 5.0], [1.0, 2.0, 4.0])
    assert wide.median == 2.0
    assert wide.low < 2.0 < wide.high


def test_there_is_no_ratio_to_nothing_and_no_median_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        ratio([1.0], [0.0])
    with pytest.raises(ValueError, match="no median"):
        estimate([])


def test_intervals_overlap_where_they_share_a_point() -> None:
    assert Estimate(1, 0, 2, 3).overlaps(Estimate(3, 2, 4, 3))
    assert not Estimate(1, 0, 2, 3).overlaps(Estimate(3, 2.5, 4, 3))
