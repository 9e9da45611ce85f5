"""The estimate of a wait."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.broker.eta import seconds_until_start

SECONDS = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)


def test_nothing_is_known_before_the_first_turn():
    assert seconds_until_start(0, 1, [3.0], []) is None
    assert seconds_until_start(3, 2, [], []) is None


def test_a_free_lane_means_now():
    assert seconds_until_start(0, 2, [3.0], []) == 0.0
    assert seconds_until_start(1, 2, [], []) == 0.0


def test_equal_turns_are_counted_out():
    assert seconds_until_start(0, 1, [4.0], [10.0]) == pytest.approx(6.0)
    assert seconds_until_start(3, 1, [4.0], [10.0]) == pytest.approx(36.0)
    assert seconds_until_start(3, 2, [4.0, 9.0], [10.0]) == pytest.approx(11.0 + 5.0)


def test_a_turn_that_outlasts_all_known_ones_is_not_taken_for_almost_done():
    """Behind a turn of 40 s, after short ones, 1 s was shown for half a minute."""
    shown = [seconds_until_start(0, 1, [taken_s], [1.0, 1.0, 2.0, 1.0]) for taken_s in (3.0, 5.0, 10.0, 20.0)]
    assert shown == [3.0, 5.0, 10.0, 20.0]
    assert seconds_until_start(1, 1, [20.0], [1.0]) == 21.0


def test_a_turn_that_just_outlasts_those_that_wrote_all_they_may_ends_soon():
    assert seconds_until_start(0, 1, [20.5], [20.0, 20.0]) == pytest.approx(4.0)


@given(SECONDS, st.lists(st.floats(0, 200), max_size=4), st.integers(1, 4), st.integers(0, 20))
def test_an_estimate_is_never_negative_and_zero_only_where_a_lane_is_free(turn_s, busy_s, lanes, ahead):
    busy_s = busy_s[:lanes]
    wait_s = seconds_until_start(ahead, lanes, busy_s, turn_s)
    assert wait_s is not None
    assert (wait_s == 0.0) == (ahead + len(busy_s) < lanes)
    assert wait_s >= 0.0


def test_of_many_lanes_the_shortest_turn_counts():
    """Four lanes with turns of random length: the truth, simulated, lies near the answer."""
    draw = random.Random(7)
    turn_s = [draw.expovariate(0.1) for _ in range(40)]
    truth = statistics.median(min(draw.expovariate(0.1) for _ in range(4)) for _ in range(2000))
    assert seconds_until_start(0, 4, [0.0] * 4, turn_s) == pytest.approx(truth, rel=0.6)
