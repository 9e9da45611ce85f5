"""One table of kinds: what the database allows and what the worker can write are exactly what it names."""

from store import models
from store.turns.kinds import FOLLOWING, KINDS, Opening
from tests.nemesis import clients
from worker.prompt.turn_kinds import PART_KINDS


def test_table_constraint_and_worker_have_the_same_kinds():
    assert tuple(KINDS) == models.KINDS == tuple(PART_KINDS)


def test_what_follows_begins_with_nothing():
    assert {KINDS[name].opening for name in FOLLOWING} == {Opening.NOTHING}


def test_the_storm_plays_every_kind():
    assert set(clients.KINDS) == set(KINDS)
    assert {name for then in clients.THEN for name in then} == set(FOLLOWING)
