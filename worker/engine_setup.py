"""The engine as the settings want it: which backend, which model file, how many tokens.

It is the only place where settings become engine options. Everything that is wrong with a model file or with these
settings leaves it as a ModelError or RequestError whose message is a sentence for the person who runs the server.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from engine import Engine, EngineOptions, Framing, Segment, TurnRequest
from engine.backend import Backend
from engine.model.hardware import demo_model
from engine.model.loader import load_model, plan_model
from engine.model.memory_plan import MemoryPlan, PlanRequest
from store.settings import Settings

log = logging.getLogger(__name__)

ECHO_CONTEXT = 16_384  # the echo backend's tokens are bytes
MIB = 1 << 20


@dataclass(frozen=True)
class LoadedModel:
    """A backend, tokens per session, lanes, and how it was planned; the echo backend needs no plan."""

    backend: Backend
    context: int
    lanes: int
    plan: MemoryPlan | None = None


def load(settings: Settings) -> LoadedModel:
    """The model in the memory, nothing runs yet. Raises ModelError."""
    return _echo(settings) if settings.backend == "echo" else _llama(settings)


def open_engine(settings: Settings, loaded: LoadedModel | None = None) -> Engine:
    """An engine that is started and warm. Raises ModelError, RequestError."""
    loaded = loaded or load(settings)
    options = EngineOptions(
        context=loaded.context,
        lanes=loaded.lanes,
        ram_bytes=settings.ram_cache_mb * MIB,
        disk_bytes=settings.disk_cache_mb * MIB,
        folder=settings.data_dir / "blocks" / settings.worker_name if settings.disk_cache_mb else None,
    )
    return warm_up(Engine(loaded.backend, options).start())


def warm_up(engine: Engine) -> Engine:
    """Read a few tokens, so that the first person does not wait for the model's pages to come from the disk."""
    greeting = Segment("persona", framing_of(engine).segment("system", "", "Be ready."))
    for _ in engine.submit(TurnRequest(session="warm-up", wanted=(greeting,))).events():
        pass
    return engine


def framing_of(engine: Engine) -> Framing:
    """How the engine's model wants messages to be framed."""
    return Framing(engine.backend, engine.backend.chat_template)


def _echo(settings: Settings) -> LoadedModel:
    from engine.backends.echo import EchoBackend

    context = settings.context or ECHO_CONTEXT
    backend = EchoBackend(
        context * (settings.lanes + 1),
        max(16, 2 * settings.lanes + 1),
        n_context_train=context,
        delay_s=settings.echo_delay_ms / 1000,
    )
    return LoadedModel(backend, context, settings.lanes)


def model_path(settings: Settings) -> Path:
    """The model file that the settings name, or the demo model. Raises ModelError where that is not installed."""
    return Path(settings.model) if settings.model else demo_model()


def memory_plan(settings: Settings, path: Path) -> MemoryPlan:
    """How the model goes into the memory. Raises ModelError."""
    wishes = PlanRequest(settings.context, settings.lanes, settings.gpu_layers, (settings.kv_type,))
    return plan_model(path, wishes, settings.vram_gb, probes=settings.data_dir / "probes.json")


def _llama(settings: Settings) -> LoadedModel:
    path = model_path(settings)
    plan = memory_plan(settings, path)
    log.info("loading %s\n%s", path, plan.describe())
    if plan.lanes < settings.lanes:
        log.warning("only %d of %d lanes fit into the memory", plan.lanes, settings.lanes)
    return LoadedModel(load_model(path, plan, settings.threads), plan.context, plan.lanes, plan)
