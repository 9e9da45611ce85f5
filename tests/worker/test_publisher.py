"""Feeds and their publisher, against a real Redis."""

import threading
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from worker_lane_jobs import wait_until

from store.broker import events, keys
from store.broker.client import connect
from worker.publisher import Publisher, TurnEventBuffer

CHAT, TURN = "c" * 32, "a" * 32


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publisher(redis, clock) -> Publisher:
    """One whose thread is not started: the test flushes."""
    return Publisher(redis, clock=clock)


@pytest.fixture
def feed(publisher) -> TurnEventBuffer:
    return publisher.open(CHAT, TURN, 1)


@pytest.fixture
def server(redis_server, tmp_path) -> Iterator:
    """A Redis that the test may kill."""
    own = type(redis_server)(tmp_path)
    own.start()
    yield own
    own.kill()


def said(redis: Redis, *fields: str) -> list[tuple]:
    return [tuple(event.get(field) for field in fields) for event in events.read(redis, TURN)]


def test_text_is_joined_and_carries_its_offset_in_characters(redis, feed):
    feed.text("Hé")
    feed.text("llo 🦊")
    assert feed.flush()
    feed.text("!")
    feed.text("")
    assert feed.flush()
    assert said(redis, "type", "offset", "text", "seq") == [("text", 0, "Héllo 🦊", 1), ("text", 7, "!", 2)]


def test_states_are_said_once_and_progress_not_too_often(redis, feed, clock):
    feed.state("waking")
    feed.state("waking")
    feed.flush()
    for done in range(10):
        feed.state("reading", done=done, total=100)
        feed.flush()
    clock.now += 1
    feed.state("reading", done=50, total=100)
    feed.flush()
    feed.state("reading", done=100, total=100)
    feed.state("writing")
    feed.state("writing")
    feed.flush()
    assert said(redis, "state", "done") == [
        ("waking", None),
        ("reading", 0),
        ("reading", 50),
        ("reading", 100),
        ("writing", None),
    ]


def test_unsent_progress_is_replaced(redis, feed, clock):
    for done in (1, 2, 3):
        clock.now += 1
        feed.state("reading", done=done, total=4)
    feed.flush()
    assert said(redis, "done") == [(3,)]


def test_the_end_is_sent_at_once_with_all_that_was_waiting(redis, feed):
    feed.state("writing")
    feed.text("Hi")
    feed.end({"type": "done", "revision": 2, "message": {}})
    assert said(redis, "type") == [("state",), ("text",), ("done",)]


def test_an_older_attempt_falls_silent(redis, publisher, feed):
    newer = publisher.open(CHAT, TURN, 2)
    newer.text("new")
    newer.flush()
    feed.text("old")
    assert feed.flush()
    assert feed.stale
    assert said(redis, "attempt", "text") == [(2, "new")]


def test_the_thread_sends_what_gathers(redis, redis_server):
    publisher = Publisher(connect(redis_server.url), interval_s=0.01)
    publisher.start()
    listener = events.subscribe(redis, [CHAT])
    feed = publisher.open(CHAT, TURN, 1)
    heard = ""
    for letter in "a story, letter by letter":
        feed.text(letter)
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
    feeds = [publisher.open(CHAT, f"{n:032x}", 1) for n in range(8)]

    def write(feed: TurnEventBuffer) -> None:
        for n in range(200):
            feed.text(f"{n} ")
        feed.end({"type": "done", "revision": 1, "message": None})

    threads = [threading.Thread(target=write, args=(feed,)) for feed in feeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.close()
    publisher.redis.close()
    for feed in feeds:
        heard = events.read(redis, feed.turn_id)
        text = ""
        for event in heard[:-1]:
            assert event["offset"] == len(text)
            text += event["text"]
        assert text == "".join(f"{n} " for n in range(200))
        assert heard[-1]["type"] == "done"


def test_what_redis_did_not_take_is_sent_when_it_is_back(server, clock):
    with connect(server.url) as client:
        feed = Publisher(client, clock=clock).open(CHAT, TURN, 1)
        server.kill()
        feed.state("writing")
        feed.text("one ")
        assert not feed.flush()
        feed.text("two")
        server.start()
        assert feed.flush()
        assert said(client, "type", "offset", "text") == [("state", None, None), ("text", 0, "one two")]


def test_after_redis_was_emptied_all_the_text_is_said_again(server, clock):
    with connect(server.url) as client:
        feed = Publisher(client, clock=clock).open(CHAT, TURN, 1)
        for piece in ("one ", "two "):
            feed.text(piece)
            feed.flush()
        server.kill()
        server.start()
        feed.text("three")
        assert feed.flush()
        assert said(client, "seq", "offset", "text") == [(1, 0, "one two three")]


def test_an_ended_feed_keeps_trying_for_a_while(server):
    with connect(server.url) as client:
        publisher = Publisher(client, interval_s=0.01)
        publisher.start()
        server.kill()
        feed = publisher.open(CHAT, TURN, 1)
        feed.end({"type": "failed", "error": {"code": "internal", "message": "?"}})
        server.start()
        wait_until(lambda: said(client, "type") == [("failed",)])
        publisher.close()


def test_what_cannot_be_sent_takes_nobody_along(redis, publisher, feed):
    odd = publisher.open(CHAT, "b" * 32, 1)
    odd.state("reading", done=object())
    odd.text("never seen")
    feed.text("seen")
    publisher.start()
    wait_until(lambda: said(redis, "text") == [("seen",)])
    odd.text("all the same")
    wait_until(lambda: [event["text"] for event in events.read(redis, odd.turn_id)] == ["all the same"])
    publisher.close()


def test_what_several_feeds_said_stays_when_redis_does_not_take_it(server, clock):
    redis = connect(server.url)
    publisher = Publisher(redis, clock=clock)
    feeds = [publisher.open(CHAT, letter * 32, 1) for letter in "abc"]
    for feed in feeds:
        feed.text("once ")
    assert publisher.send(feeds)
    server.kill()
    for feed in feeds:
        feed.text("upon ")
    assert not publisher.send(feeds)
    for feed in feeds:
        feed.text("a time")
    server.start()
    wait_until(lambda: publisher.send(feeds))
    for feed in feeds:
        told = {event["offset"]: event["text"] for event in events.read(redis, feed.turn_id)}
        assert "once upon a time" in (told.get(0, ""), told.get(0, "") + told.get(5, ""))
    redis.close()


def test_text_that_cannot_be_said_again_makes_nobody_else_say_theirs_twice(redis, publisher, feed, monkeypatch):
    other = publisher.open(CHAT, "b" * 32, 1)
    for piece in ("One", " more"):
        feed.text(piece)
        assert feed.flush()
    redis.flushall()
    append_all, calls = events.append_all, []

    def fails_the_second_time(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RedisConnectionError("gone again")
        return append_all(*arguments)

    monkeypatch.setattr(events, "append_all", fails_the_second_time)
    feed.text("!")
    other.text("Hello")
    assert not publisher.send([feed, other])
    assert publisher.send([feed, other])
    assert [event["text"] for event in events.read(redis, "b" * 32)] == ["Hello"]
    assert said(redis, "offset", "text")[-1] == (0, "One more!")


def test_an_appender_outlives_its_connection_and_its_server(server):
    piece = [events.Batch(CHAT, TURN, 1, [{"type": "text", "part": 0, "offset": 0, "text": "x"}])]
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


def test_an_end_behind_what_redis_has_lost_comes_with_all_of_the_text(redis, publisher, feed):
    other = publisher.open(CHAT, "b" * 32, 1)
    feed.part(0, 1, "chat", "character", "Mara", None)
    for piece in ("Once ", "upon "):
        feed.text(piece)
        assert feed.flush()
    before = events.tail(redis, TURN)
    redis.xdel(keys.turn_events(TURN), "3-0", "2-0")  # killed: what it wrote last was not on the disk yet
    feed.state("writing")
    feed.text("a time")
    other.text("Hello")
    assert publisher.send([feed, other])
    feed.end({"type": "done", "revision": 2, "messages": [], "message": None, "suggestion": None})
    assert said(redis, "seq", "type", "text") == [
        *((1, "state", None), (2, "part", None)),
        *((3, "text", "Once upon a time"), (4, "done", None)),
    ]
    assert events.tail(redis, TURN).stream != before.stream
    assert [event["text"] for event in events.read(redis, other.turn_id)] == ["Hello"]


def test_what_is_said_again_in_one_call_with_the_end_ends_with_it(redis, feed):
    feed.text("Once ")
    assert feed.flush()
    redis.flushall()
    feed.text("upon a time")
    feed.end({"type": "done", "revision": 2, "messages": [], "message": None, "suggestion": None})
    assert said(redis, "type", "offset", "text") == [("text", 0, "Once upon a time"), ("done", None, None)]
    feed.text("never")
    assert feed.flush()
    assert len(events.read(redis, TURN)) == 2


def test_after_redis_was_away_words_leave_at_their_old_pace(server, clock, caplog):
    caplog.set_level("INFO", "worker.publisher")
    with connect(server.url) as client:
        publisher = Publisher(client, clock=clock)
        feed = publisher.open(CHAT, TURN, 1)
        server.kill()
        feed.text("One ")
        assert not feed.flush()
        server.start()
        wait_until(feed.flush)
        feed.text("more")
        assert feed.flush()
        assert [record.message for record in caplog.records][1:] == ["Redis takes live events again"]
