"""`run_turn` in this process: a real Redis, a real SQLite file, the echo engine."""

import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
from rq.timeouts import JobTimeoutException
from sqlalchemy import text
from worker_lane_jobs import wait_until

from store import chats, edits, turns
from store.broker import events, jobs, queue, registry
from store.db import Database
from store.errors import Failure, Refused
from store.messages import Reply
from store.models import Turn
from worker import endings, heartbeat
from worker.context import open_context
from worker.jobs import run_turn
from worker.kept_ends import KeptEnd, KeptEnds
from worker.rq_lanes import RqLane
from worker.running_turns import StopReason


def said(redis, turn, *types) -> list[dict]:
    return [event for event in events.read(redis, turn.id) if not types or event["type"] in types]


def streamed(redis, turn) -> str:
    text = ""
    for event in said(redis, turn, "text"):
        text = text[: event["offset"]] + event["text"]
    return text


def in_thread(turn) -> threading.Thread:
    thread = threading.Thread(target=run_turn, args=(turn.id,))
    thread.start()
    return thread


def until_it_writes(redis, turn, n_letters: int = 3) -> None:
    wait_until(lambda: len(streamed(redis, turn)) >= n_letters)


def test_a_turn_ends_as_a_message_and_the_streamed_text_is_that_text(make_context, database, redis, chat, say):
    make_context()
    turn = say(chat, "Good evening")
    run_turn(turn.id)
    stored = chats.load_story(database, chat.id)
    reply = stored.messages[-1]
    assert turns.get_turn(database, turn.id).state == "done"
    assert "heard: Good evening" in reply.text
    assert streamed(redis, turn) == reply.text
    states = [event["state"] for event in said(redis, turn, "state")]
    assert states == sorted(states, key=["waking", "reading", "writing"].index)
    assert states[-1] == "writing"
    last = said(redis, turn)[-1]
    assert (last["type"], last["revision"]) == ("done", stored.chat.revision)
    assert last["message"]["id"] == reply.id
    assert reply.chosen.tokens
    assert reply.chosen.stats["n_generated"] == len(reply.chosen.tokens)


def test_the_next_turn_reads_only_what_is_new(make_context, database, chat, say):
    make_context()
    run_turn(say(chat, "First").id)
    run_turn(say(chat, "Second", revision=3).id)
    *_, question, reply = chats.load_story(database, chat.id).messages
    assert question.text == "Second"
    assert reply.chosen.stats["n_evaluated"] < 60
    assert reply.chosen.stats["n_kept"] > 60


def test_a_full_disk_at_the_end_of_a_turn_costs_nobody_their_reply(make_context, database, redis, chat, say):
    """The reply was written and shown: it is kept until the database takes it."""
    make_context(echo_delay_ms=5)
    turn = say(chat, "Good evening")
    with database.session() as session:
        full = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        session.execute(text(f"CREATE TRIGGER full_disk BEFORE INSERT ON messages {full}"))
    working = in_thread(turn)
    until_it_writes(redis, turn)
    shown = turns.get_turn(database, turn.id).attempt
    time.sleep(1.5)  # longer than the reply takes, and than a few tries
    assert turns.get_turn(database, turn.id).running
    with database.session() as session:
        session.execute(text("DROP TRIGGER full_disk"))
    working.join()
    ended = turns.get_turn(database, turn.id)
    assert (ended.state, ended.attempt) == ("done", shown)
    assert streamed(redis, turn) == chats.transcript(database, chat.id)[-1].text


def test_a_retry_adds_an_alternative_and_reads_nothing_again(make_context, database, chat, say):
    make_context()
    run_turn(say(chat, "Tell me").id)
    run_turn(say(chat, kind="retry", revision=3).id)
    reply = chats.load_story(database, chat.id).messages[-1]
    assert [alternative.position for alternative in reply.alternatives] == [0, 1]
    assert reply.active == 1
    assert reply.chosen.stats["n_evaluated"] < 30


def test_after_the_end_the_persons_next_turn_enters_the_queue(make_context, database, redis, make_chat, user, say):
    context = make_context()
    heartbeat.announce(context, lanes=2, resident=())
    first, second = say(make_chat(user)), say(make_chat(user))
    assert queue.dispatch(database, redis, user.id).id == first.id
    run_turn(first.id)
    assert turns.get_turn(database, second.id).state == "queued"
    assert queue.queue_place(redis, turns.get_turn(database, second.id)).ahead is not None
    assert registry.route(redis, first.chat_id) == "gpu0"


def test_a_turn_that_runs_twice_makes_one_reply(make_context, database, chat, say):
    make_context(echo_delay_ms=2)
    turn = say(chat)
    racers = [in_thread(turn) for _ in range(4)]
    for racer in racers:
        racer.join()
    run_turn(turn.id)
    assert len(chats.load_story(database, chat.id).messages) == 3


def test_a_turn_that_is_unknown_or_over_is_left_alone(make_context, database, user, chat, say):
    make_context()
    run_turn("0" * 32)
    turn = say(chat)
    turns.request_cancel(database, user.id, turn.id)
    run_turn(turn.id)
    assert len(chats.load_story(database, chat.id).messages) == 2


@pytest.mark.parametrize("by_sql", [False, True])
def test_stop_keeps_what_was_written(make_context, database, redis, user, chat, say, by_sql):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 150)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    if by_sql:  # Redis lost the flag
        turns.request_cancel(database, user.id, turn.id)
        heartbeat.renew_leases(context)
    else:
        queue.stop(database, redis, user.id, turn.id)
        heartbeat.CancelFlags(context).check()
    thread.join()
    reply = chats.load_story(database, chat.id).messages[-1]
    assert turns.get_turn(database, turn.id).state == "cancelled"
    assert reply.role == "character"
    assert reply.chosen.finish == "cancelled"
    assert 3 <= len(reply.text) < 300
    assert said(redis, turn)[-1]["type"] == "cancelled"
    assert said(redis, turn)[-1]["message"]["id"] == reply.id
    assert streamed(redis, turn) == reply.text


def test_a_stop_is_heard_not_looked_for(make_context, database, redis, user, chat, say, monkeypatch):
    monkeypatch.setattr(heartbeat, "CANCEL_POLL_S", 600.0)
    context = make_context(echo_delay_ms=10)
    flags = heartbeat.CancelFlags(context)
    flags.watch()  # the subscription stands
    turn = say(chat, "x" * 2000)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    watching = threading.Thread(target=flags.watch, daemon=True)
    watching.start()
    queue.stop(database, redis, user.id, turn.id)
    wait_until(lambda: not watching.is_alive())
    thread.join()
    assert turns.get_turn(database, turn.id).state == "cancelled"


def test_what_was_said_before_anybody_listened_is_found_in_the_flags(make_context, database, redis, user, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 2000)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    queue.stop(database, redis, user.id, turn.id)
    heartbeat.CancelFlags(context).watch()
    thread.join()
    assert turns.get_turn(database, turn.id).state == "cancelled"


def test_stop_before_the_first_word_leaves_no_message(make_context, database, redis, user, chat, say):
    context = make_context(echo_delay_ms=30)
    turn = say(chat, "x" * 2000)
    thread = in_thread(turn)
    wait_until(lambda: bool(context.running.all()))
    context.running.all()[0].stop(StopReason.CANCELLED)
    thread.join()
    assert turns.get_turn(database, turn.id).state == "cancelled"
    assert len(chats.load_story(database, chat.id).messages) == 2
    assert said(redis, turn)[-1] | {"seq": 0} == said(redis, turn)[-1] | {"seq": 0, "message": None, "revision": 2}


def test_a_drain_gives_the_turn_back_with_its_partial_text(make_context, database, redis, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 60)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    context.draining.set()
    context.running.stop_all(StopReason.DRAINING)
    thread.join()
    after = turns.get_turn(database, turn.id)
    assert after.state == "queued"
    assert after.partial == streamed(redis, turn)
    assert said(redis, turn)[-1]["state"] == "queued"
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).state == "queued", "a draining worker takes nothing"
    context.draining.clear()
    run_turn(turn.id)
    reply = chats.load_story(database, chat.id).messages[-1]
    assert turns.get_turn(database, turn.id).state == "done"
    assert streamed(redis, turn) == reply.text, "the second attempt starts again at offset 0"
    assert {event["attempt"] for event in said(redis, turn, "text")} == {1, 2}


def test_an_attempt_that_was_overtaken_changes_nothing(make_context, database, redis, chat, say):
    make_context(echo_delay_ms=5)
    turn = say(chat, "x" * 100)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    turns.give_back(database, turn.id, 1)
    claim = turns.claim(database, turn.id, "gpu1", 60)
    turns.commit(database, turn.id, claim.attempt, turns.Reply("from the other worker"))
    thread.join()
    stored = chats.load_story(database, chat.id)
    assert [message.text for message in stored.messages[2:]] == ["from the other worker"]
    assert not said(redis, turn, "done", "failed", "cancelled")


def test_losing_the_lease_stops_the_engine_too(make_context, database, redis, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 300)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    turns.give_back(database, turn.id, 1)
    turns.claim(database, turn.id, "gpu1", 60)
    heartbeat.renew_leases(context)
    thread.join()
    assert len(streamed(redis, turn)) < 300, "it did not write on to the end"
    assert turns.get_turn(database, turn.id).attempt == 2


def test_running_turns_keep_their_leases(make_context, database, redis, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 100)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    before = turns.get_turn(database, turn.id).lease_until
    time.sleep(0.02)
    heartbeat.renew_leases(context)
    assert turns.get_turn(database, turn.id).lease_until > before
    with pytest.raises(Refused, match="not_claimable"):
        turns.claim(database, turn.id, "gpu1", 60)
    context.running.stop_all(StopReason.CANCELLED)
    thread.join()


def test_how_far_a_turn_is_goes_to_sql_with_its_lease(make_context, database, redis, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 100)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    wait_until(lambda: heartbeat.renew_leases(context) or len(turns.get_turn(database, turn.id).partial) > 20)
    noted = turns.get_turn(database, turn.id)
    thread.join()
    assert noted.state == "writing"
    assert streamed(redis, turn).startswith(noted.partial)
    assert turns.get_turn(database, turn.id).partial == ""


def test_a_message_that_does_not_fit_fails_with_a_sentence(make_context, database, redis, chat, say):
    make_context(context=1024, max_reply_tokens=100)
    turn = say(chat, "x" * 5000)
    run_turn(turn.id)
    after = turns.get_turn(database, turn.id)
    assert (after.state, after.error_code) == ("failed", "too_long")
    assert after.error_text.startswith("Your message is 5")
    assert after.failure.reason == "too_long.message"
    assert said(redis, turn)[-1]["error"] == after.failure.as_dict()


def test_after_three_crashes_a_turn_fails_visibly(make_context, database, redis, chat, say):
    make_context()
    turn = say(chat)
    for attempt in (1, 2, 3):
        turns.claim(database, turn.id, "gpu1", 60)
        turns.give_back(database, turn.id, attempt, crashed=True)
    run_turn(turn.id)
    after = turns.get_turn(database, turn.id)
    assert (after.state, after.error_code) == ("failed", "too_many_attempts")
    assert said(redis, turn)[-1]["error"]["reason"] == "too_many_attempts"


def test_restarts_of_a_worker_are_no_crashes(make_context, database, redis, chat, say):
    make_context()
    turn = say(chat)
    for attempt in range(1, 6):
        turns.claim(database, turn.id, "gpu1", 60)
        turns.give_back(database, turn.id, attempt)
    run_turn(turn.id)
    after = turns.get_turn(database, turn.id)
    assert (after.state, after.attempt, after.crashes) == ("done", 6, 0)


def test_a_dead_engine_gives_the_turn_back(make_context, database, redis, chat, say):
    context = make_context(echo_delay_ms=10)
    turn = say(chat, "x" * 300)
    thread = in_thread(turn)
    until_it_writes(redis, turn)
    context.engine.close()
    thread.join()
    assert turns.get_turn(database, turn.id).state == "queued"


def refuse(database, condition: str) -> None:
    """Make the database refuse a change of turns, as a full disk would."""
    with database.session() as session:
        trigger = f"CREATE TRIGGER full BEFORE UPDATE ON turns WHEN {condition} BEGIN SELECT RAISE(ABORT, 'full'); END"
        session.connection().exec_driver_sql(trigger)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(endings, "SQL_PATIENCE_S", 0.3)


def test_a_reply_that_cannot_be_saved_fails_visibly(impatient, make_context, database, redis, chat, say):
    make_context()
    refuse(database, "NEW.state = 'done'")
    turn = say(chat)
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).error_code == "internal"
    assert len(chats.load_story(database, chat.id).messages) == 2
    assert said(redis, turn)[-1]["type"] == "failed"


def test_a_turn_whose_end_cannot_be_saved_is_left_to_its_lease(impatient, make_context, database, chat, say):
    context = make_context()
    refuse(database, "NEW.ended_at IS NOT NULL OR NEW.state = 'queued'")
    turn = say(chat)
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).running
    assert context.running.all() == (), "nobody renews its lease"


def break_ends(database) -> None:
    """Every statement that ends a turn fails as with an I/O error: an OperationalError, and nobody else who writes."""
    with database.session() as session:
        broken = "CREATE TRIGGER broken BEFORE UPDATE OF ended_at ON turns BEGIN INSERT INTO nowhere VALUES (1); END"
        session.connection().exec_driver_sql(broken)


def mend_ends(database) -> None:
    with database.session() as session:
        session.connection().exec_driver_sql("DROP TRIGGER broken")


def test_what_a_broken_database_refuses_is_kept_and_saved_by_the_next_attempt(
    impatient, make_context, database, redis, chat, say
):
    context = make_context()
    break_ends(database)
    turn = say(chat, "Good evening")
    thread = in_thread(turn)
    thread.join(20)
    assert not thread.is_alive(), "the lane tries for ever"
    assert turns.get_turn(database, turn.id).running
    assert context.running.all() == (), "nobody renews its lease"
    written = streamed(redis, turn)
    kept = KeptEnds(context.data_dir)
    assert kept.find(turn.id).outcome.replies[0].text == written
    mend_ends(database)
    kept.begin()
    kept.sweep(database)
    turns.give_back(database, turn.id, 1, crashed=True)
    context.engine.close()  # nobody could write it again
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).state == "done"
    assert chats.load_story(database, chat.id).messages[-1].text == written
    assert said(redis, turn)[-1]["type"] == "done"
    assert list((context.data_dir / "kept_ends").iterdir()) == []


def test_what_neither_the_database_nor_a_file_takes_is_tried_again(
    impatient, make_context, database, redis, chat, say, caplog
):
    context = make_context()
    (context.data_dir / "kept_ends").touch()  # no folder can be made here
    break_ends(database)
    turn = say(chat, "Good evening")
    thread = in_thread(turn)
    wait_until(lambda: "neither the database nor a file" in caplog.text)
    mend_ends(database)
    thread.join(20)
    assert turns.get_turn(database, turn.id).state == "done"


def test_a_kept_end_goes_with_its_turn(tmp_path, database, chat, say):
    kept = KeptEnds(tmp_path)
    turn = say(chat)
    reply = Reply("I am \udcff here.", (1, 2), "echo", "stop", {"n": 1}, "Mo")
    ends = [KeptEnd(one, False, turns.Outcome((reply,), None, None, {"s": 1.0}), {"from": 1}) for one in (turn.id, "x")]
    for end in ends:
        kept.keep(end)
        assert kept.find(end.turn_id) == end
    (tmp_path / "kept_ends" / "half.new").write_text("{")
    kept.begin()
    kept.sweep(database)
    assert (kept.find(turn.id), kept.find("x")) == (ends[0], None)
    turns.fail(database, turn.id, turns.claim(database, turn.id, "gpu0", 60).attempt, Failure("internal"))
    kept.sweep(database)
    assert list((tmp_path / "kept_ends").iterdir()) == []


def test_a_kept_end_that_is_damaged_is_written_anew(make_context, database, chat, say):
    context = make_context()
    turn = say(chat)
    kept = KeptEnds(context.data_dir)
    kept.keep(KeptEnd(turn.id, False, turns.Outcome(), None))
    next((context.data_dir / "kept_ends").iterdir()).write_text('{"outcome": 5}')
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).state == "done"


def test_what_rq_missed_is_taken_out(make_context, database, redis, chat, say):
    context = make_context()
    turn = say(chat)
    jobs.enqueue(redis, turn.id, "gpu0")
    lane = RqLane(jobs.open_queue(context.redis, "gpu0"), "lost", context.draining)
    lane.register_birth()
    job, _ = lane.dequeue_job_and_maintain_ttl(None)
    lane.prepare_execution(job)
    run_turn(turn.id)
    heartbeat.reconcile_if_due(context, every_s=0)
    assert redis.exists(f"rq:job:{turn.id}"), "RQ still has a moment to end its job"
    with database.session() as session:
        session.get(Turn, turn.id).ended_at -= 60
    heartbeat.reconcile_if_due(context, every_s=0)
    assert not list(redis.scan_iter(f"rq:*{turn.id}*"))
    assert not redis.zcard("rq:wip:inglenook-gpu0")


def test_redis_may_be_gone_when_a_turn_ends(make_context, database, redis_server, tmp_path, chat, say):
    server = type(redis_server)(tmp_path)
    server.start()
    context = make_context(redis_url=server.url, echo_delay_ms=5)
    turn = say(chat, "x" * 100)
    thread = in_thread(turn)
    until_it_writes(context.redis, turn)
    server.kill()
    thread.join()
    assert turns.get_turn(database, turn.id).state == "done"
    assert "heard: xxx" in chats.load_story(database, chat.id).messages[-1].text


def test_what_a_turn_took_is_the_sum_of_its_parts(make_context, database, chat, say):
    make_context()
    turn = say(chat, "Good evening")
    run_turn(turn.id)
    plain = turns.get_turn(database, turn.id).stats
    assert plain["n_evaluated"] > 0 < plain["n_generated"]
    assert not {"words", "lore", "hint"} & set(plain)
    command = turns.TurnCommand(
        "f" * 32, chat.id, "chat", chats.get_revision(database, chat.id), "And then?", then=("suggest",)
    )
    turns.begin_turn(database, chat.owner_id, command)
    run_turn(command.id)
    both = turns.get_turn(database, command.id)
    reply = chats.load_story(database, chat.id).messages[-1].chosen.stats
    assert both.result["suggestion"]
    assert both.stats["n_generated"] > reply["n_generated"]
    assert both.stats["write_s"] > reply["write_s"]


def test_a_reply_that_is_written_waits_for_a_locked_database_however_long(
    impatient, make_context, database_url, redis, chat, say, caplog
):
    """Another process holds the write lock for longer than the end was ever retried."""
    busy = Database(database_url, busy_timeout_s=0.02)
    open_context(replace(make_context(echo_delay_ms=5), db=busy))
    turn = say(chat, "Good evening")
    working = in_thread(turn)
    until_it_writes(redis, turn)
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: sum("trying again" in record.message for record in caplog.records) >= 6, 20)
    working.join()
    ended = turns.get_turn(busy, turn.id)
    busy.close()
    assert (ended.state, ended.attempt, ended.error_code) == ("done", 1, None)
    assert said(redis, turn)[-1]["type"] == "done"


def test_the_time_limit_of_a_job_does_not_end_a_reply_that_is_written(make_context, database, chat, say, monkeypatch):
    make_context()
    commit, tries = turns.commit, []

    def late(*arguments):
        tries.append(arguments)
        if len(tries) == 1:
            raise JobTimeoutException("the job took too long")
        return commit(*arguments)

    monkeypatch.setattr(turns, "commit", late)
    turn = say(chat)
    run_turn(turn.id)
    assert turns.get_turn(database, turn.id).state == "done"


class HungryFraming:
    """A framing that runs out of memory at one word; everything else is left to the real one."""

    def __init__(self, framing) -> None:
        self._framing = framing

    def __getattr__(self, name):
        return getattr(self._framing, name)

    def segment(self, role, name, text):
        if "bomb" in text:
            raise MemoryError
        return self._framing.segment(role, name, text)


def test_a_turn_that_runs_out_of_memory_fails_with_the_reason_and_the_next_one_works(
    make_context, database, redis, chat, say
):
    context = make_context()
    open_context(replace(context, framing=HungryFraming(context.framing)))
    turn = say(chat, "A bomb of a text")
    run_turn(turn.id)
    failed = turns.get_turn(database, turn.id)
    assert (failed.state, failed.failure.reason) == ("failed", "out_of_memory")
    assert said(redis, turn)[-1]["error"]["reason"] == "out_of_memory"
    assert not context.running.all()
    edits.edit_message(database, turn.owner_id, chats.load_story(database, chat.id).messages[-1].id, "Hello", 2)
    after = say(chat, revision=3, kind="retry")
    run_turn(after.id)
    assert turns.get_turn(database, after.id).state == "done"
