"""What holds for the whole house: the announcement, and the pause with everything that follows from it."""

import uuid

import pytest
from test_broker_jobs import pop_and_die, queued

from store import chats, site_state, turns
from store.broker import events, queue, recovery, registry
from store.broker.client import connect
from store.broker.registry import WorkerView
from store.errors import Refused
from store.site_state import MAX_ANNOUNCEMENT
from store.turns import Reply, TurnCommand


@pytest.fixture
def gpu0(redis):
    registry.announce(redis, WorkerView("gpu0", "smol", 2, 0, (), 0.0))


@pytest.fixture
def say(database):
    def submit(chat, now=0.0):
        command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(database, chat.id), "hi")
        return turns.begin_turn(database, chat.owner_id, command, now, max_waiting=9).turn

    return submit


@pytest.fixture
def people(make_user, make_chat):
    """`people(n)`: n people with a chat each."""
    return lambda n: [make_chat(make_user(f"Person {i}")) for i in range(n)]


def states(database, *some):
    return [turns.get_turn(database, turn.id).state for turn in some]


class TestAnnouncement:
    def test_a_new_wording_takes_the_place_of_the_old_one(self, database):
        assert site_state.read(database) == site_state.SiteState()
        first = site_state.announce(database, "Tonight at eight\nwe read aloud.", 1.0)
        second = site_state.announce(database, "At nine!", 2.0)
        assert (first.text, first.id == second.id) == ("Tonight at eight we read aloud.", False)
        assert site_state.read(database).announcement == second

    def test_an_empty_one_takes_it_down(self, database):
        site_state.announce(database, "Soup is ready.")
        assert site_state.announce(database, "  \n ") is None
        assert site_state.read(database).announcement is None

    def test_one_that_is_too_long_changes_nothing(self, database):
        told = site_state.announce(database, "x" * MAX_ANNOUNCEMENT)
        with pytest.raises(Refused, match="announcement_too_long"):
            site_state.announce(database, "x" * (MAX_ANNOUNCEMENT + 1))
        assert site_state.read(database).announcement == told


class TestPause:
    def test_what_stands_in_a_queue_waits_again_and_is_told_so(self, database, redis, gpu0, people, say):
        first, second = (say(chat, float(n)) for n, chat in enumerate(people(2)))
        for turn in (first, second):
            queue.dispatch(database, redis, turn.owner_id)
        assert [turn.id for turn in queue.pause(database, redis, 5.0)] == [first.id, second.id]
        assert (queued(redis), states(database, first, second)) == ([], ["waiting", "waiting"])
        assert events.read(redis, first.id)[-1]["state"] == "waiting"
        assert site_state.read(database).paused_since == 5.0
        assert queue.pause(database, redis, 9.0) == ()
        assert site_state.read(database).paused_since == 5.0

    def test_nothing_gets_into_a_queue_by_any_way_until_it_goes_on(self, database, redis, gpu0, people, say):
        waiting = [say(chat, float(-n)) for n, chat in enumerate(people(3))]
        queue.pause(database, redis)
        for turn in waiting:
            assert queue.dispatch(database, redis, turn.owner_id) is None
            assert turns.enqueue_next(database, turn.owner_id, "gpu0") is None
        assert recovery.reconcile(database, redis) == recovery.reconcile_own(database, redis, "gpu0") == ()
        assert recovery.take_over(database, redis, "gpu0") == ()
        assert (queued(redis), set(states(database, *waiting))) == ([], {"waiting"})
        registry.announce(redis, WorkerView("gpu0", "smol", 2, 0, (), 0.0))
        by_age = [turn.id for turn in reversed(waiting)]
        assert [turn.id for turn in queue.resume(database, redis)] == by_age == queued(redis)

    def test_a_pause_outlives_an_emptied_redis(self, database, redis, gpu0, chat, say):
        turn = say(chat)
        queue.pause(database, redis)
        redis.flushall()
        registry.announce(redis, WorkerView("gpu0", "smol", 2, 0, (), 0.0))
        assert recovery.reconcile(database, redis) == ()
        assert states(database, turn) == ["waiting"]
        site_state.set_pause(database, False)
        assert recovery.reconcile(database, redis) == (turn.id,)  # whoever comes by first

    def test_a_job_that_was_on_its_way_is_not_begun_and_its_turn_waits(self, database, redis, gpu0, chat, say):
        turn = say(chat)
        queue.dispatch(database, redis, chat.owner_id)
        site_state.set_pause(database, True)  # and the process that pauses dies right here
        with pytest.raises(Refused, match="paused"):
            turns.claim(database, turn.id, "gpu0", 5)
        after = turns.get_turn(database, turn.id)
        assert (after.state, after.attempt, after.worker, after.started_at) == ("waiting", 0, None, None)
        queue.resume(database, redis)
        assert turns.claim(database, turn.id, "gpu0", 5).attempt == 1

    def test_what_runs_goes_on_to_its_end_and_who_comes_after_it_waits(
        self, database, redis, gpu0, user, chat, make_chat, say
    ):
        running, after = say(chat, 1.0), say(make_chat(user), 2.0)
        queue.dispatch(database, redis, user.id)
        claim = turns.claim(database, running.id, "gpu0", 5)
        assert queue.pause(database, redis) == ()
        turns.commit(database, running.id, claim.attempt, Reply("Hello"))
        assert queue.dispatch(database, redis, user.id) is None
        assert states(database, running, after) == ["done", "waiting"]

    def test_a_turn_whose_worker_died_in_the_pause_waits_and_keeps_its_words(self, database, redis, gpu0, chat, say):
        turn = say(chat)
        queue.dispatch(database, redis, chat.owner_id, 1.0)
        pop_and_die(redis, "started")
        claim = turns.claim(database, turn.id, "gpu0", lease_s=5, now=2.0)
        turns.save_partial(database, turn.id, claim.attempt, "Hel", 3.0)
        queue.pause(database, redis, 4.0)
        assert recovery.reconcile(database, redis, 8.0) == (turn.id,)
        with pytest.raises(Refused, match="paused"):
            turns.claim(database, turn.id, "gpu0", 5, 9.0)
        after = turns.get_turn(database, turn.id)
        assert (after.state, after.partial, after.attempt) == ("waiting", "Hel", 1)
        assert [one.id for one in queue.resume(database, redis, 10.0)] == [turn.id]
        assert turns.claim(database, turn.id, "gpu0", 5, 11.0).attempt == 2

    def test_stopping_a_turn_that_waits_in_a_pause_ends_it(self, database, redis, gpu0, user, chat, say):
        turn = say(chat)
        queue.dispatch(database, redis, user.id)
        queue.pause(database, redis)
        assert queue.stop(database, redis, user.id, turn.id).state == "cancelled"
        assert queue.resume(database, redis) == ()

    def test_without_redis_the_pause_holds_and_the_jobs_left_behind_do_no_harm(self, database, redis, gpu0, chat, say):
        nowhere = connect("redis://127.0.0.1:1/0")
        turn = say(chat)
        queue.dispatch(database, redis, chat.owner_id)
        assert [one.id for one in queue.pause(database, nowhere)] == [turn.id]
        nowhere.close()
        with pytest.raises(Refused, match="paused"):
            turns.claim(database, turn.id, "gpu0", 5)
        assert [one.id for one in queue.resume(database, redis)] == [turn.id]
        assert queued(redis) == [turn.id]
