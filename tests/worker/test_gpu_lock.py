"""The lock on a GPU."""

import threading

from worker.gpu_lock import WorkerLock, first_free


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
