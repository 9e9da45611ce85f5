"""Real worker processes that are killed, frozen and asked to stop; the queue and the transcript afterwards."""

import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import update
from worker_lane_jobs import wait_until

from store import chats, turns
from store.broker import events, queue, registry
from store.broker.client import connect
from store.models import Turn

pytestmark = pytest.mark.timeout(300)


def state(database, turn) -> str:
    return turns.get_turn(database, turn.id).state


def replies(database, chat) -> list[str]:
    return [m.text for m in chats.load_story(database, chat.id).messages if m.role == "character"][1:]


def until_it_writes(redis, turn, attempt: int = 1) -> None:
    def writes() -> bool:
        return any(e["type"] == "text" and e["attempt"] == attempt for e in events.read(redis, turn.id))

    wait_until(writes)


def until_it_is_done(database, turn, limit_s: float = 60) -> None:
    wait_until(lambda: turns.get_turn(database, turn.id).ended, limit_s)
    after = turns.get_turn(database, turn.id)
    assert after.state == "done", after.error_text


def lease_for_hours(database, turn) -> None:
    """As if the worker that has died had a lease of hours."""
    with database.session() as session:
        session.execute(update(Turn).where(Turn.id == turn.id).values(lease_until=Turn.lease_until + 36_000))


def until_redis_is_clean(redis, turn) -> None:
    """RQ has forgotten the job, in whatever queue and registry it was."""
    wait_until(lambda: not [key for key in redis.scan_iter("rq:*") if turn.id.encode() in key])
    wait_until(lambda: not redis.llen("rq:queue:inglenook-gpu0"))
    wait_until(lambda: not redis.llen("rq:queue:inglenook-gpu0:intermediate"))


@pytest.fixture
def server(redis_server, tmp_path) -> Iterator:
    """A Redis that the test may kill."""
    own = type(redis_server)(tmp_path)
    own.start()
    yield own
    own.kill()


def test_a_worker_answers_a_turn_and_cleans_up(start_worker, database, redis, chat, say, dispatch):
    worker = start_worker().ready()
    turn = say(chat, "Good evening")
    dispatch(turn)
    until_it_is_done(database, turn)
    assert len(replies(database, chat)) == 1
    until_redis_is_clean(redis, turn)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert registry.alive(redis) == {}
    assert redis.scard("rq:workers") == 0


def test_two_lanes_write_at_the_same_time(start_worker, database, redis, make_user, make_chat, say, dispatch):
    start_worker(echo_delay_ms=15).ready()
    chats_of = [make_chat(make_user(name)) for name in ("Ada", "Ben")]
    submitted = [say(chat, f"{chat.user_name} " * 30) for chat in chats_of]
    for turn in submitted:
        dispatch(turn)
    for turn in submitted:
        until_it_writes(redis, turn)
    assert all(turns.get_turn(database, turn.id).running for turn in submitted)
    for turn, chat in zip(submitted, chats_of, strict=True):
        until_it_is_done(database, turn)
        other = {"Ada": "Ben", "Ben": "Ada"}[chat.user_name]
        assert chat.user_name in replies(database, chat)[0]
        assert other not in replies(database, chat)[0]


def test_kill_9_in_mid_reply_and_a_restart_make_one_reply(start_worker, database, redis, chat, say, dispatch):
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    worker.send(signal.SIGKILL)
    worker.wait()
    assert turns.get_turn(database, turn.id).running
    lease_for_hours(database, turn)  # the file lock proves the death: no lease is waited for
    worker.start()
    until_it_writes(redis, turn, attempt=2)
    until_it_is_done(database, turn)
    assert turns.get_turn(database, turn.id).attempt == 2
    assert len(replies(database, chat)) == 1
    assert "heard: " + "x" * 60 in replies(database, chat)[0]
    until_redis_is_clean(redis, turn)


def test_a_second_worker_of_the_same_name_waits_for_the_first(start_worker, database, redis, chat, say, dispatch):
    first = start_worker().ready()
    second = start_worker()
    wait_until(lambda: "waiting for" in second.log.read_text())
    first.send(signal.SIGTERM)
    first.wait()
    second.ready()
    turn = say(chat)
    dispatch(turn)
    until_it_is_done(database, turn)


def test_a_frozen_worker_is_overtaken_and_changes_nothing(start_worker, database, redis, chat, say, dispatch):
    frozen = start_worker("gpu0", echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    frozen.send(signal.SIGSTOP)
    start_worker("gpu1").ready()
    until_it_is_done(database, turn)
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "gpu0" in registry.alive(redis))
    wait_until(lambda: "dropped" in frozen.log.read_text())
    after = turns.get_turn(database, turn.id)
    assert (after.state, after.attempt, after.worker) == ("done", 2, "gpu1")
    assert len(replies(database, chat)) == 1
    text = "".join(e["text"] for e in events.read(redis, turn.id) if e["type"] == "text" and e["attempt"] == 2)
    assert text == replies(database, chat)[0]
    wait_until(lambda: not redis.llen("rq:queue:inglenook-gpu0"))
    wait_until(lambda: all(redis.ttl(key) != -1 for key in redis.scan_iter(f"rq:*{turn.id}*")))


def test_sigterm_gives_the_running_turn_back_in_time(start_worker, database, redis, chat, say, dispatch):
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert state(database, turn) == "queued"
    assert turns.get_turn(database, turn.id).partial
    assert queue.queue_place(redis, turns.get_turn(database, turn.id)).ahead == 0
    worker.start()
    until_it_is_done(database, turn)
    assert len(replies(database, chat)) == 1
    until_redis_is_clean(redis, turn)


def test_a_second_sigterm_ends_it_at_once(start_worker, database, redis, chat, say, dispatch):
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    worker.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in worker.log.read_text())
    worker.send(signal.SIGTERM)
    assert worker.wait() in (0, 1)


def test_stop_reaches_a_running_turn_and_the_next_one_starts(
    start_worker, database, redis, user, make_chat, say, dispatch
):
    start_worker(echo_delay_ms=20, lanes=1).ready()
    first, second = make_chat(user), make_chat(user)
    turn, after = say(first, "x" * 200), say(second, "Hi")
    dispatch(turn)
    until_it_writes(redis, turn)
    queue.stop(database, redis, user.id, turn.id)
    wait_until(lambda: turns.get_turn(database, turn.id).ended)
    assert state(database, turn) == "cancelled"
    until_it_is_done(database, after)


def test_redis_dies_in_mid_turn_and_comes_back_empty(start_worker, database, server, make_chat, user, say):
    start_worker(redis_url=server.url, echo_delay_ms=20, lanes=1).ready()
    first, second = make_chat(user), make_chat(user)
    running, waiting = say(first, "x" * 60), say(second, "Hi")
    with connect(server.url) as client:
        queue.dispatch(database, client, user.id)
        until_it_writes(client, running)
        server.kill()
        until_it_is_done(database, running)
        server.start()
        until_it_is_done(database, waiting)
        assert len(replies(database, first)) == len(replies(database, second)) == 1
        wait_until(lambda: [event["type"] for event in events.read(client, running.id)][-1:] == ["done"])


def test_a_worker_starts_without_redis_and_works_when_it_comes(start_worker, database, server, chat, say):
    server.kill()
    worker = start_worker(redis_url=server.url)
    wait_until(lambda: "is ready" in worker.log.read_text())
    server.start()
    turn = say(chat)
    until_it_is_done(database, turn)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"backend": "llama", "model": "/nowhere/x.gguf"}, "/nowhere/x.gguf"),
        ({"backend": "llama", "model": __file__}, "GGUF"),
        ({"lanes": "many"}, "INGLENOOK_LANES"),
        ({"data_dir": "/dev/null/here"}, "INGLENOOK_DATA_DIR"),
    ],
)
def test_what_a_person_must_correct_is_one_sentence_and_exit_code_78(start_worker, settings, sentence):
    worker = start_worker(**settings)
    assert worker.wait() == 78
    said = worker.log.read_text()
    assert sentence in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_peer_takes_over_as_soon_as_a_worker_is_dead(start_worker, database, redis, chat, say, dispatch):
    """No lease to wait for: the lock of the dead is free."""
    workers = {name: start_worker(name, echo_delay_ms=20).ready() for name in ("gpu0", "gpu1")}
    turn = say(chat, "x" * 100)
    dispatch(turn)
    until_it_writes(redis, turn)
    first = turns.get_turn(database, turn.id).worker
    workers[first].kill()
    until_it_writes(redis, turn, attempt=2)
    after = turns.get_turn(database, turn.id)
    assert (after.worker != first, after.attempt, after.crashes) == (True, 2, 1)
    until_it_is_done(database, turn)
    assert len(replies(database, chat)) == 1
    wait_until(lambda: first not in registry.alive(redis))


def test_a_worker_whose_engine_hangs_ends_and_its_turn_goes_on_elsewhere(
    start_worker, database, redis, chat, say, dispatch
):
    """Every step of the first worker takes longer than its limit; the second one is as it should be."""
    hanging = start_worker("gpu0", echo_delay_ms=2500, stall_limit_s=1).ready()
    turn = say(chat)
    dispatch(turn)
    assert hanging.wait() == 70
    assert not turns.get_turn(database, turn.id).ended
    start_worker("gpu1").ready()
    until_it_is_done(database, turn)
    assert len(replies(database, chat)) == 1
