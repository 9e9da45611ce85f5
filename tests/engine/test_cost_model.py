"""min(restore, read): what is learned, on which length and tier it decides, and how a wrong verdict heals."""

import pytest

from engine.kv.cost_model import CostModel, Offered

BLOCK_S, TOKEN_S = 0.010, 0.0005


def learned(read_per_s=1000.0, block_s=BLOCK_S, token_s=TOKEN_S, tier="ram", sizes=(4, 300, 20, 600, 80, 4, 4, 4)):
    costs = CostModel()
    costs.learn_reading(100, 100 / read_per_s)
    for n_tokens in sizes:
        costs.learn_restoring(tier, 1, n_tokens, block_s + token_s * n_tokens)
    return costs


def whole(tier, *lengths):
    return [Offered(tier, n_tokens, n_tokens) for n_tokens in lengths]


def test_what_is_not_known_is_restored():
    assert CostModel().best_prefix(whole("disk", 5, 5000)) == 2
    slow = CostModel()
    slow.learn_restoring("ram", 1, 10, 99.0)
    assert slow.best_prefix(whole("ram", 10)) == 1, "one measurement is no verdict"


def test_the_verdict_depends_on_the_length():
    """A block costs 0.3 s and 0.5 ms a token, reading 1 ms a token: it pays from 600 tokens on."""
    costs = learned(block_s=0.3)
    assert costs.best_prefix(whole("ram", 300)) == 0
    assert costs.best_prefix(whole("ram", 1500)) == 1


def test_speeds_of_tiny_blocks_say_nothing_about_long_ones():
    costs = learned(block_s=0.2, sizes=(3,) * 16)
    assert costs.best_prefix(whole("ram", 10)) == 0
    assert costs.best_prefix(whole("ram", 2000)) == 1


def test_the_verdict_depends_on_the_tier():
    costs = learned()
    for n_tokens in (10, 300, 1000, 50):
        costs.learn_restoring("disk", 1, n_tokens, n_tokens * 0.01)
    assert costs.best_prefix(whole("ram", 1000)) == 1
    assert costs.best_prefix(whole("disk", 1000)) == 0


def test_from_disk_costs_the_way_through_ram_as_well():
    costs = learned(token_s=0.0008)
    for n_tokens in (100, 300, 1000, 50):
        costs.learn_restoring("disk", 1, n_tokens, n_tokens * 0.0008)
    assert costs.best_prefix(whole("ram", 2000)) == 1
    assert costs.best_prefix(whole("disk", 2000)) == 0


def test_a_fetch_of_many_blocks_teaches_the_cost_of_one():
    costs = learned(tier="disk", sizes=())
    for n_blocks, n_tokens in ((10, 100), (4, 2000), (20, 100), (2, 3000)):
        costs.learn_restoring("disk", n_blocks, n_tokens, n_blocks * 0.3 + n_tokens * 1e-5)
    assert costs.best_prefix(whole("disk", *[20] * 10)) == 0
    assert costs.best_prefix(whole("disk", 2000)) == 1


def test_the_best_beginning_is_chosen():
    """Restored is a beginning: a small block that does not pay is worth it in front of a long one, not behind it."""
    costs = learned(block_s=0.3)
    assert costs.best_prefix(whole("ram", 5, 5, 2000)) == 3
    assert costs.best_prefix(whole("ram", 2000, 5, 5)) == 1


def test_cells_cost_nothing_and_nothing_is_found_behind_a_gap():
    costs = learned(block_s=10.0)
    assert costs.best_prefix(whole("cells", 5, 5)) == 2
    assert costs.best_prefix([*whole("cells", 5), Offered(None, 50, 50), *whole("cells", 5)]) == 1


def test_a_part_of_a_block_saves_only_that_part():
    costs = learned()
    assert costs.best_prefix([Offered("ram", 1000, 1000)]) == 1
    assert costs.best_prefix([Offered("ram", 1000, 100)]) == 0


def test_a_few_milliseconds_decide_nothing():
    costs = learned(block_s=0.004, token_s=0.0)
    assert costs.best_prefix(whole("ram", 1, 1, 1)) == 3
    costs.tolerance_s = 0.001
    assert costs.best_prefix(whole("ram", 1, 1, 1)) == 0


def test_of_snapshots_the_longest_is_taken_unless_that_costs_more_than_a_trifle():
    """A token costs 1.2 ms from RAM and 1 ms to read: each token more of a snapshot loses 0.2 ms."""
    costs = learned(token_s=0.0012)
    snapshots = [Offered("ram", n_tokens, 2000) for n_tokens in (600, 1000)]
    costs.tolerance_s = 0.1
    assert costs.best_of(snapshots) == 1
    costs.tolerance_s = 1.0
    assert costs.best_of(snapshots) == 2
    assert costs.best_of([*snapshots, Offered(None, 1200, 2000)]) == 2
    assert costs.best_of([]) == 0


def test_one_stall_is_no_verdict():
    costs = learned()
    costs.learn_restoring("ram", 1, 20, 30.0)
    assert costs.best_prefix(whole("ram", 1000)) == 1


@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_a_wrong_verdict_heals(tier):
    """Restoring was slow once; now it is fast, which only trying can show. The cost of trying stays small."""
    costs = learned(tier=tier, token_s=0.1)
    offered, n_tried = whole(tier, 1000), []
    for turn in range(200):
        if costs.best_prefix(offered):
            n_tried.append(turn)
            costs.learn_restoring(tier, 1, 1000, 0.01)
        else:
            costs.record_skip(offered)
    assert n_tried[0] > 20
    assert 199 in n_tried
    assert 198 in n_tried


def test_a_right_verdict_is_doubted_seldom():
    costs = learned(token_s=0.01)
    offered, n_tried = whole("ram", 1000), 0
    for _ in range(1000):
        if costs.best_prefix(offered):
            n_tried += 1
            costs.learn_restoring("ram", 1, 1000, 10.0)
        else:
            costs.record_skip(offered)
    assert 10 <= n_tried <= 40


def test_what_was_passed_over_before_anything_was_known_is_learned_like_anything():
    costs = CostModel()
    costs.learn_reading(100, 0.1)
    for _ in range(100):
        costs.record_skip(whole("disk", 10))
    for _ in range(5):
        costs.learn_restoring("disk", 1, 10, 10.0)
    assert costs.best_prefix(whole("disk", 10)) == 0


def test_a_step_is_as_long_as_it_may_be():
    costs = CostModel(step_s=0.4)
    assert costs.chunk(512, someone_writes=False) == 64
    costs.learn_reading(100, 0.1)
    assert costs.chunk(512, someone_writes=False) == 400
    assert costs.chunk(512, someone_writes=True) == 100
    costs.learn_reading(4, 100.0)
    assert costs.chunk(512, someone_writes=True) == 100, "a step of a few tokens says nothing about reading"
