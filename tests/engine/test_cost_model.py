"""min(restore, read): what is learned, on which tier and how much of a block it decides, and a wrong one heals."""

import pytest

from engine.kv.candidates import Candidate
from engine.kv.cost_model import CostModel

READ_PER_S = 1000.0


def learned(tier="ram", s_per_token=0.0005, n_tokens=(4, 300, 20, 600, 80)):
    """Reading takes 1 ms a token, restoring from `tier` so much."""
    costs = CostModel()
    costs.learn_reading(100, 100 / READ_PER_S)
    for each in n_tokens:
        costs.learn_restoring(tier, each, each * s_per_token)
    return costs


def candidate(tier, n_tokens, n_saved=None):
    return Candidate(tier, b"", 0, n_tokens, n_tokens if n_saved is None else n_saved, 0)


def blocks(tier, *lengths):
    return [candidate(tier, n_tokens) for n_tokens in lengths]


def test_what_is_not_known_is_restored():
    assert CostModel().best_prefix(blocks("disk", 5, 5000)) == 2
    slow = CostModel()
    slow.learn_restoring("ram", 10, 99.0)
    assert slow.best_prefix(blocks("ram", 10)) == 1, "one measurement is no verdict"


def test_a_slow_tier_loses_against_reading_and_a_fast_one_wins():
    costs = learned("ram", 0.0005)
    for n_tokens in (10, 300, 1000, 50):
        costs.learn_restoring("disk", n_tokens, n_tokens * 0.01)
    assert costs.best_prefix(blocks("ram", 1000)) == 1
    assert costs.best_prefix(blocks("disk", 1000)) == 0


def test_from_disk_costs_the_way_through_ram_as_well():
    costs = learned("ram", 0.0008)
    for n_tokens in (100, 300, 1000, 50):
        costs.learn_restoring("disk", n_tokens, n_tokens * 0.0008)
    assert costs.best_prefix(blocks("ram", 2000)) == 1
    assert costs.best_prefix(blocks("disk", 2000)) == 0


def test_the_best_beginning_is_chosen():
    """Restored is a beginning: a block that costs more than reading is worth it in front of cheap ones, not behind."""
    costs = learned("ram", 0.002)
    slow, free = blocks("ram", 500), blocks("cells", 2000)
    assert costs.best_prefix(slow + free) == 2
    assert costs.best_prefix(free + slow) == 1


def test_cells_cost_nothing():
    assert learned("ram", 10.0).best_prefix(blocks("cells", 5, 5)) == 2


def test_a_part_of_a_block_saves_only_that_part():
    costs = learned()
    assert costs.best_prefix([candidate("ram", 1000, 1000)]) == 1
    assert costs.best_prefix([candidate("ram", 1000, 100)]) == 0


def test_a_small_loss_decides_nothing():
    costs = learned("ram", 0.005)
    assert costs.best_prefix(blocks("ram", 1, 1, 1)) == 3
    costs.tolerance_s = 0.001
    assert costs.best_prefix(blocks("ram", 1, 1, 1)) == 0


def test_of_snapshots_the_longest_is_taken_unless_that_costs_more_than_the_tolerance():
    """A token costs 1.2 ms from RAM and 1 ms to read: each token more of a snapshot loses 0.2 ms."""
    costs = learned("ram", 0.0012)
    short, long = blocks("ram", 100, 1000)
    assert costs.best_single([short, long]) == short
    costs.tolerance_s = 1.0
    assert costs.best_single([short, long]) == long
    costs.tolerance_s = 0.0
    assert costs.best_single([short, long]) is None
    assert costs.best_single([]) is None


def test_one_stall_is_no_verdict():
    costs = learned()
    costs.learn_restoring("ram", 20, 30.0)
    assert costs.best_prefix(blocks("ram", 1000)) == 1


@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_a_wrong_verdict_heals(tier):
    """Restoring was slow once; now it is fast, which only trying can show. The cost of trying stays small."""
    costs = learned(tier, 0.1)
    offered, n_tried = blocks(tier, 1000), []
    for turn in range(200):
        if costs.best_prefix(offered):
            n_tried.append(turn)
            costs.learn_restoring(tier, 1000, 0.01)
        else:
            costs.record_skip(offered)
    assert n_tried == list(range(32, 200))


def test_a_right_verdict_is_doubted_seldom():
    costs = learned("ram", 0.01)
    offered, n_tried = blocks("ram", 1000), 0
    for _ in range(1000):
        if costs.best_prefix(offered):
            n_tried += 1
            costs.learn_restoring("ram", 1000, 10.0)
        else:
            costs.record_skip(offered)
    assert 10 <= n_tried <= 40


def test_what_was_skipped_before_anything_was_known_is_learned_like_anything():
    costs = CostModel()
    costs.learn_reading(100, 0.1)
    for _ in range(100):
        costs.record_skip(blocks("disk", 10))
    for _ in range(5):
        costs.learn_restoring("disk", 10, 10.0)
    assert costs.best_prefix(blocks("disk", 10)) == 0


def test_a_step_is_as_long_as_it_may_be():
    costs = CostModel(step_s=0.4)
    assert costs.chunk(512, someone_writes=False) == 16, "nothing is known: no more than pays"
    costs.learn_reading(100, 0.1)
    assert costs.chunk(512, someone_writes=False) == 400
    assert costs.chunk(512, someone_writes=True) == 100
    costs.learn_reading(4, 100.0)
    assert costs.chunk(512, someone_writes=True) == 100, "a step of a few tokens says nothing about reading"


def test_where_a_step_cannot_be_stopped_a_piece_of_a_long_read_is_short():
    costs, stoppable = CostModel(longest_s=1.5), CostModel()
    assert costs.reading_s(1) == float("inf"), "a first step is asked, however short"
    for each in (costs, stoppable):
        each.learn_reading(16, 4.0)
    assert stoppable.chunk(512, someone_writes=False) == 16
    assert costs.chunk(512, someone_writes=False) == costs.chunk(512, someone_writes=True) == 6
    assert costs.reading_s(6) == 1.5
    for _ in range(20):
        costs.learn_reading(6, 36.0)
    assert costs.chunk(512, someone_writes=False) == 1, "never nothing"


def test_a_machine_that_was_slow_for_a_while_is_not_taken_for_slow_for_ever():
    costs = CostModel(longest_s=1.5)
    costs.learn_reading(16, 160.0)
    for _ in range(40):
        piece = costs.chunk(512, someone_writes=False)
        costs.learn_reading(piece, piece / READ_PER_S)
    assert costs.chunk(512, someone_writes=False) > 100


def test_where_most_of_a_step_does_not_depend_on_its_tokens_it_takes_as_many_as_it_may():
    costs = CostModel(longest_s=1.5)
    costs.learn_reading(16, 16.0)
    for _ in range(200):
        piece = costs.chunk(512, someone_writes=True)
        costs.learn_reading(piece, 1.2 + piece / 50)
    assert costs.chunk(512, someone_writes=True) == 15
