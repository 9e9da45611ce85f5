"""Model loader: plan the memory, probe what might crash, load the llama.cpp backend as planned.

Shared by the terminal and the worker. Every failure is a ModelError of one sentence.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.model.info import ModelInfo, read_model_info
from engine.model.known_facts import KnownFacts, file_key
from engine.model.memory_plan import MemoryPlan
from engine.model.plan_search import COMFORTABLE_CONTEXT, PlanRequest, plan_memory
from engine.model.shift_probe import ShiftProbe

if TYPE_CHECKING:
    from engine.backends.llama import LlamaBackend
    from engine.backends.llama_devices import Device


def cards() -> "tuple[Device, ...]":
    """The cards that this build of llama.cpp can use. A place in this list is the `main_gpu` of a model."""
    _llama()
    from engine.backends.llama_devices import usable_devices

    return usable_devices()


def plan_model(
    path: Path,
    request: PlanRequest,
    budget_bytes: int,
    facts: Path | None = None,
    remember: bool = True,
    main_gpu: int = 0,
    owner: str = "",
) -> MemoryPlan:
    """The memory plan for a budget: of a card unless `request.gpu_layers` is 0.

    Quantized KV cells are planned only where the shift probe passes. `facts` is the folder that keeps its results, and
    the KV type of each model: blocks belong to one type, so another would make every story be read again. Without
    `remember` that stays as it is. `owner`: the worker whose blocks they are; another one, with another card, may have
    another type.
    """
    model = read_model_info(path)
    types, probe = _KvTypes(facts, owner), _probe(facts)
    kept = types.of(path)
    plan = _with_kept_type(model, budget_bytes, request, kept)
    safe = probe.usable_kv_type(path, model, plan.kv_type, plan.n_gpu_layers, main_gpu)
    if safe != plan.kv_type:
        plan = plan_memory(model, budget_bytes, replace(request, kv_types=(safe,)))
    if remember and len(request.kv_types) > 1 and kept != plan.kv_type:
        types.keep(path, plan.kv_type)
    return plan


def foresee_plan(
    model: ModelInfo,
    path: Path | None,
    request: PlanRequest,
    budget_bytes: int,
    facts: Path | None = None,
    owner: str = "",
) -> MemoryPlan:
    """The plan that `plan_model` would make, as far as that can be told without loading the model: quantized KV cells
    that were never tried with it count as usable, and nothing is remembered.

    `path`: the whole model, of which something may be known already; None: only its header is here. Raises ModelError.
    """
    plan = _with_kept_type(model, budget_bytes, request, _KvTypes(facts, owner).of(path) if path else None)
    result = _probe(facts).known(path, model, plan.kv_type, plan.n_gpu_layers)
    if result and not result.works:
        plan = plan_memory(model, budget_bytes, replace(request, kv_types=("f16",)))
    return plan


class _KvTypes:
    """The KV types that a folder keeps: of the owner's last start with each model, else of whoever asked unnamed."""

    def __init__(self, folder: Path | None, owner: str) -> None:
        unnamed = KnownFacts(folder / "kv_types.json" if folder else None, "KV types")
        own = KnownFacts(folder / "kv_types" / f"{owner}.json" if folder else None, "KV types")
        self._own = own if owner else unnamed
        self._known = (self._own, unnamed)

    def of(self, path: Path) -> object:
        """The type that a model file had; None where that is not known."""
        key = file_key(path)
        return next((fact for facts in self._known if (fact := facts.get(key)) is not None), None)

    def keep(self, path: Path, kv_type: str) -> None:
        """Remember it for the owner."""
        self._own.keep(file_key(path), kv_type)


def _probe(folder: Path | None) -> ShiftProbe:
    return ShiftProbe(folder / "probes.json" if folder else None)


def _with_kept_type(model: ModelInfo, budget_bytes: int, request: PlanRequest, kept: object) -> MemoryPlan:
    """The best plan; of two that serve nearly as well, the one with the KV type of the last start."""
    plan = plan_memory(model, budget_bytes, request)
    if kept == plan.kv_type or kept not in request.kv_types:
        return plan
    try:
        as_before = plan_memory(model, budget_bytes, replace(request, kv_types=(str(kept),)))
    except ModelError:
        return plan
    same = (as_before.n_gpu_layers, as_before.lanes) == (plan.n_gpu_layers, plan.lanes)
    return as_before if same and as_before.context >= min(COMFORTABLE_CONTEXT, plan.context) else plan


def load_model(path: Path, plan: MemoryPlan, n_threads: int = 0, main_gpu: int = 0) -> "LlamaBackend":
    """Load the model as planned; `n_threads` 0: one for each CPU; `main_gpu`: see `cards`. Raises ModelError."""
    module = _llama()
    options = module.LlamaOptions(
        n_cells=plan.n_cells,
        n_sequences=plan.n_sequences,
        n_batch=plan.n_batch,
        n_threads=n_threads,
        n_gpu_layers=plan.n_offloaded,
        kv_type=plan.kv_type,
        main_gpu=main_gpu,
        swa_full=plan.swa_full,
        n_outputs=plan.n_outputs,
    )
    backend: LlamaBackend = module.LlamaBackend(path, options)
    return backend


def _llama() -> ModuleType:
    """engine.backends.llama, imported lazily: the rest of the engine works without llama_cpp."""
    try:
        from engine.backends import llama
    except ImportError as error:
        raise ModelError(f"llama-cpp-python cannot be loaded ({error}): install `inglenook[engine]`") from error
    return llama
