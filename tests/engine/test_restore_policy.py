"""Waking through the engine's public door: the cheaper of restoring and reading, and no disk read in others' way."""

import threading
from dataclasses import replace

import pytest
from engine_stories import Story, crowd, finish, settled

from engine import Done, TurnRequest, Waking
from engine.backends.echo import EchoBackend
from engine.blocks import sealed
from engine.kv.scratch import rest_key


def n_new_tokens(story):
    return len(story.segments[-1].tokens) + len(story.reply_spec().header)


def n_total_tokens(story):
    return sum(len(segment.tokens) for segment in story.segments) + len(story.reply_spec().header)


class Watched:
    """The disk tier's own `read`, and who called it; `gate` lets it wait."""

    def __init__(self, engine):
        self._read, self.threads, self.gate = engine.blocks.disk.read, [], threading.Event()
        self.gate.set()
        engine.blocks.disk.read = self

    def __call__(self, name):
        self.threads.append(threading.current_thread().name)
        assert self.gate.wait(30)
        return self._read(name)


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_a_session_wakes_from_disk_whole_whatever_the_budget_of_ram(make_engine, tmp_path, kind):
    _, stories = crowd(make_engine, tmp_path, ram_bytes=0, kind=kind)
    for story in stories:
        story.say("Again")
        done = story.turn()
        assert done.stats.n_evaluated == n_new_tokens_of_last(story)
        assert done.stats.n_restored


def n_new_tokens_of_last(story):
    return len(story.segments[-2].tokens) + len(story.reply_spec().header)


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_the_engine_thread_never_reads_the_disk(make_engine, tmp_path, kind):
    engine, stories = crowd(make_engine, tmp_path, ram_bytes=0, kind=kind)
    engine.close()
    engine, watched = None, None
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
    engine = make_engine(echo, context=800, lanes=1, park_after_s=0.0, folder=tmp_path, ram_bytes=0)
    watched = Watched(engine)
    for story in stories:
        story.engine = engine
        story.say("Again")
        assert story.turn().stats.n_evaluated == n_new_tokens_of_last(story)
        last = story.segments.pop()
        story.turn()  # another alternative, then back to the first: its block is found by its key
        story.segments[-1] = last
        story.say("On we go")
        story.turn()
    assert watched.threads
    assert all(name.startswith("kv-prefetch") for name in watched.threads)


def test_a_slow_disk_holds_up_nobody_else(make_engine, tmp_path):
    engine, stories = crowd(make_engine, tmp_path, ram_bytes=0)
    watched = Watched(engine)
    watched.gate.clear()
    stories[0].say("Am I slow?")
    ticket = engine.submit(stories[0].request())
    fresh = Story(engine, "fresh", "You are Mira, just arrived.")
    fresh.say("Hello")
    assert "Hello" in fresh.turn().text
    watched.gate.set()
    events = list(ticket.events())
    assert events[0] == Waking()
    assert events[-1].stats.n_evaluated == n_new_tokens(stories[0])


def test_a_cancelled_turn_keeps_nothing_in_ram_for_it(make_engine, tmp_path):
    engine, stories = crowd(make_engine, tmp_path, ram_bytes=0)
    watched = Watched(engine)
    watched.gate.clear()
    stories[0].say("Never mind")
    ticket = engine.submit(stories[0].request())
    assert next(ticket.events()) == Waking()
    ticket.cancel()
    settled(engine, "x")
    watched.gate.set()
    list(ticket.events())
    settled(engine, "y")
    assert not engine.blocks.n_staged
    assert stories[0].turn().stats.n_evaluated == n_new_tokens_of_last(stories[0])


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
@pytest.mark.parametrize(("tier", "ram_bytes"), [("ram", 1 << 20), ("disk", 0)])
def test_where_reading_is_faster_a_parked_session_is_read(make_engine, tmp_path, tier, ram_bytes, kind):
    engine, stories = crowd(make_engine, tmp_path, ram_bytes=ram_bytes, kind=kind)
    watched = Watched(engine)
    settled(engine, "x")
    for _ in range(20):
        engine.cost_model.learn_restoring(tier, 100, 10_000.0)
    stories[0].say("Again")
    done = finish(engine, stories[0].request(keep=False))
    assert (done.stats.n_restored, done.stats.n_evaluated) == (0, n_total_tokens(stories[0]))
    assert watched.threads == []


def test_a_wrong_verdict_heals_in_the_engine_too(make_engine, tmp_path):
    engine, stories = crowd(make_engine, tmp_path)
    for _ in range(4):
        engine.cost_model.learn_restoring("ram", 100, 10_000.0)
    restored = []
    for turn in range(60):
        story = stories[turn % len(stories)]
        done = finish(engine, story.request(keep=False))
        restored.append(done.stats.n_restored)
        settled(engine, "x")
    assert restored[:10] == [0] * 10
    assert all(restored[-10:]), "after 32 turns it is tried, and what is seen then counts"


def test_a_woken_session_shares_the_cells_of_its_persona(make_engine, tmp_path):
    echo = EchoBackend(n_cells=2000, n_sequences=4, n_batch=64)
    engine = make_engine(echo, context=800, park_after_s=1e9, folder=tmp_path)
    one, two, three = (Story(engine, name, "One long persona for all.") for name in ("one", "two", "three"))
    for story in (one, two, three):
        story.say(f"Hello from {story.name}")
        story.turn()
    settled(engine, "x")
    assert engine.resident() == {"two", "three", "settle-x"}, "the fourth one has parked the first"
    one.say("Again")
    done = one.turn()
    assert done.stats.n_shared == len(one.segments[0].tokens)
    assert done.stats.n_restored == sum(len(segment.tokens) for segment in one.segments[1:3])
    settled(engine, "y")
    assert echo.n_used() == engine.stats().cells_used


# -- quarantine -----------------------------------------------------------------------------------------------------


def poison(folder):
    """Every block on disk is replaced by one that unseals, but whose cells are not what was read."""
    poisoned = {}
    for path in folder.rglob("*.kv"):
        header, payload = sealed.unseal(path.read_bytes(), {})
        cells = bytearray(payload)
        for at in range(16, len(cells), 24):
            cells[at] ^= 0xFF
        path.write_bytes(sealed.seal(header, cells))
        poisoned[path.name] = path.read_bytes()
    return poisoned


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_the_second_attempt_puts_the_chain_aside_and_saves_it_anew(make_engine, tmp_path, kind):
    def engine():
        echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
        return make_engine(echo, context=800, park_after_s=0.0, folder=tmp_path)

    first = engine()
    story = Story(first, "chat")
    for turn in range(3):
        story.say(f"Hello {turn}")
        story.turn()
    story.say("And now?")
    request = story.request(keep=False)
    truth = finish(first, request)
    first.close()
    poisoned = poison(tmp_path)
    second = engine()
    assert finish(second, request).text != truth.text, "the poison works"
    done = finish(second, replace(request, use_blocks=False))
    assert done.text == truth.text
    assert done.stats.n_restored == done.stats.n_shared == done.stats.n_kept == 0
    assert finish(second, request).text == truth.text
    second.close()
    aside = {path.name.rsplit("_", 1)[-1] for path in (tmp_path / "quarantine").iterdir()}
    assert aside, "suspicious blocks are kept for a look"
    assert aside <= set(poisoned)
    third = engine()
    again = finish(third, request)
    assert again.text == truth.text
    assert again.stats.n_restored, "what was read was saved again"
    assert aside & {path.name for path in tmp_path.rglob("*/blocks/*/*.kv")}


def test_a_second_attempt_after_a_restart_knows_the_chain_with_its_holes(make_engine, tmp_path):
    """What an evicted session holds is found by its manifest only: those blocks are put aside, too."""

    def engine():
        return make_engine(EchoBackend(n_sequences=3), context=800, park_after_s=0.0, folder=tmp_path)

    first = engine()
    story = Story(first, "chat")
    for turn in range(4):
        story.say(f"Hello {turn}")
        story.turn()
    story.evict(4)
    story.say("And now?")
    story.turn()
    first.close()
    poison(tmp_path)
    second = engine()
    story.engine = second
    story.say("Hm?")
    finish(second, replace(story.request(keep=False), use_blocks=False))
    held = second.inspect("chat")
    second.close()
    left = {path.stem for path in tmp_path.rglob("*/blocks/*/*.kv")}
    aside = {path.stem.rsplit("_", 1)[-1] for path in (tmp_path / "quarantine").iterdir()}
    assert len(aside) == 7, "the persona, and the six messages that were still held; not the four forgotten ones"
    assert {each.key.hex() for each in held} <= left


def test_others_go_on_after_a_second_attempt(make_engine, tmp_path):
    engine, stories = crowd(make_engine, tmp_path)
    for story in stories:
        story.say("Again")
        request = story.request(keep=False)
        assert isinstance(finish(engine, replace(request, use_blocks=False)), Done)
        assert finish(engine, request).stats.n_evaluated == len(request.reply.header)
    settled(engine, "x")
    assert engine.backend.n_used() == engine.stats().cells_used


def test_cells_that_are_shared_are_moved_by_blocks_from_disk(make_engine, tmp_path):
    """Two branches share their beginning; one of them comes near the trained context and must start low again."""
    echo = EchoBackend(n_cells=2000, n_sequences=5, n_batch=64, n_context_train=700)
    engine = make_engine(echo, context=500, park_after_s=1e9, folder=tmp_path, ram_bytes=0)
    one, two = Story(engine, "one"), Story(engine, "two")
    one.say("Where it all began")
    one.turn()
    two.segments = [replace(segment, name=f"branch {segment.name}") for segment in one.segments]
    two.say("A branch")
    assert two.turn().stats.n_shared == sum(len(segment.tokens) for segment in one.segments)
    for turn in range(12):
        one.forgotten.update(segment.name for segment in one.segments[3:-2])
        del one.segments[3:-2]
        one.say(f"On and on {turn}")
        done = one.turn()
        assert done.stats.n_evaluated == n_new_tokens_of_last(one)
        assert f"({6 if turn else 4} messages" in done.text
    assert engine.stats().n_restored, "blocks came back without being counted as restored text: they were moved"
    assert engine.stats().spent.n_restored == 0
    two.say("Still here?")
    assert two.turn().stats.n_evaluated == n_new_tokens_of_last(two)
    settled(engine, "x")
    assert echo.n_used() == engine.stats().cells_used


@pytest.mark.parametrize("kind", ["dense", "window", "hybrid"])
def test_a_reply_that_was_delivered_is_whole_after_a_stop(make_engine, tmp_path, kind):
    def start():
        echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind, n_window=32, delay_s=0.02)
        return make_engine(echo, context=800, lanes=1, folder=tmp_path)

    story = Story(start(), "chat")
    for turn in range(2):
        story.say(f"Hello {turn}")
        story.turn(max_tokens=5)
        story.engine.close()  # before the footer of the reply is read
        story.engine = start()
    story.say("Again")
    done = story.turn(max_tokens=5)
    assert done.stats.n_evaluated == len(story.segments[-2].tokens) + len(story.reply_spec().header)


def test_windows_far_behind_leave_the_ram_and_those_of_the_persona_stay(make_engine, tmp_path):
    echo = EchoBackend(n_cells=3000, n_sequences=3, n_batch=64, kind="window", n_window=40)
    engine = make_engine(echo, context=1400, lanes=1, folder=tmp_path)
    story = Story(engine, "chat")
    for turn in range(8):
        story.say(f"Hello {turn}")
        story.turn(max_tokens=20)
        settled(engine, str(turn))
    held = engine.inspect("chat")
    assert all(engine.blocks.peek(each.key) for each in held)
    in_ram = [engine.blocks.peek(rest_key(each.key)) is not None for each in held]
    near = [each.end > held[-1].end - 2 * 40 for each in held]
    assert in_ram == [True, *near[1:]]
    assert {engine.blocks.tier(rest_key(each.key)) for each in held} == {"ram", "disk"}, "an edit far back finds them"


@pytest.mark.parametrize(("kind", "n_bytes"), [("dense", 1), ("hybrid", 1), ("hybrid", 2)])
def test_a_continue_of_a_reply_whose_last_token_was_taken_back_reads_nothing(make_engine, kind, n_bytes):
    """The echo repeats an emoji; its reply is cut off inside of it, and half a character is taken back."""
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
    story = Story(make_engine(echo, context=800, lanes=1), "chat")
    story.say("\N{GRINNING FACE}" * 20)
    done = story.turn(max_tokens=len(b"Mira heard: ") + n_bytes)
    assert done.finish == "length"
    assert len(done.tokens) == len(b"Mira heard: ")
    settled(story.engine, "x")
    story.segments.pop()
    assert story.turn(max_tokens=3, prefix=done.tokens).stats.n_evaluated == 0


def test_the_checkpoint_of_a_persona_that_was_read_alone_stays(make_engine):
    echo = EchoBackend(n_cells=2000, n_sequences=4, n_batch=64, kind="hybrid")
    story = Story(make_engine(echo, context=800, lanes=1, park_after_s=0.0), "chat")
    finish(story.engine, TurnRequest("chat", tuple(story.segments)))
    for turn in range(4):
        story.say(f"Hello {turn}")
        story.turn(max_tokens=5)
    other = Story(story.engine, "other")
    other.say("Hello")
    done = other.turn(max_tokens=5)
    assert done.stats.n_evaluated == len(other.segments[-2].tokens) + len(other.reply_spec().header)
