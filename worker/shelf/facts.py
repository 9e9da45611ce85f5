"""Facts and plans of model files, as JSON for the shelf: what a header says, and what this worker could do with it.

What it does: the same from a whole file and from its header alone, so what is shown before a download holds after it.
A file that cannot be used gives a reason, a key of store/error_texts.py with its values.
What it refuses to know: rows (keeper.py), and how a plan is made (engine/model).
To add a fact of the header: a field in `facts_of`; of a plan: in `_described`; the page that shows it (web/admin).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CutOff, DoesNotFit, ModelError
from engine.model.budgets import FreeBytes
from engine.model.info import ModelInfo, info_of_parts, read_model_info
from engine.model.memory_plan import GIB, MemoryPlan
from engine.model.story_size import StorySize
from store.errors import Failure
from store.settings import Settings
from store.shelf.views import reason_of
from worker.engine_setup import disk_tier_bytes, foreseen_plan, ram_tier_bytes

MAX_WHY = 300
MAX_TEXT = 120


@dataclass(frozen=True)
class ModelHeader:
    """Where the header of a model is: in the `whole` file, or in the beginnings of its parts, each with the bytes of
    the whole part."""

    name: str
    whole: Path | None = None
    parts: Sequence[tuple[Path, int]] = ()

    def read(self) -> ModelInfo:
        """Raises ModelError."""
        return read_model_info(self.whole) if self.whole else info_of_parts(self.parts)


def facts_of(model: ModelInfo) -> dict[str, Any]:
    """What a header says of a model, for people who choose one.

    `kind`: dense, window or hybrid; `endless`: a story goes on without reading its memory again when old messages leave
    it; `trace`: what has left leaves a trace in a recurrent state. `weights` in bytes.
    """
    return {
        "architecture": model.architecture,
        "name": model.name[:MAX_TEXT],
        "quantization": model.quantization,
        "n_context_train": model.n_context_train,
        "weights": model.weight_bytes,
        "n_layers": model.n_layers,
        "kind": _kind(model),
        "endless": any(model.kv_heads),
        "trace": any(model.layer_state_bytes) and any(model.kv_heads),
        "chats": bool(model.chat_template),
    }


def _kind(model: ModelInfo) -> str:
    if any(model.layer_state_bytes):
        return "hybrid"
    return "window" if any(model.windowed) else "dense"


def unusable(name: str, error: ModelError) -> dict[str, Any]:
    """The facts of a file that cannot be used: why."""
    return {"reason": reason_of(failure_of(name, error))}


def failure_of(name: str, error: Exception) -> Failure:
    """Why a model cannot be used, as a reason with its values; a path of this machine is no part of it."""
    if isinstance(error, DoesNotFit):
        place = "card" if error.on_card else "ram"
        return Failure(f"model_too_large.{place}", {"name": name, **_gigabytes(error.needed, error.budget)})
    if isinstance(error, CutOff):
        return Failure("model_cut_off", {"name": name})
    return Failure("model_unusable", {"name": name, "why": _without_paths(str(error))[:MAX_WHY]})


def _gigabytes(needed: int, budget: int) -> dict[str, str]:
    """Both to a tenth of a GiB, what is needed rounded up and what is there rounded down: they never look the same."""
    return {"needed": f"{math.ceil(10 * needed / GIB) / 10:.1f}", "budget": f"{math.floor(10 * budget / GIB) / 10:.1f}"}


def _without_paths(text: str) -> str:
    words = text.split(" ")
    return " ".join(Path(word).name if word.startswith("/") else word for word in words)


def plan_of(
    settings: Settings, header: ModelHeader, model: ModelInfo, free: FreeBytes, device: str = ""
) -> dict[str, Any]:
    """What a worker could do with a model, or why it cannot. `free`: what is free without a model; `device`: the name
    of the card. Bytes, except `stories_...`: how many stories of full length are kept."""
    try:
        plan = foreseen_plan(settings, model, header.whole, free)
    except ModelError as error:
        return {"reason": reason_of(failure_of(header.name, error))}
    return _described(settings, plan, free, device)


def _described(settings: Settings, plan: MemoryPlan, free: FreeBytes, device: str) -> dict[str, Any]:
    model, story = plan.model, StorySize.of(plan.model, plan.kv_type)
    in_ram, on_disk = story.in_ram(plan.context), story.on_disk(plan.context)
    return {
        "lanes": plan.lanes,
        "lanes_wanted": settings.lanes,
        "context": plan.context,
        "layers": model.n_layers + 1,
        "gpu_layers": min(plan.n_gpu_layers, model.n_layers + 1),
        "card": device,
        "kv_type": plan.kv_type,
        "weight_bytes": plan.weight_bytes,
        "kv_bytes": plan.kv_bytes,
        "compute_bytes": plan.compute_bytes,
        "reserve_bytes": plan.reserve_bytes,
        "total_bytes": plan.total_bytes,
        "budget_bytes": plan.budget_bytes,
        "story_in_ram": in_ram,
        "story_on_disk": on_disk,
        "stories_in_ram": ram_tier_bytes(settings, free, plan) // max(1, in_ram),
        "stories_on_disk": disk_tier_bytes(settings, free) // max(1, on_disk),
    }
