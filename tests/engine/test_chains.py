"""Surgery == fresh: whatever is sent, retried, edited, deleted, evicted, parked and restarted, the text is that of one
session that never moved. On the echo backend every cell is checked, thousands of turns in seconds."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from engine_stories import Story, finish, settled

from engine import Engine, EngineOptions, SamplerSettings, TurnRequest
from engine.backends.echo import EchoBackend
from tests.harness.soak import n_examples

CHATS = 5


class Crowd:
    """Several stories on one small engine that parks, shares, re-bases and restarts; a roomy engine as reference."""

    kind, n_window = "dense", 0
    ram_bytes = 60_000

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        roomy = EchoBackend(60_000, 32, 512, n_context_train=10**9, kind=self.kind, n_window=self.n_window)
        self.reference = Engine(roomy, EngineOptions(6000, 1, checkpoints=1000, windows_in_ram=1000)).start()
        self.engine = self._small()
        self.stories = [Story(self.engine, f"chat{i}", f"You are Mira {i % 2}.") for i in range(CHATS)]
        self.n_restarts = 0

    def _small(self) -> Engine:
        backend = EchoBackend(
            n_cells=3000, n_sequences=4, n_batch=48, n_context_train=2500, kind=self.kind, n_window=self.n_window
        )
        # What is read again after an eviction sees less than when it was first read: a busy machine must not decide it.
        options = EngineOptions(
            1500,
            2,
            ram_bytes=self.ram_bytes,
            folder=self.folder,
            park_after_s=0.0,
            tolerance_s=float("inf"),
            checkpoints=1000,
            windows_in_ram=1000,
        )
        return Engine(backend, options).start()

    def step(self) -> None:
        story = self.random.choice(self.stories)
        move = self.random.choice(
            [
                self.send,
                self.send,
                self.send,
                self.retry,
                self.edit,
                self.delete,
                self.evict,
                self.suggest,
                self.restart,
            ]
        )
        move(story)
        assert len(self.engine.resident()) <= 3

    def both(self, story: Story, **changes: object) -> None:
        request = story.request(sampling=SamplerSettings(temperature=0, seed=1), **changes)
        expected = finish(self.reference, self.asked_of_reference(request))
        done = finish(self.engine, request)
        assert done.text == expected.text
        assert done.tokens == expected.tokens
        if request.reply.keep:
            tokens = story.framing.segment_from_tokens("character", "Mira", done.tokens)
            story.segments.append(type(story.segments[0])(request.reply.name, tokens))

    def asked_of_reference(self, request: TurnRequest) -> TurnRequest:
        return request

    def send(self, story: Story) -> None:
        self.make_room(story)
        story.say(f"word {self.random.randrange(1000)} 😀" * self.random.randrange(1, 3))
        self.both(story, max_tokens=self.random.choice([120, 120, 20]))

    def retry(self, story: Story) -> None:
        if len(story.segments) > 2 and story.segments[-1].name.startswith("character"):
            story.segments.pop()
            self.both(story)

    def edit(self, story: Story) -> None:
        if len(story.segments) > 3:
            at = self.random.randrange(1, len(story.segments))
            text = f"edited {self.random.randrange(100)}"
            story.segments[at] = type(story.segments[0])(
                story.segments[at].name, story.framing.segment("user", "Ann", text)
            )
            self.send(story)

    def delete(self, story: Story) -> None:
        if len(story.segments) > 3:
            del story.segments[self.random.randrange(1, len(story.segments))]
            self.send(story)

    def evict(self, story: Story) -> None:
        if len(story.segments) > 4:
            story.evict(self.random.randrange(1, len(story.segments) - 2))
            self.send(story)

    def suggest(self, story: Story) -> None:
        if len(story.segments) > 1:
            self.make_room(story)
            self.both(story, keep=False)

    def restart(self, _story: Story) -> None:
        if self.random.random() < 0.3:
            self.n_restarts += 1
            self.engine.close()
            self.engine = self._small()

    def make_room(self, story: Story) -> None:
        while sum(len(segment.tokens) for segment in story.segments) > 900:
            story.evict(2)

    def close(self) -> None:
        self.engine.close()
        self.reference.close()


@pytest.mark.parametrize("seed", range(n_examples(4, 60)))
def test_random_chains_equal_a_session_that_never_moved(tmp_path, seed):
    crowd = Crowd(tmp_path, seed)
    try:
        for _ in range(60):
            crowd.step()
    finally:
        crowd.close()


class WindowCrowd(Crowd):
    """Layers with a sliding window, shorter and longer than a message."""

    kind = "window"
    ram_bytes = 10_000_000

    def __init__(self, folder: Path, seed: int) -> None:
        self.n_window = (4, 12, 32, 128)[seed % 4]
        super().__init__(folder, seed)

    def edit(self, story: Story) -> None:
        """A part of a segment is read again where its window is gone, and after an eviction it would see less then."""
        if not story.forgotten:
            super().edit(story)

    def delete(self, story: Story) -> None:
        """As with `edit`: the first tokens of two messages are equal."""
        if not story.forgotten:
            super().delete(story)


class HybridCrowd(Crowd):
    """Layers with a recurrent state beside those with attention."""

    kind = "hybrid"
    ram_bytes = 10_000_000


@pytest.mark.parametrize("crowd_of", [WindowCrowd, HybridCrowd])
@pytest.mark.parametrize("seed", range(300, 300 + n_examples(4, 60)))
def test_a_state_with_a_rest_equals_one_that_never_moved(tmp_path, seed, crowd_of):
    crowd = crowd_of(tmp_path, seed)
    try:
        for _ in range(60):
            crowd.step()
    finally:
        crowd.close()


class NoRam(Crowd):
    """Blocks from disk alone spare as much reading as blocks in RAM: whatever a turn can use was foreseen."""

    ram_bytes = 0

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder / "disk", seed)
        self.reference.close()
        self._roomy = folder / "ram"
        self.reference = self._with_ram()

    def _with_ram(self) -> Engine:
        self.ram_bytes, self.folder, kept = 1 << 30, self._roomy, self.folder
        engine = self._small()
        self.ram_bytes, self.folder = 0, kept
        return engine

    def both(self, story: Story, **changes: object) -> None:
        before = self.reference.backend.n_evaluated, self.engine.backend.n_evaluated
        super().both(story, **changes)
        for engine in (self.reference, self.engine):
            settled(engine, "x")
            assert engine.blocks.disk.flush()  # a backlog on a slow disk skips blocks, rightly
        after = self.reference.backend.n_evaluated, self.engine.backend.n_evaluated
        assert after[0] - before[0] == after[1] - before[1]

    def restart(self, story: Story) -> None:
        n_restarts = self.n_restarts
        super().restart(story)
        if self.n_restarts > n_restarts:
            self.reference.close()
            self.reference = self._with_ram()


class WholeNoRam(NoRam):
    """The same for snapshots."""

    kind = "recurrent"


@pytest.mark.parametrize("crowd_of", [NoRam, WholeNoRam])
@pytest.mark.parametrize("seed", range(200, 200 + n_examples(2, 20)))
def test_what_a_turn_needs_from_disk_is_foreseen(tmp_path, seed, crowd_of):
    crowd = crowd_of(tmp_path, seed)
    try:
        for _ in range(60):
            crowd.step()
    finally:
        crowd.close()


class WholeCrowd(Crowd):
    """A model that cannot shift: its text is that of a session that reads everything anew."""

    kind = "recurrent"
    ram_bytes = 10_000_000

    def asked_of_reference(self, request: TurnRequest) -> TurnRequest:
        return replace(request, use_blocks=False)


@pytest.mark.parametrize("seed", range(100, 100 + n_examples(2, 30)))
def test_models_that_cannot_shift_are_never_wrong(tmp_path, seed):
    crowd = WholeCrowd(tmp_path, seed)
    try:
        for _ in range(60):
            crowd.step()
    finally:
        crowd.close()


def test_models_that_cannot_shift_still_read_only_what_is_new(make_engine):
    engine = make_engine(EchoBackend(n_cells=3000, n_sequences=4, n_batch=48, kind="recurrent"), park_after_s=0.0)
    stories = [Story(engine, f"chat{i}", "You are Mira.") for i in range(5)]
    for turn in range(4):
        for story in stories:
            story.say(f"{story.name} says hello {turn}")
            done = story.turn()
            if turn:
                assert done.stats.n_evaluated == len(story.segments[-2].tokens) + len(story.reply_spec().header)
