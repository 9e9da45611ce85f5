"""A paused queue with a real worker: nothing begins, nothing is lost, everything goes on."""

import signal

import pytest
from worker_lane_jobs import wait_until

from store import chats, site_state, turns
from store.broker import events, jobs, queue
from worker.jobs import run_turn

pytestmark = pytest.mark.timeout(300)


def state(database, turn):
    return turns.get_turn(database, turn.id).state


def replies(database, chat):
    return [m.text for m in chats.load_story(database, chat.id).messages if m.role == "character"][1:]


def test_a_job_that_comes_in_the_pause_is_put_aside_and_its_owner_hears_it(make_context, database, redis, chat, say):
    make_context()
    turn = say(chat)
    turns.enqueue_next(database, chat.owner_id, "gpu0")
    site_state.set_pause(database, True)
    run_turn(turn.id)
    assert state(database, turn) == "waiting"
    assert [event.get("state") for event in events.read(redis, turn.id)] == ["waiting"]
    site_state.set_pause(database, False)
    run_turn(turn.id)
    assert state(database, turn) == "done"


def test_a_worker_finishes_rests_is_killed_and_goes_on_with_everybody(
    start_worker, database, redis, make_user, make_chat, say, dispatch
):
    """One turn runs, one is queued, two come in the pause; the worker dies in it. Each gets one reply in the end."""
    worker = start_worker(lanes=1, echo_delay_ms=10).ready()
    rooms = [make_chat(make_user(f"Person {n}")) for n in range(4)]
    first, second = say(rooms[0], "One " * 40), say(rooms[1], "Two")
    dispatch(first)
    wait_until(lambda: any(event["type"] == "text" for event in events.read(redis, first.id)))
    dispatch(second)
    queue.pause(database, redis)
    late = [say(room, "Late") for room in rooms[2:]]
    for turn in late:
        dispatch(turn)
    wait_until(lambda: state(database, first) == "done")
    assert [state(database, turn) for turn in (second, *late)] == ["waiting"] * 3
    worker.send(signal.SIGKILL)
    worker.wait()
    worker.start().ready()
    rounds = jobs.open_queue(redis, "gpu0")
    assert [state(database, turn) for turn in (second, *late)] == ["waiting"] * 3
    assert not rounds.job_ids
    queue.resume(database, redis)
    for turn in (second, *late):
        wait_until(lambda turn=turn: turns.get_turn(database, turn.id).ended)
    assert [state(database, turn) for turn in (first, second, *late)] == ["done"] * 4
    assert [len(replies(database, room)) for room in rooms] == [1] * 4
