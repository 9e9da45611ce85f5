"""Engine set-up: from the settings to a started engine (backend, model file, memory plan, tiers).

It is the only place where settings become engine options. Whatever is wrong with a model file or with these settings
is raised as a ModelError or RequestError whose message is a sentence for the person who runs the server.
To add a setting of the engine: store/settings.py, and the option here.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Engine, EngineOptions, Framing, ModelError, Segment, TurnRequest
from engine.backend import Backend
from engine.model.budgets import FreeBytes, disk_tier_budget, free_for_engine, model_budget, ram_tier_budget
from engine.model.hardware import demo_model, free_ram_bytes, ram_bytes
from engine.model.info import ModelInfo, read_model_info
from engine.model.llama_build import llama_build
from engine.model.loader import cards, foresee_plan, load_model, plan_model
from engine.model.memory_plan import GIB, KV_VALUE_BYTES, MIB, MemoryPlan
from engine.model.plan_search import PlanRequest
from engine.text.framing_styles import FramingStyle
from store.settings import AUTO, Settings
from worker.card_lock import CardLock
from worker.failed_plans import FailedPlans
from worker.machine_share import n_sharing

if TYPE_CHECKING:
    from engine.backends.llama_devices import Device

log = logging.getLogger(__name__)

WARM_UP_S = 5.0
ECHO_CONTEXT = 16_384  # the echo backend's tokens are bytes
KV_TYPES = tuple(KV_VALUE_BYTES)
"""In the order of preference."""
MakePlan = Callable[[PlanRequest, int], MemoryPlan]
"""From what is asked for and a budget in bytes to a plan; raises ModelError."""


@dataclass(frozen=True)
class LoadedModel:
    """A loaded backend, its tokens per session and lanes, and what was free before.

    The echo backend has no plan; `device` is the card, where there is one and it may be used (the plan says whether it
    is), `card_lock` keeps it from other workers, `failed` is what is noted of its failures.
    """

    backend: Backend
    context: int
    lanes: int
    free: FreeBytes
    plan: MemoryPlan | None = None
    device: Device | None = None
    failed: FailedPlans | None = None
    card_lock: CardLock | None = None


def load(settings: Settings) -> LoadedModel:
    """Load the model into memory; nothing runs yet. Raises ModelError."""
    return _echo(settings) if settings.backend == "echo" else _llama(settings)


def open_engine(settings: Settings, loaded: LoadedModel | None = None) -> Engine:
    """Start an engine and warm it up. Raises ModelError, RequestError."""
    loaded = loaded or load(settings)
    options = EngineOptions(
        context=loaded.context,
        lanes=loaded.lanes,
        ram_bytes=ram_tier_bytes(settings, loaded.free, loaded.plan),
        disk_bytes=disk_tier_bytes(settings, loaded.free),
        reread_every=settings.reread_every,
        folder=_blocks_folder(settings) if settings.disk_cache_mb else None,
    )
    return warm_up(Engine(loaded.backend, options).start())


def divide_blocks(settings: Settings, engine: Engine, loaded: LoadedModel, n_sharing: int) -> None:
    """Give the blocks of this worker its part, where so many workers share what was free when it was started."""
    free = replace(loaded.free, n_sharing=n_sharing)
    engine.limit_blocks(ram_tier_bytes(settings, free, loaded.plan), disk_tier_bytes(settings, free))


def free_bytes(settings: Settings, device: Device | None = None) -> FreeBytes:
    """What is free for the engine: the files of its own blocks count as free disk. With how many workers it shares."""
    folder = _blocks_folder(settings)
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    disk = shutil.disk_usage(there).free + sum(_size(path) for path in folder.rglob("*.*"))
    ram = free_for_engine(free_ram_bytes(), ram_bytes())
    card, shared = (device.free_bytes, device.shares_ram) if device else (0, False)
    return FreeBytes(ram, disk, card, shared, max(1, n_sharing(settings.data_dir)))


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # a file that is being written was renamed
        return path.stat().st_size
    return 0


def ram_tier_bytes(settings: Settings, free: FreeBytes, plan: MemoryPlan | None) -> int:
    """The budget of the RAM tier: as set, else a share of what is free."""
    return settings.ram_cache_mb * MIB if settings.ram_cache_mb >= 0 else ram_tier_budget(free, plan)


def disk_tier_bytes(settings: Settings, free: FreeBytes) -> int:
    """The budget of the disk tier: as set, else a share of what is free."""
    return settings.disk_cache_mb * MIB if settings.disk_cache_mb >= 0 else disk_tier_budget(free)


def _blocks_folder(settings: Settings) -> Path:
    return settings.data_dir / "blocks" / settings.worker_name


def warm_up(engine: Engine) -> Engine:
    """Read a few tokens, so that no turn has to wait for the model's pages to come from disk.

    On a card two batches, for WARM_UP_S at most: its shaders are compiled, its memory is taken and its speed is known
    before the first turn.
    """
    tokens = framing_of(engine).segment("system", "", "Be ready.")
    if engine.backend.n_on_card:
        tokens = (tokens * (2 * engine.backend.n_batch))[: min(2 * engine.backend.n_batch, engine.options.context // 2)]
    ticket = engine.submit(TurnRequest(session="warm-up", wanted=(Segment("persona", tokens),)))
    enough = time.monotonic() + WARM_UP_S
    for _ in ticket.events():
        if engine.backend.n_on_card and time.monotonic() > enough:
            ticket.cancel()
    if engine.backend.n_on_card and engine.alive():
        engine.forget(frozenset({"warm-up"}))
    return engine


def framing_of(engine: Engine, style: FramingStyle = "auto") -> Framing:
    """The framing of messages by the chat template of the engine's model."""
    return Framing(engine.backend, engine.backend.chat_template, style)


def _echo(settings: Settings) -> LoadedModel:
    from engine.backends.echo import EchoBackend

    context = settings.context or ECHO_CONTEXT
    path = Path(settings.model) if settings.model else None
    if path is not None:
        read_model_info(path)  # a file that no backend could load is refused
    backend = EchoBackend(
        context * (settings.lanes + 1),
        max(16, 2 * settings.lanes + 1),
        n_context_train=context,
        delay_s=settings.echo_delay_ms / 1000,
        salt=path.name if path else "",
    )
    return LoadedModel(backend, context, settings.lanes, free_bytes(settings))


def model_path(settings: Settings) -> Path:
    """The model file of the settings, else the demo model. Raises ModelError if that is not installed."""
    return Path(settings.model) if settings.model else demo_model()


def memory_plan(
    settings: Settings, path: Path, free: FreeBytes, remember: bool = True, share: float = 1.0, main_gpu: int = 0
) -> MemoryPlan:
    """The memory plan of the model: layers, context, lanes, KV type, which is remembered. Raises ModelError.

    A model that is too large for the card is planned without it, unless a number of layers was asked for.
    `share`: how much of the card's budget may be used (failed_plans.py); `main_gpu`: which card (card_lock.py).
    """

    def make(request: PlanRequest, budget_bytes: int) -> MemoryPlan:
        return plan_model(path, request, budget_bytes, settings.data_dir, remember, main_gpu, settings.worker_name)

    plan, why = _plan(settings, free, share, make)
    if why:
        log.warning("the card is not used, the CPU computes, which is slow: %s", why)
    return plan


def foreseen_plan(settings: Settings, model: ModelInfo, path: Path | None, free: FreeBytes) -> MemoryPlan:
    """The memory plan that a model would get, as far as its header tells; nothing is loaded or remembered.

    `path`: the whole file, of which something may be known; None: only its header is here. Raises ModelError.
    """

    def make(request: PlanRequest, budget_bytes: int) -> MemoryPlan:
        return foresee_plan(model, path, request, budget_bytes, settings.data_dir, settings.worker_name)

    return _plan(settings, free, 1.0, make)[0]


def _plan(settings: Settings, free: FreeBytes, share: float, make: MakePlan) -> tuple[MemoryPlan, ModelError | None]:
    """The plan, and why it does without the card although there is one."""
    try:
        return _plan_on(settings, free, share, make), None
    except ModelError as error:
        if settings.gpu_layers >= 0 or not free.card:
            raise
        with contextlib.suppress(ModelError):  # the RAM is too small as well
            return _plan_on(settings, replace(free, card=0), 1.0, make), error
        raise


def _plan_on(settings: Settings, free: FreeBytes, share: float, make: MakePlan) -> MemoryPlan:
    gpu_layers = settings.gpu_layers if free.card else 0
    kv_types = KV_TYPES if settings.kv_type == AUTO else (settings.kv_type,)
    request = PlanRequest(settings.context, settings.lanes, gpu_layers, kv_types)
    budget_bytes = model_budget(free if gpu_layers else replace(free, card=0), int(settings.vram_gb * GIB))
    return make(request, int(share * budget_bytes) if gpu_layers else budget_bytes)


def subject_of_failures(settings: Settings, path: Path, device: Device | None) -> str:
    """The card, and all that decides what it has to hold: with another one its failures are forgotten."""
    asked = (settings.vram_gb, settings.gpu_layers, settings.context, settings.lanes, settings.kv_type)
    return ", ".join(map(str, (path.name, device.name if device else "no card", *asked)))


def _llama(settings: Settings) -> LoadedModel:
    path = model_path(settings)
    lock = CardLock(settings.data_dir, cards() if settings.gpu_layers else ())
    device = lock.device
    free = free_bytes(settings, device)
    failed = FailedPlans(settings.data_dir, settings.worker_name, subject_of_failures(settings, path, device))

    def planned(share: float) -> MemoryPlan:
        now = cards()[lock.place] if device else None  # another program may load, too
        return memory_plan(settings, path, free_bytes(settings, now), share=share, main_gpu=lock.place)

    try:
        plan, backend = failed.load(planned, lambda plan: (plan, _loaded(settings, path, plan, lock.place)))
    except ModelError:
        failed.end()
        lock.release()  # another model may be loaded instead
        raise
    return LoadedModel(backend, plan.context, plan.lanes, free, plan, device, failed, lock)


def _loaded(settings: Settings, path: Path, plan: MemoryPlan, main_gpu: int) -> Backend:
    log.info("loading %s, llama.cpp was built for %s\n%s", path, llama_build(), plan.describe())
    if plan.lanes < settings.lanes:
        log.warning("only %d of %d lanes fit into the memory", plan.lanes, settings.lanes)
    return load_model(path, plan, settings.threads, main_gpu)
