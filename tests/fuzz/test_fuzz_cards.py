"""A slice of the mutated card files, always the same; `make fuzz MINUTES=5` has the long run.

In a process of its own, for the fence around its memory would stand in the way of other tests.
"""

import multiprocessing

import pytest

from store.cards.errors import PROBLEMS
from tests.fuzz.mutations import case, giants
from tests.fuzz.trial import tried
from tests.harness.soak import SOAK, n_examples

N_CASES = n_examples(500, 10_000)


@pytest.fixture(scope="module")
def verdicts():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map_async(tried, range(N_CASES), chunksize=100).get(timeout=3600 if SOAK else 100)


def test_every_file_is_taken_or_refused_with_a_sentence(verdicts):
    slow = [one for one in verdicts if one.wrong.endswith("of CPU")]  # measured by `make fuzz`, on a quiet machine
    assert [one for one in verdicts if one.wrong and one not in slow] == []
    codes = {one.code for one in verdicts}
    assert codes <= {"taken", *PROBLEMS}
    assert len(codes) > 10


def test_a_case_is_always_the_same():
    assert [case(number) for number in range(60)] == [case(number) for number in range(60)]


def test_the_giants_are_no_small_fry():
    assert max(map(len, giants())) == 8 << 20
