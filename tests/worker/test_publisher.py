"""The publisher and the live events that it sends, against a real Redis."""

import threading
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from worker_lane_jobs import wait_until

from store.broker import events, keys
from store.broker.client import connect
from tests.harness.chat_channel import subscribe
from worker.publisher import Publisher, TurnEvents

CHAT, TURN = "c" * 32, "a" * 32


@pytest.fixture
def publisher(redis, clock) -> Publisher:
    """One whose thread is not started: the test flushes."""
    return Publisher(redis, clock=clock)


@pytest.fixture
def live(publisher) -> TurnEvents:
    return publisher.open(CHAT, TURN, 1)


@pytest.fixture
def server(redis_server, tmp_path) -> Iterator:
    """A Redis that the test may kill."""
    own = type(redis_server)(tmp_path)
    own.start()
    yield own
    own.kill()


def flush(publisher: Publisher, *turns: TurnEvents) -> bool:
    return publisher.send([live.buffer for live in turns])


def said(redis: Redis, *fields: str) -> list[tuple]:
    return [tuple(event.get(field) for field in fields) for event in events.read(redis, TURN)]


def test_the_end_is_sent_at_once_with_all_that_was_waiting(redis, live):
    live.state("writing")
    live.text("Hi")
    live.end({"type": "done", "revision": 2, "message": {}})
    assert said(redis, "type") == [("state",), ("text",), ("done",)]


def test_an_older_attempt_falls_silent(redis, publisher, live):
    newer = publisher.open(CHAT, TURN, 2)
    newer.text("new")
    flush(publisher, newer)
    live.text("old")
    assert flush(publisher, live)
    assert live.buffer.stale
    assert said(redis, "attempt", "text") == [(2, "new")]


def test_the_thread_sends_what_gathers(redis, redis_server):
    publisher = Publisher(connect(redis_server.url), interval_s=0.01)
    publisher.start()
    listener = subscribe(redis, CHAT)
    live = publisher.open(CHAT, TURN, 1)
    heard = ""
    for letter in "a story, letter by letter":
        live.text(letter)
    for message in listener.listen():
        event = events.decode(message["data"])
        assert event["offset"] == len(heard)
        heard += event["text"]
        if heard == "a story, letter by letter":
            break
    listener.close()
    publisher.close()
    publisher.redis.close()


def test_many_lanes_at_once_lose_nothing(redis, redis_server):
    publisher = Publisher(connect(redis_server.url), interval_s=0.001)
    publisher.start()
    turns = [publisher.open(CHAT, f"{n:032x}", 1) for n in range(8)]

    def write(live: TurnEvents) -> None:
        for n in range(200):
            live.text(f"{n} ")
        live.end({"type": "done", "revision": 1, "message": None})

    threads = [threading.Thread(target=write, args=(live,)) for live in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.close()
    publisher.redis.close()
    for live in turns:
        heard = events.read(redis, live.buffer.turn_id)
        text = ""
        for event in heard[:-1]:
            assert event["offset"] == len(text)
            text += event["text"]
        assert text == "".join(f"{n} " for n in range(200))
        assert heard[-1]["type"] == "done"


def test_what_redis_did_not_take_is_sent_when_it_is_back(server, clock):
    with connect(server.url) as client:
        publisher = Publisher(client, clock=clock)
        live = publisher.open(CHAT, TURN, 1)
        server.kill()
        live.state("writing")
        live.text("one ")
        assert not flush(publisher, live)
        live.text("two")
        server.start()
        assert flush(publisher, live)
        assert said(client, "type", "offset", "text") == [("state", None, None), ("text", 0, "one two")]


def test_after_redis_was_emptied_all_the_text_is_said_again(server, clock):
    with connect(server.url) as client:
        publisher = Publisher(client, clock=clock)
        live = publisher.open(CHAT, TURN, 1)
        for piece in ("one ", "two "):
            live.text(piece)
            flush(publisher, live)
        server.kill()
        server.start()
        live.text("three")
        assert flush(publisher, live)
        assert said(client, "seq", "offset", "text") == [(1, 0, "one two three")]


def test_the_end_of_a_turn_is_tried_for_a_while(server):
    with connect(server.url) as client:
        publisher = Publisher(client, interval_s=0.01)
        publisher.start()
        server.kill()
        live = publisher.open(CHAT, TURN, 1)
        live.end({"type": "failed", "error": {"code": "internal", "message": "?"}})
        server.start()
        wait_until(lambda: said(client, "type") == [("failed",)])
        publisher.close()


def test_what_cannot_be_sent_takes_nobody_along(redis, publisher, live):
    odd = publisher.open(CHAT, "b" * 32, 1)
    odd.state("reading", done=object())
    odd.text("never seen")
    live.text("seen")
    publisher.start()
    wait_until(lambda: said(redis, "text") == [("seen",)])
    odd.text("all the same")
    wait_until(lambda: [event["text"] for event in events.read(redis, odd.buffer.turn_id)] == ["all the same"])
    publisher.close()


def test_what_several_turns_said_stays_when_redis_does_not_take_it(server, clock):
    redis = connect(server.url)
    publisher = Publisher(redis, clock=clock)
    turns = [publisher.open(CHAT, letter * 32, 1) for letter in "abc"]
    for live in turns:
        live.text("once ")
    assert flush(publisher, *turns)
    server.kill()
    for live in turns:
        live.text("upon ")
    assert not flush(publisher, *turns)
    for live in turns:
        live.text("a time")
    server.start()
    wait_until(lambda: flush(publisher, *turns))
    for live in turns:
        texts = {event["offset"]: event["text"] for event in events.read(redis, live.buffer.turn_id)}
        assert "once upon a time" in (texts.get(0, ""), texts.get(0, "") + texts.get(5, ""))
    redis.close()


def test_text_that_cannot_be_said_again_makes_nobody_else_say_theirs_twice(redis, publisher, live, monkeypatch):
    other = publisher.open(CHAT, "b" * 32, 1)
    for piece in ("One", " more"):
        live.text(piece)
        assert flush(publisher, live)
    redis.flushall()
    append_all, calls = events.Appender.append_all, []

    def fails_the_second_time(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RedisConnectionError("gone again")
        return append_all(*arguments)

    monkeypatch.setattr(events.Appender, "append_all", fails_the_second_time)
    live.text("!")
    other.text("Hello")
    assert not flush(publisher, live, other)
    assert flush(publisher, live, other)
    assert [event["text"] for event in events.read(redis, "b" * 32)] == ["Hello"]
    assert said(redis, "offset", "text")[-1] == (0, "One more!")


def test_an_appender_outlives_its_connection_and_its_server(server):
    piece = [events.AppendBatch(CHAT, TURN, 1, [{"type": "text", "part": 0, "offset": 0, "text": "x"}])]
    with connect(server.url) as redis:
        appender = events.Appender(redis)
        assert appender.append_all(piece) == [[1]]
        redis.client_kill_filter(_type="normal", skipme=True)
        assert appender.append_all(piece) == [[2]]
        server.kill()
        with pytest.raises(RedisConnectionError):
            appender.append_all(piece)
        server.start()
        redis.flushall()
        redis.script_flush()
        assert appender.append_all(piece * 2) == [[1], [2]]
        appender.close()


def test_an_end_behind_what_redis_has_lost_comes_with_all_of_the_text(redis, publisher, live):
    other = publisher.open(CHAT, "b" * 32, 1)
    live.part(0, 1, "chat", "character", "Mara", None)
    for piece in ("Once ", "upon "):
        live.text(piece)
        assert flush(publisher, live)
    before = events.tail(redis, TURN)
    redis.xdel(keys.turn_events(TURN), "3-0", "2-0")  # killed: what it wrote last was not on the disk yet
    live.state("writing")
    live.text("a time")
    other.text("Hello")
    assert flush(publisher, live, other)
    live.end({"type": "done", "revision": 2, "messages": [], "message": None, "suggestion": None})
    assert said(redis, "seq", "type", "text") == [
        *((1, "state", None), (2, "part", None)),
        *((3, "text", "Once upon a time"), (4, "done", None)),
    ]
    assert events.tail(redis, TURN).stream != before.stream
    assert [event["text"] for event in events.read(redis, other.buffer.turn_id)] == ["Hello"]


def test_what_is_said_again_in_one_call_with_the_end_ends_with_it(redis, publisher, live):
    live.text("Once ")
    assert flush(publisher, live)
    redis.flushall()
    live.text("upon a time")
    live.end({"type": "done", "revision": 2, "messages": [], "message": None, "suggestion": None})
    assert said(redis, "type", "offset", "text") == [("text", 0, "Once upon a time"), ("done", None, None)]
    live.text("never")
    assert flush(publisher, live)
    assert len(events.read(redis, TURN)) == 2


def test_after_redis_was_away_words_leave_at_their_old_pace(server, clock, caplog):
    caplog.set_level("INFO", "worker.publisher")
    with connect(server.url) as client:
        publisher = Publisher(client, clock=clock)
        live = publisher.open(CHAT, TURN, 1)
        server.kill()
        live.text("One ")
        assert not flush(publisher, live)
        server.start()
        wait_until(lambda: flush(publisher, live))
        live.text("more")
        assert flush(publisher, live)
        assert [record.message for record in caplog.records][1:] == ["Redis takes live events again"]
