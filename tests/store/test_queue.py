"""From the database into a worker's queue, and back there after everything that can go wrong."""

import uuid

import pytest
from test_broker_jobs import lane, pop_and_die, queued, standing_in

from store import chats, turns
from store.broker import cancel, events, jobs, keys, queue, recovery, registry
from store.broker.client import connect
from store.broker.registry import WorkerView
from store.errors import Failure, NotFound
from store.turns import Reply, TurnCommand


def announce(redis, name, chats=()):
    registry.announce(redis, WorkerView(name, "smol", 2, 0, tuple(chats), 0.0))


@pytest.fixture
def gpu0(redis):
    announce(redis, "gpu0")


@pytest.fixture
def say(database):
    def submit(chat, now=0.0):
        revision = chats.get_revision(database, chat.id)
        command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", revision, "hi")
        return turns.begin_turn(database, chat.owner_id, command, now, max_waiting=9).turn

    return submit


@pytest.fixture
def people(make_user, make_chat):
    """`people(n)`: n people with a chat each."""
    return lambda n: [make_chat(make_user(f"Person {i}")) for i in range(n)]


def states(redis, turn):
    return [event.get("state", event["type"]) for event in events.read(redis, turn.id)]


def test_a_submitted_turn_gets_into_the_queue_and_its_owner_hears_of_it(database, redis, gpu0, chat, say):
    turn = say(chat)
    moved = queue.dispatch(database, redis, chat.owner_id, 1.0)
    assert (moved.id, moved.state, moved.worker, moved.queued_at) == (turn.id, "queued", "gpu0", 1.0)
    assert queued(redis) == [turn.id]
    assert queue.queue_place(redis, moved).ahead == 0
    assert events.read(redis, turn.id)[0]["ahead"] == 0
    assert queue.dispatch(database, redis, chat.owner_id) is None
    assert queued(redis) == [turn.id]


def test_a_greedy_person_gets_no_second_place_in_the_queue(database, redis, gpu0, people, make_chat, user, say):
    others = people(2)
    greedy = [say(make_chat(user), now=float(n)) for n in range(3)]
    modest = [say(chat, now=9.0) for chat in others]
    for owner_id in [user.id, *(chat.owner_id for chat in others)] * 2:
        queue.dispatch(database, redis, owner_id)
    assert queued(redis) == [greedy[0].id, *(turn.id for turn in modest)]
    pop_and_die(redis, "popped")
    claim = turns.claim(database, greedy[0].id, "gpu0", 5)
    assert queue.dispatch(database, redis, user.id) is None
    turns.commit(database, greedy[0].id, claim.attempt, Reply("Hello"))
    assert queue.dispatch(database, redis, user.id).id == greedy[1].id
    assert queued(redis) == [*(turn.id for turn in modest), greedy[1].id]


def test_without_a_worker_turns_wait_and_reconcile_brings_them_in_by_age(database, redis, people, say):
    waiting = [say(chat, now=float(-n)) for n, chat in enumerate(people(3))]
    assert queue.dispatch(database, redis, waiting[0].owner_id) is None
    assert recovery.reconcile(database, redis) == ()
    assert {turn.state for turn in turns.unfinished(database)} == {"waiting"}
    announce(redis, "gpu0")
    by_age = [turn.id for turn in reversed(waiting)]
    assert list(recovery.reconcile(database, redis)) == by_age == queued(redis)
    assert recovery.reconcile(database, redis) == ()


def test_without_redis_turns_are_accepted_and_come_in_later(database, redis, gpu0, user, chat, say):
    nowhere = connect("redis://127.0.0.1:1/0")
    turn = say(chat)
    assert queue.dispatch(database, nowhere, user.id) is None
    assert recovery.reconcile(database, redis) == (turn.id,)
    assert queue.stop(database, nowhere, user.id, turn.id).state == "cancelled"
    nowhere.close()


def test_redis_lost_between_marking_and_enqueueing(database, redis, gpu0, user, chat, say):
    turn = say(chat)
    turns.enqueue_next(database, user.id, "gpu0", 10.0)
    assert queued(redis) == []
    assert recovery.reconcile(database, redis, 11.0) == ()  # its job may just be on its way
    assert recovery.reconcile(database, redis, 12.0) == (turn.id,)
    assert queued(redis) == [turn.id]


def test_an_emptied_redis_is_filled_again_in_the_old_order(database, redis, gpu0, people, say):
    waiting = [say(chat, now=float(n)) for n, chat in enumerate(people(4))]
    for n, turn in enumerate(waiting):
        queue.dispatch(database, redis, turn.owner_id, 10.0 + n)
    redis.flushall()
    announce(redis, "gpu0")
    expected = [turn.id for turn in waiting]
    assert list(recovery.reconcile(database, redis, 20.0)) == expected == queued(redis)
    assert recovery.reconcile(database, redis, 21.0) == ()


def test_a_turn_whose_lease_is_over_goes_to_the_front(database, redis, gpu0, people, say):
    first, second = (say(chat) for chat in people(2))
    queue.dispatch(database, redis, first.owner_id, 1.0)
    pop_and_die(redis, "started")
    turns.claim(database, first.id, "gpu0", lease_s=5, now=2.0)
    queue.dispatch(database, redis, second.owner_id, 3.0)
    assert recovery.reconcile(database, redis, 6.9) == ()
    assert recovery.reconcile(database, redis, 7.0) == (first.id,)
    assert queued(redis) == [first.id, second.id]
    assert turns.claim(database, first.id, "gpu0", 5).attempt == 2


def test_who_had_started_goes_before_who_had_not(database, redis, gpu0, people, say):
    waited, started = (say(chat) for chat in people(2))
    queue.dispatch(database, redis, waited.owner_id, 1.0)
    queue.dispatch(database, redis, started.owner_id, 2.0)
    turns.claim(database, started.id, "gpu0", lease_s=5, now=3.0)
    redis.flushall()
    announce(redis, "gpu0")
    assert recovery.reconcile(database, redis, 9.0) == (started.id, waited.id)
    assert queued(redis) == [started.id, waited.id]


@pytest.mark.parametrize("step", ["popped", "started"])
def test_a_job_that_died_before_its_claim_is_given_some_seconds(database, redis, gpu0, chat, say, step):
    turn = say(chat)
    queue.dispatch(database, redis, chat.owner_id, 0.0)
    pop_and_die(redis, step)
    assert recovery.reconcile(database, redis, 1.0) == ()
    assert recovery.reconcile(database, redis, 6.0) == ()
    assert recovery.reconcile(database, redis, 6.1) == (turn.id,)
    assert queued(redis) == [turn.id]


def test_the_queue_of_a_dead_worker_moves_to_a_living_one(database, redis, gpu0, chat, say):
    turn = say(chat)
    queue.dispatch(database, redis, chat.owner_id)
    registry.retire(redis, "gpu0")
    assert recovery.reconcile(database, redis) == ()  # nobody is better: it may come back
    assert queued(redis) == [turn.id]
    announce(redis, "gpu1")
    assert recovery.reconcile(database, redis) == (turn.id,)
    assert (queued(redis), queued(redis, "gpu1")) == ([], [turn.id])
    assert turns.get_turn(database, turn.id).worker == "gpu1"


@pytest.mark.parametrize("step", ["popped", "started"])
def test_a_worker_that_starts_puts_what_its_predecessor_had_at_the_front(database, redis, gpu0, people, say, step):
    first, second, third = (say(chat, now=float(n)) for n, chat in enumerate(people(3)))
    for n, turn in enumerate((first, second, third)):
        queue.dispatch(database, redis, turn.owner_id, float(n))
    pop_and_die(redis, "started")
    turns.claim(database, first.id, "gpu0", lease_s=1e9)
    turns.save_partial(database, first.id, 1, "Hel")
    pop_and_die(redis, step)
    assert recovery.reconcile_own(database, redis, "gpu1") == ()
    assert recovery.reconcile_own(database, redis, "gpu0") == (first.id, second.id)
    assert queued(redis) == [first.id, second.id, third.id]
    back = turns.get_turn(database, first.id)
    assert (back.state, back.attempt, back.partial) == ("queued", 1, "Hel")
    assert redis.llen("rq:queue:inglenook-gpu0:intermediate") == redis.zcard("rq:wip:inglenook-gpu0") == 0
    assert recovery.reconcile_own(database, redis, "gpu0") == ()


def test_a_turn_that_was_to_stop_does_not_come_back(database, redis, gpu0, user, chat, say):
    turn = say(chat)
    queue.dispatch(database, redis, user.id)
    pop_and_die(redis, "started")
    turns.claim(database, turn.id, "gpu0", lease_s=1e9)
    turns.save_partial(database, turn.id, 1, "Hel")
    queue.stop(database, redis, user.id, turn.id)
    assert cancel.requested(redis, [turn.id]) == {turn.id}
    assert recovery.reconcile_own(database, redis, "gpu0") == ()
    assert turns.get_turn(database, turn.id).state == "cancelled"
    assert events.read(redis, turn.id)[-1]["message"]["alternatives"][0]["text"] == "Hel"


def test_stopping_a_queued_turn_ends_it_and_lets_the_next_one_in(database, redis, gpu0, user, chat, make_chat, say):
    first, second = say(chat, 1.0), say(make_chat(user), 2.0)
    queue.dispatch(database, redis, user.id)
    assert queue.stop(database, redis, user.id, first.id).state == "cancelled"
    assert queued(redis) == [second.id]
    assert states(redis, first) == ["queued", "cancelled"]
    queue.stop(database, redis, user.id, first.id)
    assert states(redis, first) == ["queued", "cancelled"]
    with pytest.raises(NotFound):
        queue.stop(database, redis, "0" * 32, second.id)


def test_a_worker_tells_an_end_that_redis_did_not_take_for_long(database, redis, gpu0, people, say):
    """Whoever tells it for a living worker cuts off the text before it: Redis took nothing for 50 s."""
    turn = say(people(1)[0])
    turns.claim(database, turn.id, "gpu0", 5, now=1.0)
    end = turns.commit(database, turn.id, 1, Reply("Hello"), now=10.0)
    recovery.reconcile(database, redis, 60.0)
    assert events.read(redis, turn.id) == []
    said = [{"type": "text", "part": 0, "offset": 0, "text": "Hello"}, {"type": "done", **end.as_dict()}]
    events.append(redis, turn.chat_id, turn.id, 1, said)
    recovery.reconcile(database, redis, 62.0)
    recovery.reconcile(database, redis, 64.0)
    assert [event["type"] for event in events.read(redis, turn.id)] == ["text", "done"]


def test_an_end_that_nobody_announced_is_announced(database, redis, gpu0, people, say):
    done, failed, told = (say(chat) for chat in people(3))
    for turn in (done, failed, told):
        turns.claim(database, turn.id, "gpu0", 5, now=1.0)
    end = turns.commit(database, done.id, 1, Reply("Hello"), now=10.0)
    turns.fail(database, failed.id, 1, Failure("gave_up"), now=10.0)
    turns.commit(database, told.id, 1, Reply("Hello"), now=10.0)
    events.append(redis, told.chat_id, told.id, 1, [{"type": "done", "revision": 3, "message": None}])
    recovery.reconcile(database, redis, 11.0)
    assert events.read(redis, done.id) == []  # its worker may be about to say so
    recovery.reconcile(database, redis, 12.0)
    assert events.read(redis, done.id) == []
    recovery.reconcile(database, redis, 13.0)
    recovery.reconcile(database, redis, 14.0)
    (event,) = events.read(redis, done.id)
    assert event["type"] == "done"
    assert {name: event[name] for name in end.as_dict()} == end.as_dict()
    assert (event["revision"], len(event["messages"])) == (3, 1)
    (event,) = events.read(redis, failed.id)
    assert event["error"] == {"code": "gave_up", "reason": "gave_up", "values": {}}
    assert len(events.read(redis, told.id)) == 1


def test_only_one_reconciles_at_a_time(database, redis, gpu0, chat, say):
    turn = say(chat)
    redis.set(keys.reconcile_lock(), "somebody")
    assert recovery.reconcile(database, redis) == ()
    redis.delete(keys.reconcile_lock())
    assert recovery.reconcile(database, redis) == (turn.id,)
    assert redis.get(keys.reconcile_lock()) is None


def test_a_reconcile_that_fails_lets_go_of_the_lock(database, redis, gpu0):
    redis.set(keys.workers(), "not a set")
    with pytest.raises(Exception, match="WRONGTYPE"):
        recovery.reconcile(database, redis)
    redis.delete(keys.workers())
    assert redis.get(keys.reconcile_lock()) is None


def test_a_chat_goes_to_its_own_worker(database, redis, gpu0, chat, say):
    announce(redis, "gpu1", [chat.id])
    assert queue.dispatch(database, redis, chat.owner_id) is None
    turn = say(chat)
    assert queue.dispatch(database, redis, chat.owner_id).worker == "gpu1"
    assert queued(redis, "gpu1") == [turn.id]


def test_a_job_of_an_ended_turn_does_no_harm(database, redis, gpu0, user, chat, say):
    turn = say(chat)
    queue.dispatch(database, redis, user.id)
    turns.request_cancel(database, user.id, turn.id)
    assert recovery.reconcile(database, redis) == ()
    assert jobs.position(redis, turn.id, "gpu0") == 0
    assert queue.queue_place(redis, turns.get_turn(database, turn.id)).ahead is None


def test_a_frozen_lane_that_wakes_up_late_delays_a_turn_and_loses_nothing(
    database, redis, gpu0, chat, say, monkeypatch
):
    turn = say(chat)
    queue.dispatch(database, redis, chat.owner_id, 0.0)
    tried = []

    def run_turn(turn_id):
        """The first time, the lease is over while we sleep, and somebody else queues the turn again."""
        attempt = turns.claim(database, turn_id, "gpu0", lease_s=5, now=len(tried)).attempt
        tried.append(attempt)
        if attempt == 1:
            assert recovery.reconcile(database, redis, 10.0) == (turn_id,)
        else:
            turns.commit(database, turn_id, attempt, Reply("Hello"), now=13.0)

    standing_in(monkeypatch, run_turn)
    lane(redis).work(burst=True)  # RQ cleans up after the late lane and takes the new job's hash with it
    if turns.get_turn(database, turn.id).unfinished:
        assert recovery.reconcile(database, redis, 12.0) == (turn.id,)
        lane(redis).work(burst=True)
    assert tried == [1, 2]
    assert [message.text for message in chats.transcript(database, chat.id)[1:]] == ["hi", "Hello"]


def command(database, chat):
    return TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(database, chat.id), "hi")


def accept_and_deliver(database, redis, owner_id, command, now=None):
    begun = queue.accept(database, redis, owner_id, command, now)
    queue.deliver(database, redis, begun, now)
    return begun.turn


def test_a_persons_only_turn_is_accepted_and_queued_in_one_step(database, redis, gpu0, user, chat):
    wanted = command(database, chat)
    for _ in range(2):
        turn = accept_and_deliver(database, redis, user.id, wanted, 1.0)
        assert (turn.id, turn.state, turn.worker, turn.queued_at) == (wanted.id, "queued", "gpu0", 1.0)
    assert queued(redis) == [turn.id]
    assert states(redis, turn) == ["queued"]


def test_a_second_turn_waits_behind_the_first(database, redis, gpu0, user, make_chat):
    first, second = (accept_and_deliver(database, redis, user.id, command(database, make_chat(user))) for _ in range(2))
    assert (first.state, second.state) == ("queued", "waiting")
    assert queued(redis) == [first.id]


def test_who_waited_while_there_was_no_worker_goes_before_their_own_next_turn(database, redis, user, make_chat):
    old = accept_and_deliver(database, redis, user.id, command(database, make_chat(user)))
    assert old.state == "waiting"
    announce(redis, "gpu0")
    new = accept_and_deliver(database, redis, user.id, command(database, make_chat(user)))
    assert queued(redis) == [old.id]
    assert turns.get_turn(database, new.id).state == "waiting"


def test_a_paused_queue_takes_nothing_at_the_submit(database, redis, gpu0, user, chat):
    queue.pause(database, redis)
    turn = accept_and_deliver(database, redis, user.id, command(database, chat))
    assert (turn.state, queued(redis)) == ("waiting", [])
    assert [placed.id for placed in queue.resume(database, redis)] == [turn.id] == queued(redis)


def test_a_turn_that_is_submitted_without_redis_comes_in_later(database, redis, gpu0, user, chat):
    nowhere = connect("redis://127.0.0.1:1/0")
    turn = accept_and_deliver(database, nowhere, user.id, command(database, chat))
    assert turn.state == "waiting"
    assert recovery.reconcile(database, redis) == (turn.id,)
    nowhere.close()


def test_a_round_of_repairs_is_due_once_for_all_who_ask(redis):
    assert recovery.is_due(redis, 60.0)
    assert not recovery.is_due(redis, 60.0)
    redis.flushall()
    assert recovery.is_due(redis, 60.0)
