"""The event buffer of a turn: values in, batches out."""

import pytest

from store.broker import events
from worker.event_buffer import Event, TurnEventBuffer


@pytest.fixture
def buffer(clock) -> TurnEventBuffer:
    return TurnEventBuffer("c" * 32, "a" * 32, 1, clock)


def fields(batch: list[Event], *names: str) -> list[tuple]:
    return [tuple(event.get(name) for name in names) for event in batch]


def test_text_is_joined_and_carries_its_offset_in_characters(buffer):
    buffer.text("Hé")
    buffer.text("llo 🦊")
    assert fields(buffer.take(), "type", "offset", "text") == [("text", 0, "Héllo 🦊")]
    buffer.text("!")
    assert fields(buffer.take(), "type", "offset", "text") == [("text", 7, "!")]
    assert buffer.take() == []


def test_states_are_said_once_and_progress_not_too_often(buffer, clock):
    batch = []
    for repetition in range(2):
        assert buffer.state("waking") is (repetition == 0)
    batch += buffer.take()
    for done in range(10):
        buffer.state("reading", done=done, total=100)
        batch += buffer.take()
    clock.now += 1
    buffer.state("reading", done=50, total=100)
    batch += buffer.take()
    buffer.state("reading", done=100, total=100)
    buffer.state("writing")
    buffer.state("writing")
    batch += buffer.take()
    assert fields(batch, "state", "done") == [
        ("waking", None),
        ("reading", 0),
        ("reading", 50),
        ("reading", 100),
        ("writing", None),
    ]


def test_unsent_progress_is_replaced(buffer, clock):
    for done in (1, 2, 3):
        clock.now += 1
        buffer.state("reading", done=done, total=4)
    assert fields(buffer.take(), "done") == [(3,)]


def test_what_was_put_back_comes_first_and_its_text_is_joined(buffer):
    buffer.state("writing")
    buffer.text("one ")
    batch = buffer.take()
    buffer.text("two")
    buffer.put_back(batch)
    assert fields(buffer.take(), "type", "offset", "text") == [("state", None, None), ("text", 0, "one two")]


def test_a_replay_says_all_parts_from_their_beginning_and_the_end_last(buffer):
    for part, text in enumerate(("Once ", "Suddenly ")):
        buffer.part(part, 2, "chat", "character", "Mara", None)
        buffer.text(text)
    buffer.acknowledge([1, 2, 3, 4])
    buffer.take()
    buffer.text("it rained.")
    buffer.end({"type": "done"})
    replay = buffer.replay(buffer.take())
    texts = [("part", None), ("text", "Once "), ("part", None), ("text", "Suddenly it rained."), ("done", None)]
    assert fields(replay, "type", "text") == texts
    assert buffer.as_batch(replay).known == events.BEGIN_ANEW


def test_after_a_newer_attempt_has_spoken_there_is_nothing_to_send(buffer):
    buffer.acknowledge(events.Refusal.STALE)
    buffer.text("old")
    assert buffer.take() == []
