"""The engine through its public door, on the echo backend: what a turn costs, and what happens when things go wrong."""

import threading
import time

import pytest
from engine_stories import GREEDY, Story, finish, settled

from engine import (
    Cancelled,
    Done,
    EngineClosed,
    Failed,
    Reading,
    RequestError,
    SamplerSettings,
    Segment,
    Text,
    Ticket,
    TurnRequest,
    Waking,
)
from engine.backend import DecodeResult
from engine.backends.echo import EchoBackend


@pytest.fixture
def story(make_engine, echo):
    return Story(make_engine(echo), "chat")


def test_a_turn_streams_its_text_and_ends_with_it(story):
    story.say("Hello 😀")
    events = list(story.engine.submit(story.request()).events())
    assert isinstance(events[0], Reading)
    assert "".join(event.text for event in events if isinstance(event, Text)) == events[-1].text
    assert events[-1].text.startswith("Mira heard: Hello 😀 (2 messages, tag ")
    assert events[-1].finish == "end"
    reading = [(event.done, event.total) for event in events if isinstance(event, Reading)]
    assert reading[-1][0] == reading[-1][1]


def test_send_reads_the_new_tokens_and_nothing_else(story, echo):
    for turn in range(10):
        story.say(f"message {turn}")
        new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
        done = story.turn()
        assert done.stats.n_evaluated == new + (len(story.segments[0].tokens) if turn == 0 else 0)


def test_retry_and_continue_read_nothing(story):
    story.say("Hello")
    first = story.turn()
    story.segments.pop()
    again = story.turn()
    assert again.stats.n_evaluated == 0
    assert again.text == first.text
    story.segments.pop()
    short = story.turn(max_tokens=10)
    assert (short.finish, len(short.tokens)) == ("length", 10)
    story.segments.pop()
    longer = story.turn(prefix=short.tokens)
    assert longer.stats.n_evaluated == 0
    assert bytes(longer.tokens) == bytes(first.tokens)


def test_suggest_leaves_no_trace(story, echo):
    story.say("Hello")
    story.turn()
    story.turn(keep=False)
    story.say("Next")
    new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
    with_trace = story.turn()
    assert with_trace.stats.n_evaluated == new
    assert "(4 messages" in with_trace.text


def test_withdrawn_lore_reads_only_itself(story):
    story.say("Hello")
    lore = Segment("lore:1", story.framing.segment("narrator", "Narrator", "The lamp is red."), ephemeral=True)
    story.segments.append(lore)
    assert story.turn().stats.n_evaluated
    story.segments.remove(lore)
    story.say("Next")
    new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
    assert story.turn().stats.n_evaluated == new


def test_eviction_reads_only_the_new_message(story):
    for turn in range(4):
        story.say(f"message {turn}")
        story.turn()
    story.evict(4)
    story.say("after")
    new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
    assert story.turn().stats.n_evaluated == new


def test_a_shared_persona_is_read_once(make_engine, echo):
    engine = make_engine(echo)
    first, second = Story(engine, "one", "A long shared persona."), Story(engine, "two", "A long shared persona.")
    for story in (first, second):
        story.say(f"Hello from {story.name}")
        story.turn()
    used = engine.stats().cells_used
    assert used == echo.n_used()
    second.say("More")
    assert second.turn().stats.n_shared == 0
    third = Story(engine, "three", "A long shared persona.")
    third.say("Hi")
    done = third.turn()
    assert done.stats.n_shared == len(third.segments[0].tokens)


def test_cells_are_counted_exactly(make_engine):
    echo = EchoBackend(n_cells=2000, n_sequences=4, n_batch=32)
    engine = make_engine(echo, context=600, park_after_s=0.0)
    stories = [Story(engine, f"chat{i}", "One persona for all.") for i in range(6)]
    for turn in range(3):
        for story in stories:
            story.say(f"hello {turn}")
            story.turn()
            settled(engine, "x")
            assert engine.stats().cells_used == echo.n_used()


def test_waking_is_said_and_costs_no_reading(make_engine):
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=32)
    engine = make_engine(echo, context=600, park_after_s=0.0)
    stories = [Story(engine, f"chat{i}", f"Persona number {i}.") for i in range(5)]
    for story in stories:
        story.say("Hello")
        story.turn()
    stories[0].say("Again")
    events = list(engine.submit(stories[0].request()).events())
    assert Waking() in events
    assert events[-1].stats.n_evaluated == len(stories[0].segments[-1].tokens) + len(stories[0].reply_spec().header)


def test_two_turns_on_one_session_take_turns(story):
    story.say("Hello")
    tickets = [story.engine.submit(story.request()) for _ in range(5)]
    texts = [list(ticket.events())[-1].text for ticket in tickets]
    assert len(set(texts)) == 1


def test_many_threads_at_once(make_engine):
    engine = make_engine(EchoBackend(n_cells=4000, n_sequences=5, n_batch=64), context=800, lanes=3)
    stories = [Story(engine, f"chat{i}", f"Persona {i}") for i in range(12)]
    said: dict[str, list[str]] = {}

    def play(story):
        for turn in range(4):
            story.say(f"{story.name} says {turn}")
            said.setdefault(story.name, []).append(story.turn().text)

    threads = [threading.Thread(target=play, args=(story,)) for story in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for story in stories:
        for turn, text in enumerate(said[story.name]):
            assert text.startswith(f"Mira heard: {story.name} says {turn} ({2 * turn + 2} messages")


def test_cancel_while_writing_keeps_what_was_written(make_engine):
    echo = EchoBackend(n_cells=2000, n_sequences=4, n_batch=64, delay_s=0.005)
    story = Story(make_engine(echo), "chat")
    story.say("Tell me a very long story about the sea and all its ships")
    ticket = story.engine.submit(story.request())
    events = ticket.events()
    for event in events:
        if isinstance(event, Text):
            break
    ticket.cancel()
    last = list(events)[-1]
    assert isinstance(last, Cancelled)
    assert 0 < len(last.tokens) < 60
    story.segments.append(Segment("character:x", story.framing.segment_from_tokens("character", "Mira", last.tokens)))
    story.say("Go on")
    assert "Go on" in story.turn().text


def test_cancel_while_waiting_and_reading(make_engine):
    echo = EchoBackend(n_cells=4000, n_sequences=4, n_batch=16, delay_s=0.005)
    engine = make_engine(echo, lanes=1, context=3000)
    story, other = Story(engine, "a"), Story(engine, "b")
    story.say("long " * 300)
    other.say("Hello")
    reading, waiting = engine.submit(story.request()), engine.submit(other.request())
    waiting.cancel()
    events = reading.events()
    next(events)
    reading.cancel()
    assert isinstance(list(events)[-1], Cancelled)
    assert isinstance(list(waiting.events())[-1], Cancelled)
    assert story.turn().text.startswith("Mira heard: long long")


def test_stop_strings_cut_the_session_too(story):
    story.say("Hello there")
    done = story.turn(stop=("ere",))
    assert done.finish == "stop"
    assert done.text == "Mira heard: Hello th"
    story.say("Next")
    assert "(4 messages" in story.turn().text


def test_what_cannot_fit_is_refused_with_numbers(story):
    story.say("x" * 1000)
    with pytest.raises(RequestError, match=r"can need \d+ tokens but the session's context holds 1000"):
        story.turn()


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ((), "at least one segment"),
        ((Segment("a", (1,)), Segment("a", (2,))), "same name"),
        ((Segment("a", ()),), "without tokens"),
    ],
)
def test_impossible_requests_are_refused(story, wanted, sentence):
    with pytest.raises(RequestError, match=sentence):
        story.engine.submit(TurnRequest("chat", wanted))


class Refusing(EchoBackend):
    """Refuses every batch of one sequence's user once, or dies."""

    answer: DecodeResult | None = None
    dies_after: threading.Event | None = None

    def decode(self, runs):
        if self.dies_after is not None:
            assert self.dies_after.wait(30)
            raise RuntimeError("the card fell off the bus")
        if self.answer is not None:
            return self.answer
        return super().decode(runs)


def test_a_refused_batch_fails_the_turn_and_the_session_recovers(make_engine):
    backend = Refusing()
    story = Story(make_engine(backend), "chat")
    story.say("Hello")
    backend.answer = DecodeResult.REFUSED
    last = list(story.engine.submit(story.request()).events())[-1]
    assert isinstance(last, Failed)
    assert last.code == "decode"
    backend.answer = None
    assert "Hello" in story.turn().text


def test_a_dead_loop_tells_everybody(make_engine, caplog):
    backend = Refusing()
    engine = make_engine(backend, lanes=1)
    stories = [Story(engine, f"chat{i}") for i in range(3)]
    for story in stories:
        story.say("Hello")
    backend.dies_after = threading.Event()
    tickets = [engine.submit(story.request()) for story in stories]
    backend.dies_after.set()
    for ticket in tickets:
        last = list(ticket.events())[-1]
        assert isinstance(last, Failed)
        assert last.code == "engine_closed"
    with pytest.raises(EngineClosed):
        engine.submit(stories[0].request())
    assert "the card fell off the bus" in caplog.text


def test_the_second_attempt_reads_everything_again(story):
    story.say("Hello")
    story.turn()
    story.say("Next")
    request = story.request()
    again = TurnRequest(request.session, request.wanted, request.reply, use_blocks=False)
    total = sum(len(segment.tokens) for segment in request.wanted) + len(request.reply.header)
    done = finish(story.engine, again)
    assert done.stats.n_evaluated == total
    assert done.stats.n_restored == done.stats.n_shared == done.stats.n_kept == 0


def test_top_probabilities_come_with_the_text(story):
    story.say("Hello")
    sampling = type(GREEDY)(temperature=0, top_n=3)
    texts = [e for e in story.engine.submit(story.request(sampling=sampling)).events() if isinstance(e, Text)]
    assert sum(len(event.top) for event in texts) >= sum(len(event.text) for event in texts)
    assert all(len(top) == 3 for event in texts for top in event.top)


@pytest.mark.parametrize("grammar", ["root ::= (", "root ::= nowhere"])
def test_a_broken_grammar_fails_its_turn_and_nothing_else(story, grammar):
    story.say("Hello")
    last = list(story.engine.submit(story.request(sampling=SamplerSettings(grammar=grammar))).events())[-1]
    assert isinstance(last, Failed)
    assert last.code == "request"
    assert "not valid GBNF" in last.message
    assert "Hello" in story.turn().text


def test_a_grammar_is_kept_to_and_leaves_no_trace(story):
    story.say("Hello")
    story.turn()
    fields = SamplerSettings(temperature=0, grammar='root ::= "Mood: " [a-z]{1,9} "\n"')
    assert story.turn(keep=False, sampling=fields).text == "Mood: a\n"
    story.say("Next")
    new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
    assert story.turn().stats.n_evaluated == new


@pytest.mark.parametrize("token", [-1, 10**9])
def test_a_bias_for_a_token_that_is_not_there_is_refused(story, token):
    story.say("Hello")
    with pytest.raises(RequestError, match="logit_bias names a token"):
        story.turn(sampling=SamplerSettings(logit_bias=((token, 1.0),)))


class Hanging(EchoBackend):
    """Hangs in a decode until it is let go."""

    def __init__(self):
        super().__init__(n_sequences=4)
        self.entered, self.let_go = threading.Event(), threading.Event()

    def decode(self, runs):
        self.entered.set()
        assert self.let_go.wait(30)
        return super().decode(runs)


def test_a_hanging_step_is_seen_from_outside_and_idleness_is_none(make_engine):
    backend = Hanging()
    engine = make_engine(backend)
    assert engine.stalled_s() == 0
    story = Story(engine, "chat")
    story.say("Hello")
    ticket = engine.submit(story.request())
    assert backend.entered.wait(30)
    first = engine.stalled_s()
    while engine.stalled_s() < first + 0.05:
        assert engine.alive()
    backend.let_go.set()
    assert isinstance(list(ticket.events())[-1], Done)
    until = time.monotonic() + 30
    while engine.stalled_s():
        assert time.monotonic() < until, "an idle engine does not stall"
    engine.close()
    assert engine.stalled_s() == 0


class StoppedWhileReading(EchoBackend):
    """Its owner stops the turn while a batch is being decoded."""

    ticket: Ticket | None = None

    def decode(self, runs):
        if self.ticket is not None:
            self.ticket.cancel()
        return super().decode(runs)


def test_a_stop_ends_a_long_read_in_its_middle(make_engine):
    """The abort callback fires during the decode itself; what was half read does not stay in the cells."""
    backend = StoppedWhileReading(n_cells=4000, n_sequences=4, n_batch=512)
    engine = make_engine(backend, context=3000, lanes=1)
    story = Story(engine, "chat")
    story.say("long " * 200)
    ticket = engine.submit(story.request())
    events = ticket.events()
    next(events)
    backend.ticket = ticket
    assert isinstance(list(events)[-1], Cancelled)
    backend.ticket = None
    assert backend.n_used() == engine.stats().cells_used
    assert story.turn().text.startswith("Mira heard: long long")


@pytest.mark.timeout(60)
def test_a_stopped_reply_does_not_hold_up_a_long_read_beside_it(make_engine):
    """The stopped one still has its footer to read; its stop must not abort the batches that it shares."""
    echo = EchoBackend(n_cells=8000, n_sequences=4, n_batch=128, delay_s=0.005)
    engine = make_engine(echo, context=3500)
    writing, reading = Story(engine, "writing"), Story(engine, "reading")
    writing.say("Tell me a very long story about the sea and all its ships")
    reading.say("long " * 400)
    stopped = engine.submit(writing.request())
    events = stopped.events()
    assert any(isinstance(event, Text) for event in events)
    other = engine.submit(reading.request())
    progress = other.events()
    next(progress)
    stopped.cancel()
    assert isinstance(list(events)[-1], Cancelled)
    assert isinstance(list(progress)[-1], Done)


class GettingNowhere(EchoBackend):
    """Every batch is aborted."""

    def decode(self, runs):
        super().decode(runs)
        self.seq_remove(runs[0].sequence, runs[0].position, -1)
        return DecodeResult.ABORTED


def test_a_loop_that_runs_in_a_circle_is_seen_from_outside(make_engine):
    engine = make_engine(GettingNowhere(n_cells=2000, n_sequences=4, n_batch=64, delay_s=0.005))
    story = Story(engine, "chat")
    story.say("Hello")
    ticket = engine.submit(story.request())
    deadline = time.monotonic() + 20
    while engine.stalled_s() < 0.3 and time.monotonic() < deadline:
        engine.submit(Story(engine, "other").request()).cancel()  # news is no progress
        time.sleep(0.02)
    assert engine.stalled_s() >= 0.3
    ticket.cancel()
    assert isinstance(list(ticket.events())[-1], Cancelled)


def test_on_event_gets_everything_but_the_end_on_the_engines_thread(make_engine, echo):
    story, heard, threads = Story(make_engine(echo), "chat"), [], set()

    def hear(event):
        heard.append(event)
        threads.add(threading.current_thread().name)

    story.say("Hello")
    (done,) = story.engine.submit(story.request(), on_event=hear).events()
    assert isinstance(heard[0], Reading)
    assert "".join(event.text for event in heard if isinstance(event, Text)) == done.text
    assert threads == {"engine"}


def test_an_event_that_on_event_fails_on_is_in_the_mailbox(make_engine, echo, caplog):
    story = Story(make_engine(echo), "chat")

    def hear(event):
        if isinstance(event, Text):
            raise ValueError("no ear for this")

    story.say("Hello")
    *texts, done = story.engine.submit(story.request(), on_event=hear).events()
    assert "".join(event.text for event in texts) == done.text
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_a_turn_that_is_alone_begins_whatever_cells_were_shared(make_engine):
    echo = EchoBackend(n_cells=600, n_sequences=4, n_batch=64)
    engine = make_engine(echo, lanes=1, context=600, park_after_s=1e9)

    def segment(name, text):
        return Segment(name, tuple(echo.tokenize(text, False)))

    persona, edited = segment("persona", "You are Mira."), segment("user:1", "x" * 20 + "y")
    for name in ("first", "branch"):
        finish(engine, TurnRequest(name, (persona, segment("user:1", "x" * 200))))
    finish(engine, TurnRequest("branch", (persona, edited)))
    finish(engine, TurnRequest("large", (segment("persona", "z" * 350),)))  # parks the first one
    ticket = engine.submit(TurnRequest("branch", (persona, edited, segment("user:2", "z" * 550))))
    assert isinstance(list(ticket.events())[-1], Done)


def test_a_part_of_what_has_seen_a_withdrawn_note_is_nobody_elses(make_engine):
    """Two chats that differ in a note of one length; it is withdrawn, what was read behind it is cut, and parked."""
    texts = []
    for names in (("one", "two"), ("two",)):
        echo = EchoBackend(n_cells=3000, n_sequences=6, n_batch=64)
        engine = make_engine(echo, lanes=1, park_after_s=0.0)

        def segment(name, text, ephemeral=False, echo=echo):
            return Segment(name, tuple(echo.tokenize(text, True)), ephemeral)

        begin = (
            segment("persona", "<|im_start|>system\nMira.<|im_end|>\n"),
            segment("u", "<|im_start|>A\nhi<|im_end|>\n"),
        )
        long, short = (segment("r", f"<|im_start|>Mira\nOne{text}<|im_end|>\n"[:-11]) for text in (" two", ""))
        for name in names:
            note = segment("note", f"<|im_start|>system\nMood: {name}<|im_end|>\n", True)
            for wanted in ((*begin, note, long), (*begin, long), (*begin, short)):
                finish(engine, TurnRequest(name, wanted))
            finish(engine, TurnRequest("other " + name, (segment("x", name),)))
            assert name not in engine.resident()
        reply = Story(engine, "two").reply_spec()
        texts.append(finish(engine, TurnRequest("two", (*begin, short), reply)).text)
    assert texts[0] == texts[1]
