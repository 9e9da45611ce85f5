"""Continuing: a closed message is opened again, nothing of it is read again, and at least one token is written.

Retrying, and what ends a reply early, where a state has a rest."""

from dataclasses import replace

import pytest
from engine_stories import GREEDY, Story, finish, settled

from engine import Done, Engine, EngineOptions, ReplySpec, Segment, TurnRequest
from engine.backends.echo import EchoBackend

ON = replace(GREEDY, ban_end=True)
GREETING = "Welcome to the lighthouse, Ann."


@pytest.fixture
def engine(backend):
    keep, backend.close = backend.close, lambda: None
    engine = Engine(backend, EngineOptions(context=480, lanes=2, park_after_s=1e9)).start()
    yield engine
    engine.close()
    backend.close = keep


def on(story, begun, prefix, role="character", name="Mira", **changes):
    """The request that goes on with `begun`, the last message of the story; its tokens are `prefix`."""
    header, footer = story.framing.reply_header(role, name), story.framing.footer(role)
    settings = {"sampling": ON, "max_tokens": 12, "prefix": tuple(prefix), **changes}
    return TurnRequest(story.name, tuple(story.segments), ReplySpec(begun.name, header, footer, **settings))


def narrate(story, **changes):
    header, footer = story.framing.reply_header("narrator", "Narrator"), story.framing.footer("narrator")
    settings = {"sampling": GREEDY, "max_tokens": 120, **changes}
    return TurnRequest(story.name, tuple(story.segments), ReplySpec("narrator:1", header, footer, **settings))


def ended_by_the_model(story):
    """A reply that ends with the model's end token, within what greedy words the model finds."""
    for question in ("Hello", "Say yes.", "What is 2+2?", "Name a colour."):
        story.say(question)
        done = story.turn(max_tokens=100)
        if done.finish == "end":
            return done
        story.evict(2)
    pytest.fail("no reply ended by itself")


def test_a_reply_that_had_ended_goes_on(engine):
    story = Story(engine, "chat")
    first = ended_by_the_model(story)
    settled(engine, "chat")
    begun = story.segments.pop()
    held = engine.inspect("chat")[-1].segment
    assert held.tokens == begun.tokens, "the session holds it closed, with its footer"
    more = finish(engine, on(story, begun, first.tokens))
    assert more.stats.n_evaluated == 0
    assert more.stats.n_generated >= 1
    assert more.text
    assert more.tokens[: len(first.tokens)] == first.tokens
    assert len(more.tokens) > len(first.tokens)
    again = finish(engine, on(story, Segment("character:other", (1,)), more.tokens))
    assert again.stats.n_evaluated == 0, "and once more, whatever it is called now"
    assert again.tokens[: len(more.tokens)] == more.tokens


def test_without_the_ban_it_would_end_at_once(engine):
    story = Story(engine, "chat")
    first = ended_by_the_model(story)
    begun = story.segments.pop()
    assert finish(engine, on(story, begun, first.tokens, sampling=GREEDY)).text == ""


@pytest.mark.parametrize("of_words", [True, False])
def test_a_greeting_goes_on(engine, of_words):
    """Its tokens are made of its text. The session holds it closed: it is cut open, only its last token is read."""
    story = Story(engine, "chat")
    greeting = Segment("character:0", story.framing.segment("character", "Mira", GREETING))
    story.segments.append(greeting)
    finish(engine, TurnRequest("chat", tuple(story.segments)))
    story.segments.pop()
    body = story.framing.inner_tokens(GREETING) if of_words else story.framing.body("character", "Mira", GREETING)
    more = finish(engine, on(story, greeting, body))
    assert more.stats.n_evaluated == 1
    assert more.stats.n_kept == len(story.segments[0].tokens) + len(greeting.tokens) - len(footer_of(story)) - 1
    assert more.stats.n_generated >= 1
    assert more.tokens[: len(body)] == tuple(body)
    assert finish(engine, on(story, greeting, more.tokens)).stats.n_evaluated == 0


def footer_of(story):
    return story.framing.footer("character")


def test_a_greeting_that_was_never_read_goes_on(engine):
    story = Story(engine, "chat")
    body = story.framing.body("character", "Mira", GREETING)
    header = story.framing.reply_header("character", "Mira")
    more = finish(engine, on(story, Segment("character:0", (1,)), body))
    assert more.stats.n_evaluated == len(story.segments[0].tokens) + len(header) + len(body)
    assert more.stats.n_generated >= 1


def test_a_narration_goes_on(engine):
    story = Story(engine, "chat")
    story.say("I open the door.")
    told = finish(engine, narrate(story, max_tokens=20))
    settled(engine, "chat")
    more = finish(engine, on(story, Segment("narrator:1", (1,)), told.tokens, "narrator", "Narrator"))
    assert more.stats.n_evaluated == 0
    assert more.stats.n_generated >= 1
    assert more.tokens[: len(told.tokens)] == told.tokens


def test_the_longer_reply_is_what_the_session_holds(engine):
    story = Story(engine, "chat")
    first = ended_by_the_model(story)
    begun = story.segments.pop()
    more = finish(engine, on(story, begun, first.tokens))
    story.segments.append(Segment(begun.name, story.framing.segment_from_tokens("character", "Mira", more.tokens)))
    story.say("Go on.")
    new = len(story.segments[-1].tokens) + len(story.reply_spec().header)
    assert story.turn(max_tokens=5).stats.n_evaluated == new


def test_a_parked_reply_goes_on_with_one_token_read(make_engine, tmp_path):
    """After a restart the row of logits is gone, so the last token is read again; the rest comes from blocks."""
    first = Story(make_engine(EchoBackend(n_sequences=3), folder=tmp_path), "chat")
    first.say("Hello")
    done = first.turn()
    begun = first.segments.pop()
    first.engine.close()
    second = make_engine(EchoBackend(n_sequences=3), folder=tmp_path)
    more = finish(second, on(first, begun, done.tokens))
    assert more.stats.n_evaluated == 1
    assert more.text == " And so on."[:12]


def test_every_retry_on_a_state_begins_at_its_checkpoint(make_engine):
    echo = EchoBackend(n_cells=3000, n_sequences=4, n_batch=64, kind="hybrid")
    engine = make_engine(echo, lanes=1)
    story = Story(engine, "chat")
    for turn in range(2):
        story.say(f"Hello {turn}, this is what happens")
        story.turn()
    settled(engine, "x")
    read = []
    for n in range(4):
        story.segments.pop()
        read.append(story.turn(max_tokens=20 + n).stats.n_evaluated)
        settled(engine, "x")
    assert read == [0, 0, 0, 0]


def test_a_stop_string_after_a_rebase_beside_a_lane_that_reads(make_engine):
    """A window brought back at other positions marks a shift; a segment of the other lane is complete meanwhile."""
    echo = EchoBackend(n_cells=3000, n_sequences=5, n_batch=8, kind="window", n_window=200, n_context_train=900)
    engine = make_engine(echo, lanes=2, context=600)
    story = Story(engine, "chat")
    for turn in range(25):
        if sum(len(segment.tokens) for segment in story.segments) > 330:
            story.evict(4)
        story.say(f"This is what happens next, number {turn}.")
        request = story.request(stop=("mess",), max_tokens=100)
        many = [Segment(f"u{k}", tuple(echo.tokenize(f"{turn:02}", False))) for k in range(290)]
        other = engine.submit(TurnRequest(f"other{turn}", tuple(many)))
        *_, done = engine.submit(request).events()
        other.cancel()
        assert isinstance(done, Done), done
        tokens = story.framing.segment_from_tokens("character", "Mira", done.tokens)
        story.segments.append(Segment(request.reply.name, tokens))
        list(other.events())
    assert engine.alive()
