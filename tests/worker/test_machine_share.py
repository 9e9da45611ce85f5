"""Workers of one machine divide the RAM and the disk that are free for blocks."""

from worker_lane_jobs import wait_until

from engine.model.budgets import DISK_CEILING, DISK_FLOOR, RAM_CEILING, RAM_FLOOR
from engine.model.memory_plan import MIB
from store.broker import registry
from store.broker.client import connect
from store.settings import Settings
from worker.engine_setup import divide_blocks, free_bytes, load, open_engine
from worker.machine_share import ShareKeeper, holding_share, n_sharing


def test_who_lives_is_counted(tmp_path):
    settings = Settings(data_dir=tmp_path, backend="echo")
    assert (n_sharing(tmp_path), free_bytes(settings).n_sharing) == (0, 1)
    with holding_share(tmp_path, "gpu0"):
        with holding_share(tmp_path, "gpu1"):
            assert (n_sharing(tmp_path), free_bytes(settings).n_sharing) == (2, 2)
        assert n_sharing(tmp_path) == 1


def test_the_share_is_made_anew_when_a_worker_comes_or_goes(tmp_path):
    seen = []
    keeper = ShareKeeper(tmp_path, 1, seen.append)
    with holding_share(tmp_path, "gpu0"):
        keeper.tick()
        with holding_share(tmp_path, "gpu1"):
            keeper.tick()
            keeper.tick()
        keeper.tick()
    assert seen == [2, 1]


def within(seen, alone, n):
    """Whether these are the budgets of one of `n` workers, where it had `alone` by itself."""
    limits = ((RAM_FLOOR, RAM_CEILING), (DISK_FLOOR, DISK_CEILING))
    divided = [
        max(budget // n // MIB * MIB, min(budget, floor)) for budget, (floor, _) in zip(alone, limits, strict=True)
    ]
    whole = [ceiling for _, ceiling in limits]
    return all(s == d or a == c for s, d, a, c in zip(seen, divided, alone, whole, strict=True))


def test_what_is_set_is_not_divided_the_rest_is(tmp_path):
    settings = Settings(data_dir=tmp_path, backend="echo", ram_cache_mb=64)
    loaded = load(settings)
    engine = open_engine(settings, loaded)
    alone = engine.stats()
    divide_blocks(settings, engine, loaded, 2)
    shared = engine.stats()
    engine.close()
    assert (alone.ram_budget, shared.ram_budget) == (64 << 20, 64 << 20)
    assert within((0, shared.disk_budget), (0, alone.disk_budget), 2)


def budgets(redis_url):
    """Name of each living worker -> what its blocks may take of RAM and disk."""
    with connect(redis_url) as client:
        return {name: (one.engine.ram_budget, one.engine.disk_budget) for name, one in registry.alive(client).items()}


def test_two_processes_divide_and_the_one_that_is_left_has_all_again(start_worker, redis_server):
    """As two programs of one supervisor do, or two containers with one volume."""
    given = {"ram_cache_mb": -1, "disk_cache_mb": -1}
    first = start_worker("gpu0", **given).ready()
    alone = budgets(redis_server.url)["gpu0"]
    second = start_worker("gpu1", **given).ready()
    wait_until(lambda: "2 instead of 1" in first.log.read_text())
    wait_until(lambda: within(budgets(redis_server.url)["gpu0"], alone, 2))
    assert "instead of" not in second.log.read_text(), "it has counted before it made its plan"
    second.kill()
    wait_until(lambda: budgets(redis_server.url)["gpu0"] == alone)
