"""Models whose cells cannot move run out of positions; those with a state can be made to read again now and then."""

import threading
import time

import pytest
import tiny_models
from engine_stories import Story

from engine import Done
from engine.backends.echo import EchoBackend
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.kv.read_ahead import ReadAhead

N_TURNS = 40


def idle(engine):
    """Wait until the engine has nothing to do, not even to read ahead."""
    while engine.stalled_s():
        time.sleep(0.001)


def turns_that_read_again(engine, n_turns=N_TURNS):
    """Which turns of a story that forgets all the time read more than what is new; the first is left out."""
    story, found = Story(engine, "chat"), []
    for turn in range(n_turns):
        if sum(len(segment.tokens) for segment in story.segments) > 330:
            story.evict(4)  # in large steps, as a prompt is built
        story.say(f"This is what happens next, number {turn}.")
        done = story.turn(max_tokens=30)
        if turn and done.stats.n_evaluated > len(story.segments[-2].tokens) + len(story.reply_spec().header):
            found.append(turn)
        idle(engine)
    return found


def without_shift(make_engine, kind, **options):
    n_window = 40 if kind == "window" else 0
    echo = EchoBackend(
        n_cells=2000, n_sequences=4, n_batch=64, n_context_train=1400, kind=kind, n_window=n_window, can_move=False
    )
    return make_engine(echo, context=500, lanes=1, **options)


@pytest.mark.parametrize("kind", ["dense", "hybrid"])
def test_nobody_waits_when_the_positions_run_out(make_engine, kind):
    assert turns_that_read_again(without_shift(make_engine, kind)) == []


@pytest.mark.model
def test_nobody_waits_on_a_model_with_m_rope(make_engine, tmp_path):
    model = tiny_models.qwen35(tmp_path / "m.gguf")
    backend = LlamaBackend(model, LlamaOptions(n_cells=2000, n_sequences=4, n_batch=64, n_threads=1))
    assert (backend.can_move, backend.can_drop) == (False, True)
    backend.n_context_train = 1400
    engine = make_engine(backend, context=500, lanes=1)
    assert turns_that_read_again(engine) == []
    assert engine.inspect("chat")[-1].end < 1400


@pytest.mark.parametrize("kind", ["dense", "window", "hybrid"])
def test_without_an_idle_moment_it_is_read_then(make_engine, kind, monkeypatch):
    monkeypatch.setattr(ReadAhead, "next_request", lambda self: None)
    found = turns_that_read_again(without_shift(make_engine, kind))
    assert 0 < len(found) < N_TURNS / 4


def test_who_reads_ahead_leaves_nothing_behind_but_blocks(make_engine, tmp_path):
    engine = without_shift(make_engine, "hybrid", folder=tmp_path)
    turns_that_read_again(engine)
    assert {name for name in engine.known() if "chat" in name} == {"chat"}
    assert engine.remembered() >= {"chat"}
    assert not [name for name in engine.remembered() if "\0" in name]


class Gate(EchoBackend):
    """Stops at the first batch that is read ahead until it may go on, and notes of all later ones whether they are."""

    engine = None

    def decode(self, runs):
        if self.engine is not None:
            is_ahead = "chat\0ahead" in self.engine.known()
            if is_ahead or self.batches:
                self.batches.append(is_ahead)
                self.reached.set()
                assert self.may_go_on.wait(30)
        return super().decode(runs)


def test_who_comes_does_not_wait_for_what_is_read_ahead(make_engine):
    echo = Gate(n_cells=2000, n_sequences=4, n_batch=20, n_context_train=1400, can_move=False)
    echo.reached, echo.may_go_on, echo.batches = threading.Event(), threading.Event(), []
    engine = echo.engine = make_engine(echo, context=500, lanes=1)
    story = Story(engine, "chat")
    for turn in range(N_TURNS):
        if sum(len(segment.tokens) for segment in story.segments) > 330:
            story.evict(4)
        story.say(f"This is what happens next, number {turn}.")
        if echo.reached.wait(0.05):
            break
        story.turn(max_tokens=30)
    events = engine.submit(story.request(max_tokens=30)).events()
    echo.may_go_on.set()
    assert isinstance(list(events)[-1], Done)
    assert echo.batches.index(False) == 1
    idle(engine)
    begun = echo.batches.index(False)
    assert True in echo.batches[begun:]  # begun again in the next idle moment


@pytest.mark.parametrize(("every", "n_again"), [(0, 0), (1, 8), (4, 2)])
def test_a_state_is_read_again_at_every_so_many_forgettings(make_engine, every, n_again):
    echo = EchoBackend(n_cells=3000, n_sequences=4, n_batch=64, kind="hybrid", n_context_train=10**6)
    engine = make_engine(echo, context=500, lanes=1, reread_every=every)
    story, again = Story(engine, "chat"), 0
    for turn in range(12):
        if turn >= 4:
            story.evict(2)
        story.say(f"Number {turn}")
        done = story.turn(max_tokens=30)
        again += turn > 0 and done.stats.n_kept == 0
    assert again == n_again
