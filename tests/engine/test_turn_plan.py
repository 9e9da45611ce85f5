"""A turn is planned once, when it is admitted; again only after a failed move, at most twice."""

from dataclasses import replace

import pytest
from engine_stories import Story, crowd, finish, settled

from engine import Done, Segment
from engine.backend import Part
from engine.backends.echo import EchoBackend
from engine.kv import planner


@pytest.fixture
def planned(monkeypatch):
    """Counts the planner's runs; `planned()` says how many there were since it was last asked."""
    n_runs, plan = [0], planner.plan

    def counting(*arguments):
        n_runs[0] += 1
        return plan(*arguments)

    def since_last():
        n_runs[0], n = 0, n_runs[0]
        return n

    monkeypatch.setattr(planner, "plan", counting)
    return since_last


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_a_chat_a_retry_a_continue_and_an_eviction_are_planned_once_each(make_engine, planned, kind):
    story = Story(
        make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64, kind=kind)),
        "chat",
    )
    for turn in range(4):
        story.say(f"message {turn}")
        story.turn()
        assert planned() == 1
    story.segments.pop()
    short = story.turn(max_tokens=10)
    assert planned() == 1, "a retry"
    story.segments.pop()
    story.turn(prefix=short.tokens)
    assert planned() == 1, "a continue"
    story.evict(4)
    story.say("after")
    story.turn()
    assert planned() == 1, "an eviction"


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_a_wake_from_ram_is_planned_once(make_engine, tmp_path, planned, kind):
    _, stories = crowd(make_engine, tmp_path, kind=kind)
    stories[0].say("Again")
    planned()
    assert stories[0].turn().stats.n_restored
    assert planned() == 1


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_a_wake_from_disk_is_planned_once_before_its_blocks_are_fetched(make_engine, tmp_path, planned, kind):
    _, stories = crowd(make_engine, tmp_path, ram_bytes=0, kind=kind)
    stories[0].say("Again")
    planned()
    assert stories[0].turn().stats.n_restored
    assert planned() == 1


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_after_a_restart_a_turn_is_planned_once_behind_its_manifest(make_engine, tmp_path, planned, kind):
    engine, stories = crowd(make_engine, tmp_path, kind=kind)
    engine.close()
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
    stories[0].engine = make_engine(echo, context=800, lanes=1, folder=tmp_path)
    stories[0].say("Again")
    planned()
    assert stories[0].turn().stats.n_restored
    assert planned() == 1


def test_a_turn_that_waits_is_not_planned_again(make_engine, planned):
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, delay_s=0.002)
    engine = make_engine(echo, context=800, lanes=1)
    stories = [Story(engine, f"chat{number}") for number in range(4)]
    for story in stories:
        story.say("Hello")
    tickets = [engine.submit(story.request()) for story in stories]
    assert all(isinstance(list(ticket.events())[-1], Done) for ticket in tickets)
    assert planned() == len(stories)


def test_the_beginning_of_another_branch_is_taken_over_by_the_same_plan(make_engine, planned):
    engine = make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64), park_after_s=1e9)
    one, two = Story(engine, "one"), Story(engine, "two")
    one.say("Where it all began")
    one.turn()
    two.segments = [replace(segment, name=f"branch {segment.name}") for segment in one.segments]
    two.say("A branch")
    settled(engine, "x")
    planned()
    assert two.turn().stats.n_shared == sum(len(segment.tokens) for segment in one.segments)
    assert planned() == 1


class Refusing(EchoBackend):
    """Refuses to load saved cells from the `n`th on."""

    n_loads, refuses_from = 0, 10**9

    def seq_load(self, sequence, data, part=Part.WHOLE):
        self.n_loads += 1
        return self.n_loads <= self.refuses_from and super().seq_load(sequence, data, part)


@pytest.mark.parametrize("kind", ["dense", "recurrent"])
@pytest.mark.parametrize("n_good", [0, 1])
def test_after_failed_moves_a_turn_is_planned_at_most_twice_more(make_engine, tmp_path, planned, caplog, kind, n_good):
    echo = Refusing(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
    engine = make_engine(echo, context=800, lanes=1, park_after_s=0.0, folder=tmp_path)
    story = Story(engine, "chat")
    for turn in range(3):
        story.say(f"Hello {turn}")
        story.turn()
    settled(engine, "x")
    request = story.request(keep=False)
    expected = finish(make_engine(EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)), request)
    echo.n_loads, echo.refuses_from = 0, n_good
    planned()
    done = finish(engine, request)
    assert 1 < planned() <= 3 or (kind == "recurrent" and n_good)
    assert done.text == expected.text
    total = sum(len(segment.tokens) for segment in request.wanted) + len(request.reply.header)
    stats = done.stats
    assert stats.n_kept + stats.n_shared + stats.n_restored + stats.n_evaluated == total


def test_a_second_attempt_reads_everything_whatever_there_is(make_engine, planned):
    story = Story(make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)), "chat")
    story.segments.append(Segment("note", story.framing.segment("narrator", "Narrator", "It rains."), ephemeral=True))
    story.say("Hello")
    story.turn()
    request = story.request()
    planned()
    done = finish(story.engine, replace(request, use_blocks=False))
    assert done.stats.n_evaluated == sum(len(s.tokens) for s in request.wanted) + len(request.reply.header)
    assert planned() <= 1, "the quarantine asks which blocks there are"
