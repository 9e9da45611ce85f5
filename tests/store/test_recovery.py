"""What other workers leave behind, and who waits too long for theirs."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from test_broker_jobs import lane, pop_and_die, queued
from test_queue import announce, people, say  # noqa: F401 (fixtures)

from store import chats, turns
from store.broker import jobs, keys, queue, recovery, registry
from store.broker.registry import WorkerView
from store.errors import Stale


@pytest.fixture
def two_workers(redis):
    announce(redis, "gpu0")
    announce(redis, "gpu1")


def busy(redis, name, running, turn_s=()):
    registry.announce(redis, WorkerView(name, "smol", 2, running, (), time.time(), (1.0,) * running, tuple(turn_s)))


def test_what_a_dead_worker_had_goes_to_a_living_one_at_once(database, redis, two_workers, people, say):  # noqa: F811
    running, waiting = (say(chat) for chat in people(2))
    for turn in (running, waiting):
        registry.pin(redis, [turn.chat_id], "gpu0")
        queue.dispatch(database, redis, turn.owner_id)
    pop_and_die(redis, "started")
    claim = turns.claim(database, running.id, "gpu0", 60)
    assert recovery.take_over(database, redis, "gpu0") == (running.id, waiting.id)
    assert (queued(redis, "gpu0"), queued(redis, "gpu1")) == ([], [running.id, waiting.id])
    assert turns.get_turn(database, running.id).crashes == 1
    assert turns.get_turn(database, waiting.id).crashes == 0
    assert "gpu0" not in registry.alive(redis)
    with pytest.raises(Stale):
        turns.save_partial(database, running.id, claim.attempt, "late")
    assert recovery.take_over(database, redis, "gpu0") == ()


def test_who_waits_long_behind_a_busy_worker_goes_to_an_idle_one(database, redis, two_workers, people, say):  # noqa: F811
    first, second, third = (say(chat) for chat in people(3))
    for n, turn in enumerate((first, second, third)):
        registry.pin(redis, [turn.chat_id], "gpu0")
        queue.dispatch(database, redis, turn.owner_id, 100.0 + n / 10)
    busy(redis, "gpu0", running=2)
    assert recovery.reconcile(database, redis, 103.0) == ()
    assert set(recovery.reconcile(database, redis, 106.0)) == {first.id, second.id}  # as many as have a lane there
    assert queued(redis, "gpu0") == [third.id]
    assert set(queued(redis, "gpu1")) == {first.id, second.id}


def test_nobody_is_moved_to_another_model_or_away_from_an_idle_worker(database, redis, people, say):  # noqa: F811
    announce(redis, "gpu0")
    registry.announce(redis, WorkerView("gpu1", "another model", 2, 0, (), 0.0))
    turn = say(people(1)[0])
    registry.pin(redis, [turn.chat_id], "gpu0")
    queue.dispatch(database, redis, turn.owner_id, 100.0)
    assert recovery.reconcile(database, redis, 110.0) == ()
    busy(redis, "gpu0", running=2)
    assert recovery.reconcile(database, redis, 110.0) == ()
    assert queued(redis, "gpu0") == [turn.id]


def test_a_place_has_the_people_ahead_and_the_seconds(database, redis, people, say):  # noqa: F811
    first, second = (say(chat) for chat in people(2))
    busy(redis, "gpu0", running=2, turn_s=[9.0])
    for turn in (first, second):
        queue.dispatch(database, redis, turn.owner_id)
    placed = queue.queue_place(redis, turns.get_turn(database, second.id))
    assert placed.ahead == 1
    assert placed.eta_s == pytest.approx(8.0, abs=1.0)
    assert queue.queue_place(redis, turns.get_turn(database, first.id)).ahead == 0
    registry.retire(redis, "gpu0")
    assert queue.queue_place(redis, turns.get_turn(database, second.id)) == queue.QueuePlace(1)


def test_a_queue_that_moves_is_announced(database, redis, two_workers, people, say):  # noqa: F811
    with redis.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.queues_channel())
        heard.get_message(timeout=1.0)
        turn = say(people(1)[0])
        queue.dispatch(database, redis, turn.owner_id)
        assert heard.get_message(timeout=5.0)["data"] in (b'{"worker": "gpu0"}', b'{"worker": "gpu1"}')


def test_rq_forgets_the_queues_of_workers_that_are_gone(database, redis, two_workers, chat, say):  # noqa: F811
    turn = say(chat)
    registry.pin(redis, [chat.id], "gpu0")
    queue.dispatch(database, redis, chat.owner_id)
    pop_and_die(redis, "started")
    assert jobs.known_workers(redis) == ("gpu0",)
    registry.retire(redis, "gpu0")
    recovery.reconcile_rq(database, redis)
    assert jobs.known_workers(redis) == ("gpu0",)  # the turn may still run
    claim = turns.claim(database, turn.id, "gpu0", 5)
    turns.commit(database, turn.id, claim.attempt, turns.Reply("Hello"), now=time.time() - 60)
    recovery.reconcile_rq(database, redis)
    assert jobs.known_workers(redis) == ()
    left = {key.split(b":")[1] for key in redis.keys("rq:*")}
    assert left <= {b"worker", b"workers"}  # of the lane that died: they go by themselves
    assert chats.transcript(database, chat.id)[-1].text == "Hello"


@pytest.mark.parametrize("step", ["never", "popped"])
def test_a_turn_is_not_lost_when_the_clock_is_set_back(database, redis, two_workers, chat, say, step):  # noqa: F811
    turn = say(chat)
    registry.pin(redis, [chat.id], "gpu0")
    queue.dispatch(database, redis, chat.owner_id, now=1000.0)
    if step == "never":
        redis.delete(f"rq:job:{turn.id}", "rq:queue:inglenook-gpu0")
    else:
        pop_and_die(redis, "popped")
        assert recovery.reconcile(database, redis, 1001.0) == ()
    assert recovery.reconcile(database, redis, 900.0) == (turn.id,)
    assert len(queued(redis, "gpu0")) + len(queued(redis, "gpu1")) == 1


def test_the_names_of_dead_lanes_do_not_gather(database, redis, two_workers, chat, say):  # noqa: F811
    registry.pin(redis, [chat.id], "gpu0")
    queue.dispatch(database, redis, say(chat).owner_id)
    for number in range(3):
        dead = lane(redis)
        dead.register_birth()
        if number < 2:
            redis.delete(dead.key)  # as RQ's time limit does to one that is killed
    recovery.reconcile_rq(database, redis)
    assert redis.smembers("rq:workers") == {dead.key.encode()}
    assert redis.smembers("rq:workers:inglenook-gpu0") == {dead.key.encode()}


def test_what_was_popped_for_nothing_is_taken_out(database, redis, two_workers, chat, say):  # noqa: F811
    """A turn that was delivered twice: the second time its job was gone, and RQ kept the id for ever."""
    turn = say(chat)
    registry.pin(redis, [chat.id], "gpu0")
    queue.dispatch(database, redis, chat.owner_id)
    pop_and_die(redis, "popped")
    claim = turns.claim(database, turn.id, "gpu1", 5)
    recovery.reconcile_rq(database, redis)
    assert jobs.popped(redis, "gpu0") == {turn.id}
    turns.commit(database, turn.id, claim.attempt, turns.Reply("Hello"), now=time.time() - 60)
    recovery.reconcile_rq(database, redis)
    assert jobs.popped(redis, "gpu0") == set()


def test_a_lease_that_nobody_could_renew_is_no_sign_of_death(database, database_url, redis, two_workers, people, say):  # noqa: F811
    """Somebody keeps the database from taking writes: the worker lives, and renews as soon as it can."""
    if not database_url.startswith("sqlite"):
        pytest.skip("on PostgreSQL nobody keeps another from writing his own rows")
    (chat,) = people(1)
    turn = say(chat)
    claim = turns.claim(database, turn.id, "gpu0", 6.0)
    past = time.time() + 60
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        round_ = threading.Thread(target=recovery.reconcile, args=(database, redis, past))
        round_.start()
        time.sleep(1.0)
    round_.join()
    assert turns.get_turn(database, turn.id).running
    turns.commit(database, turn.id, claim.attempt, turns.Reply("Well."))
    assert turns.get_turn(database, turn.id).state == "done"


def test_a_lease_that_was_renewed_meanwhile_is_not_taken(database, people, say):  # noqa: F811
    (chat,) = people(1)
    turn = say(chat)
    claim = turns.claim(database, turn.id, "gpu0", 6.0, now=100.0)
    turns.renew(database, {turn.id: turns.Progress(claim.attempt)}, lease_until=206.0, now=200.0)
    with pytest.raises(Stale):
        turns.give_back(database, turn.id, claim.attempt, 201.0, crashed=True, expired_at=201.0)
    assert turns.give_back(database, turn.id, claim.attempt, 207.0, crashed=True, expired_at=207.0).state == "queued"
