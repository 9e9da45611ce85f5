"""The small helpers: the ticker, the lock, the table of running turns."""

import threading

from worker_lane_jobs import wait_until

from worker.gpu_lock import WorkerLock, first_free
from worker.running_turns import RunningTurn, RunningTurns, StopReason
from worker.ticker import Ticker


def test_a_ticker_goes_on_after_errors_and_says_so_once(caplog):
    ticks = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) in (2, 3, 4):
            raise ValueError("a bad day")

    ticker = Ticker("test", 0.001, tick)
    with caplog.at_level("INFO", logger="worker.ticker"):
        ticker.start()
        wait_until(lambda: len(ticks) > 6)
        ticker.stop()
    assert not ticker.is_alive()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["test failed, trying on: ValueError: a bad day", "test works again"]


def test_a_ticker_ends_at_once_however_long_its_interval():
    ticker = Ticker("test", 3600, lambda: None)
    ticker.start()
    ticker.stop()
    assert not ticker.is_alive()


def test_a_lock_has_one_holder_and_a_waiter_can_be_stopped(tmp_path):
    first, second, other = (WorkerLock(tmp_path, name) for name in ("gpu0", "gpu0", "gpu1"))
    stop = threading.Event()
    assert first.acquire(stop)
    assert other.acquire(stop)
    other.release()
    taken: list[bool] = []
    waiter = threading.Thread(target=lambda: taken.append(second.acquire(stop, poll_s=0.01)))
    waiter.start()
    stop.set()
    waiter.join()
    assert taken == [False]
    first.release()
    assert second.acquire(threading.Event())
    second.release()


def test_a_worker_without_a_name_takes_the_first_free_one(tmp_path):
    first, second = first_free(tmp_path), first_free(tmp_path)
    assert (first.name, second.name, second.held) == ("gpu0", "gpu1", True)
    first.release()
    again = first_free(tmp_path)
    assert again.name == "gpu0", "the blocks and the pins of the one before it are under that name"
    again.release()
    second.release()


def test_a_turn_is_stopped_once_and_the_first_reason_counts():
    calls = []
    turn = RunningTurn("t", "c", 1)
    turn.on_stop(lambda: calls.append("stopped"))
    turn.stop(StopReason.CANCELLED)
    turn.stop(StopReason.DRAINING)
    assert calls == ["stopped"]
    assert turn.reason is StopReason.CANCELLED


def test_a_turn_that_was_stopped_before_it_had_a_ticket_is_stopped_when_it_gets_one():
    calls = []
    turns = RunningTurns()
    turn = RunningTurn("t", "c", 1)
    turns.add(turn)
    turns.stop_all(StopReason.DRAINING)
    turn.on_stop(lambda: calls.append("stopped"))
    assert calls == ["stopped"]
    turns.remove(turn)
    assert turns.all() == ()
