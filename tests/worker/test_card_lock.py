"""Which card a worker computes on, where a machine has several."""

from engine.backends.llama_devices import Device
from worker.card_lock import CardLock

SMALL, LARGE = (Device("CUDA", f"a card of {gib} GiB", gib << 30, gib << 30, False) for gib in (6, 8))


def test_each_worker_has_a_card_of_its_own(tmp_path):
    first, second = (CardLock(tmp_path, (SMALL, LARGE)) for _ in range(2))
    assert [(one.place, one.device) for one in (first, second)] == [(0, SMALL), (1, LARGE)]
    first.release()
    again = CardLock(tmp_path, (SMALL, LARGE))
    assert again.device == SMALL
    again.release()
    second.release()


def test_a_card_is_shared_where_each_has_a_worker_already(tmp_path):
    """Also where each worker was given one card by itself, and calls it the first."""
    first, second = (CardLock(tmp_path, (LARGE,)) for _ in range(2))
    assert (first.place, second.place, second.device) == (0, 0, LARGE)
    third = CardLock(tmp_path, (SMALL, LARGE))
    assert third.device == LARGE, "nobody has taken the second of the two"
    fourth = CardLock(tmp_path, (LARGE, SMALL))
    assert fourth.device == LARGE, "the one with more free memory"
    for one in (first, second, third, fourth):
        one.release()


def test_a_machine_without_a_card_needs_no_lock(tmp_path):
    lock = CardLock(tmp_path, ())
    assert (lock.place, lock.device) == (0, None)
    lock.release()
