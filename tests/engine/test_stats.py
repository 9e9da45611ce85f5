"""What an engine says about itself, over a life with parking, waking and evictions."""

from engine_stories import Story, settled

from engine import TurnStats
from engine.backends.echo import EchoBackend
from engine.stats import Tally


def play(make_engine, folder, rounds=2, **options):
    """Three chats in turns, of which the cells hold about one."""
    echo = EchoBackend(n_cells=1700, n_sequences=3, n_batch=64)
    engine = make_engine(echo, **{"context": 800, "lanes": 1, "park_after_s": 0.0, "folder": folder, **options})
    stories = [Story(engine, f"chat{n}", f"You are Mira, number {n}.") for n in range(3)]
    spent = []
    for _ in range(rounds):
        for story in stories:
            story.say("Hello")
            spent.append(story.turn().stats)
    settled(engine, "x")
    return engine, spent


def test_an_engine_that_has_done_nothing_has_used_nothing(make_engine, echo):
    found = make_engine(echo).stats()
    assert (found.n_cells, found.cells_used, found.n_turns, found.disk_budget) == (4096, 0, 0, 0)
    assert found.spent.n_evaluated == found.n_restored == found.ram_used == 0


def test_turns_are_added_up_and_blocks_that_wake_are_counted(make_engine, tmp_path):
    engine, spent = play(make_engine, tmp_path)
    found = engine.stats()
    assert found.n_turns == len(spent) + 1
    assert found.spent.n_restored == sum(stats.n_restored for stats in spent) > 0
    assert found.spent.n_generated >= sum(stats.n_generated for stats in spent)  # and the footers
    assert found.spent.write_s >= sum(stats.write_s for stats in spent) > 0
    assert (found.n_restored > 0, found.n_fetched, found.n_evicted_ram) == (True, 0, 0)
    assert 0 < found.ram_used <= found.ram_budget
    assert 0 < found.cells_used <= found.n_cells


def test_blocks_that_leave_the_ram_and_come_from_the_disk_are_counted(make_engine, tmp_path):
    engine, _ = play(make_engine, tmp_path, ram_bytes=1)
    assert engine.blocks.disk.flush()
    found = engine.stats()
    assert found.n_evicted_ram > 0 < found.n_fetched
    assert found.ram_used <= 1
    assert 0 < found.disk_used <= found.disk_budget
    assert found.n_evicted_disk == found.n_unwritten == found.n_refused == 0


def test_files_that_leave_a_full_disk_tier_are_counted(make_engine, tmp_path):
    engine, _ = play(make_engine, tmp_path, disk_bytes=6_000)
    assert engine.blocks.disk.flush()
    found = engine.stats()
    assert found.n_evicted_disk > 0
    assert found.disk_used <= found.disk_budget == 6_000


def test_what_is_being_written_counts_already_and_nothing_ever_goes_down():
    tally, done, running = Tally(), TurnStats(n_evaluated=5, n_generated=9, n_kept=3), TurnStats()
    for stats in (done, running):
        tally.begin(stats)
    tally.end(done)
    running.n_evaluated, running.n_generated, running.n_kept = 2, 1, 4  # of the last one it may yet take some back
    before = tally.total()
    assert (before.n_evaluated, before.n_generated, before.n_kept, tally.n_turns) == (7, 10, 3, 1)
    tally.end(running)
    after = tally.total()
    assert (after.n_evaluated, after.n_generated, after.n_kept, tally.n_turns) == (7, 10, 7, 2)
