"""Engine set-up: from the settings to a started engine (backend, model file, memory plan, tiers).

It is the only place where settings become engine options. Whatever is wrong with a model file or with these settings
is raised as a ModelError or RequestError whose message is a sentence for the person who runs the server.
To add a setting of the engine: store/settings.py, and the option here.
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
from engine.text.framing_styles import FramingStyle
from store.settings import Settings

log = logging.getLogger(__name__)

ECHO_CONTEXT = 16_384  # the echo backend's tokens are bytes
MIB = 1 << 20


@dataclass(frozen=True)
class LoadedModel:
    """A loaded backend, its tokens per session and lanes, and the memory plan (the echo backend has none)."""

    backend: Backend
    context: int
    lanes: int
    plan: MemoryPlan | None = None


def load(settings: Settings) -> LoadedModel:
    """Load the model into memory; nothing runs yet. Raises ModelError."""
    return _echo(settings) if settings.backend == "echo" else _llama(settings)


def open_engine(settings: Settings, loaded: LoadedModel | None = None) -> Engine:
    """Start an engine and warm it up. Raises ModelError, RequestError."""
    loaded = loaded or load(settings)
    options = EngineOptions(
        context=loaded.context,
        lanes=loaded.lanes,
        ram_bytes=settings.ram_cache_mb * MIB,
        disk_bytes=settings.disk_cache_mb * MIB,
        reread_every=settings.reread_every,
        folder=settings.data_dir / "blocks" / settings.worker_name if settings.disk_cache_mb else None,
    )
    return warm_up(Engine(loaded.backend, options).start())


def warm_up(engine: Engine) -> Engine:
    """Read a few tokens, so that no turn has to wait for the model's pages to come from disk."""
    greeting = Segment("persona", framing_of(engine).segment("system", "", "Be ready."))
    for _ in engine.submit(TurnRequest(session="warm-up", wanted=(greeting,))).events():
        pass
    return engine


def framing_of(engine: Engine, style: FramingStyle = "auto") -> Framing:
    """The framing of messages by the chat template of the engine's model."""
    return Framing(engine.backend, engine.backend.chat_template, style)


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
    """The model file of the settings, else the demo model. Raises ModelError if that is not installed."""
    return Path(settings.model) if settings.model else demo_model()


def memory_plan(settings: Settings, path: Path) -> MemoryPlan:
    """The memory plan of the model: layers, context, lanes, KV type. Raises ModelError."""
    request = PlanRequest(settings.context, settings.lanes, settings.gpu_layers, (settings.kv_type,))
    return plan_model(path, request, settings.vram_gb, probes=settings.data_dir / "probes.json")


def _llama(settings: Settings) -> LoadedModel:
    path = model_path(settings)
    plan = memory_plan(settings, path)
    log.info("loading %s\n%s", path, plan.describe())
    if plan.lanes < settings.lanes:
        log.warning("only %d of %d lanes fit into the memory", plan.lanes, settings.lanes)
    return LoadedModel(load_model(path, plan, settings.threads), plan.context, plan.lanes, plan)
