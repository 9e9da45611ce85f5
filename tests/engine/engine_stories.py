"""Test helpers of the engine: one chat as a worker would drive it, and a crowd of them on too few cells."""

import itertools
from collections.abc import Callable
from pathlib import Path

from engine import Done, Engine, Framing, ReplySpec, SamplerSettings, Segment, TurnRequest
from engine.backends.echo import EchoBackend

GREEDY = SamplerSettings(temperature=0, repeat_penalty=1.0)


class Story:
    """One chat as a worker would drive it: a transcript, turned into wanted segments for each turn."""

    def __init__(self, engine: Engine, name: str, persona: str = "You are Mira.") -> None:
        self.engine, self.name = engine, name
        self.framing = Framing(engine.backend, engine.backend.chat_template)
        self.segments = [Segment("persona", self.framing.segment("system", "", persona))]
        self._ids = itertools.count(1)
        self.forgotten: set[str] = set()

    def say(self, text: str) -> None:
        self.segments.append(Segment(f"user:{next(self._ids)}", self.framing.segment("user", "Ann", text)))

    def reply_spec(self, **changes: object) -> ReplySpec:
        settings = {"sampling": GREEDY, "max_tokens": 120, **changes}
        header, footer = self.framing.reply_header("character", "Mira"), self.framing.footer("character")
        return ReplySpec(f"character:{next(self._ids)}", header, footer, **settings)

    def request(self, **changes: object) -> TurnRequest:
        return TurnRequest(self.name, tuple(self.segments), self.reply_spec(**changes), frozenset(self.forgotten))

    def turn(self, keep: bool = True, **changes: object) -> Done:
        request = self.request(keep=keep, **changes)
        done = finish(self.engine, request)
        if keep:
            tokens = self.framing.segment_from_tokens("character", "Mira", done.tokens)
            self.segments.append(Segment(request.reply.name, tokens))
        return done

    def evict(self, n: int) -> None:
        for segment in self.segments[1 : 1 + n]:
            self.forgotten.add(segment.name)
        del self.segments[1 : 1 + n]


def finish(engine: Engine, request: TurnRequest) -> Done:
    events = list(engine.submit(request).events())
    assert isinstance(events[-1], Done), events[-1]
    return events[-1]


def settled(engine: Engine, name: str) -> None:
    """Wait until the footer of the last turn is read, too."""
    finish(engine, TurnRequest("settle-" + name, (Segment("x", tuple(engine.backend.tokenize("x", False))),)))


def crowd(
    make_engine: Callable[..., Engine], folder: Path, kind: str = "dense", **options: object
) -> tuple[Engine, list[Story]]:
    """Four stories of two turns that do not fit the cells together; the first one is parked."""
    echo = EchoBackend(n_cells=2000, n_sequences=3, n_batch=64, kind=kind)
    engine = make_engine(echo, **{"context": 800, "lanes": 1, "park_after_s": 0.0, "folder": folder, **options})
    stories = [Story(engine, f"chat{number}", f"You are Mira, number {number}.") for number in range(4)]
    for story in stories:
        for turn in range(2):
            story.say(f"Hello {turn} from {story.name}")
            story.turn()
    settled(engine, "x")
    assert "chat0" not in engine.resident()
    return engine, stories
