import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.broker import cancel, events, keys
from store.broker.events import AppendBatch
from store.errors import Stale
from tests.harness.chat_channel import subscribe
from tests.harness.soak import n_examples

CHAT, TURN = "c" * 32, "d" * 32


def say(redis, *texts, attempt=1, turn=TURN):
    return events.append(redis, CHAT, turn, attempt, [{"type": "text", "offset": 0, "text": text} for text in texts])


def done(redis, attempt=1):
    return events.append(redis, CHAT, TURN, attempt, [{"type": "done", "revision": 2, "message": None}])


def test_events_are_numbered_stored_and_read_back(redis):
    assert say(redis, "a", "b") == [1, 2]
    assert say(redis, "c") == [3]
    first, *_, last = events.read(redis, TURN)
    assert len({event.pop("stream") for event in (first, last)}) == 1
    assert first == {"seq": 1, "turn": TURN, "chat": CHAT, "attempt": 1, "type": "text", "offset": 0, "text": "a"}
    assert [event["text"] for event in events.read(redis, TURN, after_seq=1)] == ["b", "c"]
    assert events.read(redis, TURN, after_seq=last["seq"]) == []
    assert events.read(redis, "e" * 32) == []


def test_listeners_hear_exactly_what_is_stored(redis):
    with subscribe(redis, CHAT) as pubsub:
        assert pubsub.get_message(timeout=1) is None  # the answer to SUBSCRIBE
        say(redis, "a", "b")
        done(redis)
        heard = [events.decode(pubsub.get_message(timeout=1)["data"]) for _ in range(3)]
    assert heard == events.read(redis, TURN)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=5), st.floats(0, 1e9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=n_examples(25, 500))
def test_any_text_and_number_survives_the_script(redis, texts, eta_s):
    redis.flushall()
    say(redis, *texts)
    events.append(redis, CHAT, TURN, 1, [{"type": "state", "state": "queued", "ahead": 2, "eta_s": eta_s}])
    *said, state = events.read(redis, TURN)
    assert [event["text"] for event in said] == texts
    assert state["eta_s"] == eta_s
    assert [event["seq"] for event in [*said, state]] == list(range(1, len(texts) + 2))


def test_an_old_attempt_is_refused(redis):
    say(redis, "old")
    assert say(redis, "new", attempt=2) == [2]
    with pytest.raises(Stale):
        say(redis, "late", attempt=1)
    with pytest.raises(Stale):
        done(redis, attempt=1)
    assert [event["text"] for event in events.read(redis, TURN)] == ["old", "new"]


def test_nothing_comes_after_the_end(redis):
    say(redis, "a")
    assert events.has_ended(redis, [TURN, "e" * 32]) == [False, False]
    assert done(redis) == [2]
    assert events.has_ended(redis, [TURN, "e" * 32]) == [True, False]
    others = [f"{number:032x}" for number in range(250)]
    assert events.has_ended(redis, [*others, TURN]) == [False] * 250 + [True]
    assert events.has_ended(redis, []) == []
    assert say(redis, "b") == done(redis, attempt=2) == []
    assert len(events.read(redis, TURN)) == 2


def test_streams_go_away(redis):
    say(redis, "a")
    assert 86_000 < redis.ttl(keys.turn_events(TURN)) <= 86_400
    done(redis)
    assert 3_500 < redis.ttl(keys.turn_events(TURN)) <= 3_600


def test_many_turns_in_one_call(redis):
    other = "e" * 32
    say(redis, "newer", attempt=2)
    piece = [{"type": "text", "offset": 0, "text": "x"}]
    batches = [AppendBatch(CHAT, TURN, 1, piece), AppendBatch(CHAT, other, 1, piece), AppendBatch(CHAT, TURN, 2, piece)]
    assert events.append_all(redis, batches) == [events.Refusal.STALE, [1], [2]]


def test_senseless_events_are_refused(redis):
    text, end = {"type": "text"}, {"type": "failed"}
    for wrong in ([], [end, text], [{"type": "dance"}]):
        with pytest.raises(ValueError, match=r"Expected|no type of event"):
            events.append(redis, CHAT, TURN, 1, wrong)
    assert redis.dbsize() == 0


def test_numbers_have_no_gaps_whoever_writes(redis):
    barrier = threading.Barrier(8)

    def write(n):
        barrier.wait()
        return [seq for _ in range(20) for seq in say(redis, f"{n}", "x")]

    with ThreadPoolExecutor(8) as pool:
        numbers = [seq for seqs in pool.map(write, range(8)) for seq in seqs]
    assert sorted(numbers) == list(range(1, 321))
    assert [event["seq"] for event in events.read(redis, TURN)] == list(range(1, 321))


def test_an_emptied_redis_starts_again_at_one(redis):
    say(redis, "a", "b")
    redis.flushall()
    assert say(redis, "c") == [1]


def test_the_raw_entry_is_plain_json(redis):
    say(redis, "naïve 🙂")
    ((entry_id, fields),) = redis.xrange(keys.turn_events(TURN))
    assert entry_id == b"1-0"
    assert json.loads(fields[b"event"])["text"] == "naïve 🙂"
    assert "naïve 🙂".encode() in fields[b"event"]


def test_cancel_flags(redis):
    assert cancel.requested(redis, []) == set()
    cancel.request(redis, TURN)
    assert cancel.requested(redis, [TURN, "e" * 32]) == {TURN}
    assert redis.ttl(keys.cancel_flag(TURN)) > 3_000
