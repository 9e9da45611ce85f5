"""One table of kinds: what the database allows and what the worker can write are exactly what it names."""

from store import models
from store.turns.kinds import FOLLOWING, KINDS, Opening, Result
from tests.nemesis.evidence import WRITTEN
from worker.prompt.turn_kinds import PART_KINDS


def test_table_constraint_and_worker_have_the_same_kinds():
    assert tuple(KINDS) == models.KINDS == tuple(PART_KINDS)


def test_what_follows_begins_with_nothing():
    assert {KINDS[name].opening for name in FOLLOWING} == {Opening.NOTHING}


def test_the_nemesis_knows_which_kinds_leave_words():
    assert tuple(name for name, kind in KINDS.items() if kind.result is Result.MESSAGE) == WRITTEN
