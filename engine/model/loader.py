"""Model loader: plan the memory, probe what might crash, load the llama.cpp backend as planned.

Shared by the terminal and the worker. Every failure is a ModelError of one sentence.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.errors import ModelError
from engine.model.hardware import ram_bytes
from engine.model.info import read_model_info
from engine.model.memory_plan import GIB, MemoryPlan, PlanRequest, plan_memory
from engine.model.shift_probe import ShiftProbe

if TYPE_CHECKING:
    from engine.backends.llama import LlamaBackend


def plan_model(
    path: Path, request: PlanRequest, card_gb: float = 6.0, ram_gb: float = 0.0, probes: Path | None = None
) -> MemoryPlan:
    """The memory plan: for `card_gb` GiB of the card where there is one, else for `ram_gb` GiB (0: all) of the RAM.

    Quantized KV cells are planned only where the shift probe passes; `probes` is the file that caches its results.
    """
    request = request if _llama().has_gpu() else replace(request, gpu_layers=0)
    budget_bytes = int((card_gb if request.gpu_layers else ram_gb) * GIB) or ram_bytes()
    model = read_model_info(path)
    plan = plan_memory(model, budget_bytes, request)
    safe = ShiftProbe(probes).usable_kv_type(path, model, plan.kv_type, plan.n_gpu_layers)
    return plan if safe == plan.kv_type else plan_memory(model, budget_bytes, replace(request, kv_types=(safe,)))


def load_model(path: Path, plan: MemoryPlan, n_threads: int = 0) -> "LlamaBackend":
    """Load the model as planned; `n_threads` 0: one for each CPU. Raises ModelError."""
    module = _llama()
    options = module.LlamaOptions(
        n_cells=plan.n_cells,
        n_sequences=plan.n_sequences,
        n_batch=plan.n_batch,
        n_threads=n_threads,
        n_gpu_layers=plan.n_offloaded,
        kv_type=plan.kv_type,
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
