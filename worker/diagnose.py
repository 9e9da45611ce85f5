"""`python -m worker.diagnose [--no-trial]`: the model's part of `inglenook doctor`, one JSON object a line.

What it does: examines model file, chat template, cards, memory plan, moving of KV cells, and makes a trial run; each
finding has name, state (ok, warn, fail), words and advice. It is a program of its own because a model may kill the
process that loads it. The trial loads the model a second time: `--no-trial` while a worker has it loaded.
What it refuses to know: Redis, SQL, the disk (deploy/doctor.py).
To add a finding: a function that yields findings, called in `examine`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.errors import ModelError
from engine.model.budgets import FreeBytes
from engine.model.cards import Card, Machine, machine
from engine.model.hardware import free_ram_bytes, ram_bytes
from engine.model.info import ModelInfo, read_model_info
from engine.model.llama_build import LlamaBuild, llama_build
from engine.model.loader import cards
from engine.model.memory_plan import GIB, MemoryPlan
from engine.model.shift_probe import ShiftProbe
from engine.text.chat_template import CannotSplit, split_template
from engine.text.framing_styles import FramingStyle, names_as_roles
from store.settings import AUTO, Settings, SettingsError, load_settings
from worker.engine_setup import free_bytes, memory_plan, model_path

BUILD_FOR_CARD = (
    "`make run` builds it anew for the card, and says what is missing where it cannot; in containers add "
    "`-f deploy/compose.nvidia.yml` (other vendors: `-f deploy/compose.vulkan.yml`)."
)
CARD_NOT_FOUND = (
    "Restart the machine if its driver was updated, else say `make run`: it builds llama.cpp for what is there."
)
LEAST_MIB = 2048


@dataclass(frozen=True)
class ModelFinding:
    """One finding: `advice` says what to do unless all is well."""

    name: str
    state: str
    words: str
    advice: str = ""


def main(arguments: list[str]) -> int:
    """Print every finding; 0, or 2 when the settings are wrong."""
    logging.disable(logging.CRITICAL)  # findings are printed instead
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for finding in examine(settings, trial="--no-trial" not in arguments):
        sys.stdout.write(json.dumps(asdict(finding)) + "\n")
        sys.stdout.flush()
    return 0


def examine(settings: Settings, trial: bool = True) -> Iterator[ModelFinding]:
    """Yield every finding; those that depend on something that failed are left out."""
    if settings.backend == "echo":
        yield ModelFinding("model", "warn", "the echo backend answers", "Unset INGLENOOK_BACKEND: it is for tests.")
        return
    try:
        path = model_path(settings)
        model = read_model_info(path)
    except ModelError as error:
        yield ModelFinding("model", "fail", *_sentence(error))
        return
    yield ModelFinding("model", "ok", f"{path.name}: {_describe(model)}")
    yield _template(model, settings.framing)
    yield from _cards(settings)
    yield from _memory(settings, path, model, trial)


def _describe(model: ModelInfo) -> str:
    name, size = model.name or model.architecture, model.weight_bytes / GIB
    return f"{name}, {model.quantization}, {model.n_layers} layers, {size:.2f} GiB, context {model.n_context_train}"


def _template(model: ModelInfo, style: FramingStyle) -> ModelFinding:
    advice = "Replies may be odd: choose a model that was trained for chats (its name often ends in Instruct or Chat)."
    if style == "script":
        return ModelFinding("template", "ok", "not used (INGLENOOK_FRAMING=script): each message is a line of a script")
    if not model.chat_template:
        words = "the model has no chat template: each message is a line of a script"
        return ModelFinding("template", "warn", words, advice)
    try:
        parts = split_template(model.chat_template)
    except CannotSplit as error:
        words = f"the model's chat template cannot be used message by message ({error}): ChatML or a script is used"
        return ModelFinding("template", "warn", words, advice)
    named = names_as_roles(parts, style)
    return ModelFinding("template", "ok", "names as roles" if named else "roles of its own, names in the text")


def _cards(settings: Settings) -> Iterator[ModelFinding]:
    try:
        from engine.backends.llama_devices import usable_devices
    except ImportError:
        return  # the memory plan says so
    device = next(iter(usable_devices()), None)
    found = (device.name, device.free_bytes, device.total_bytes) if device else None
    yield card_finding(llama_build(), machine(), found, settings.vram_gb)


def card_finding(build: LlamaBuild, here: Machine, found: tuple[str, int, int] | None, vram_gb: float) -> ModelFinding:
    """What the card is and whether this build uses it; `found`: name, free and total bytes of llama.cpp's device."""
    card = build.card(here.cards)
    if not found and here.fault:
        return ModelFinding("card", "warn", f"{here.fault}: the processor computes", CARD_NOT_FOUND)
    if not found:
        return _unused(build, card or next(iter(here.cards), None))
    name, free, total = found
    words = f"{build}: {card if card and card.driver else name}"
    if vram_gb * GIB > total:
        words += f" has {total / GIB:.1f} GiB, INGLENOOK_VRAM_GB={vram_gb:g} is more"
        return ModelFinding("card", "warn", words, f"Set INGLENOOK_VRAM_GB={total / GIB - 0.3:.1f}.")
    return ModelFinding("card", "ok", f"{words}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")


def _unused(build: LlamaBuild, card: Card | None) -> ModelFinding:
    """The processor computes: is that as it should be?"""
    if build.for_card:
        words = f"llama.cpp was built for {build} and finds no card ({card or 'none is known'})"
        return ModelFinding("card", "warn", words, CARD_NOT_FOUND)
    if card is None:
        return ModelFinding("card", "ok", "no card was found, the processor computes")
    words = f"{card} is not used: this llama.cpp was built for the processor"
    if card.vendor != "nvidia" and card.total_mib < LEAST_MIB:  # a part of the processor, hardly faster than it
        return ModelFinding("card", "ok", words)
    return ModelFinding("card", "warn", words, BUILD_FOR_CARD)


def _memory(settings: Settings, path: Path, model: ModelInfo, trial: bool) -> Iterator[ModelFinding]:
    try:
        available = _available(settings, trial)
        plan = memory_plan(settings, path, available, remember=False)
    except ModelError as error:
        yield ModelFinding("memory plan", "fail", *_sentence(error))
        return
    yield memory_finding(settings, plan, trial, bool(available.card))
    yield _moving(settings, path, model, plan)
    if trial:
        verdict = ShiftProbe().run(path, plan.kv_type, plan.n_gpu_layers)
        good = ModelFinding("trial run", "ok", "loaded, read and moved some tokens")
        advice = "Download the model again, or choose another; if others fail too, llama.cpp needs to be built anew."
        yield good if verdict.works else ModelFinding("trial run", "fail", verdict.reason, advice)


def _available(settings: Settings, fresh: bool) -> FreeBytes:
    """What the model may take: what is free, or, while a worker has it loaded already, what the machine has."""
    device = next(iter(cards()), None)
    free = free_bytes(settings, device)
    return free if fresh else replace(free, ram=ram_bytes(), card=device.total_bytes if device else 0)


def memory_finding(settings: Settings, plan: MemoryPlan, fresh: bool, has_card: bool) -> ModelFinding:
    """Whether the plan fits; `fresh`: no worker has loaded the model yet, so the memory must be free now."""
    n_layers = plan.model.n_layers + 1  # the output counts as one
    where = f"card for {min(plan.n_gpu_layers, n_layers)} of {n_layers} layers" if plan.on_gpu else "RAM"
    words = f"{plan.total_bytes / GIB:.2f} GiB of {where}: {plan.lanes} chats at once, {plan.context} tokens each"
    if plan.lanes < settings.lanes:
        advice = "Choose a smaller model or INGLENOOK_CONTEXT for more chats at once."
        return ModelFinding("memory plan", "warn", f"{words} (wanted: {settings.lanes})", advice)
    if has_card and not plan.on_gpu and settings.gpu_layers:
        words = f"{words}: the model does not fit into the card's memory"
        advice = "Choose a smaller model or quantization for the card, or set INGLENOOK_GPU_LAYERS=0 to do without it."
        return ModelFinding("memory plan", "warn", words, advice)
    free = free_ram_bytes()
    if fresh and not plan.on_gpu and free < plan.total_bytes:
        advice = "Stop other programs, or choose a smaller model."
        return ModelFinding("memory plan", "warn", f"{words}, but only {free / GIB:.2f} GiB are free just now", advice)
    return ModelFinding("memory plan", "ok", words)


def _moving(settings: Settings, path: Path, model: ModelInfo, plan: MemoryPlan) -> ModelFinding:
    if settings.kv_type in (AUTO, plan.kv_type):
        return ModelFinding("shift probe", "ok", f"KV cells of type {plan.kv_type} can be used with this model")
    verdict = ShiftProbe(settings.data_dir / "probes.json").result(path, model, settings.kv_type, plan.n_gpu_layers)
    words = f"KV cells of type {settings.kv_type} do not work with this model ({verdict.reason}), f16 is used"
    return ModelFinding(
        "shift probe", "warn", words, "Set INGLENOOK_KV_TYPE=f16, or choose a model with heads of 64 or 128."
    )


def _sentence(error: ModelError) -> tuple[str, str]:
    """Split an error of the engine into what is wrong and what to do, at the last full stop or colon."""
    message = str(error)
    for mark in (". ", ": "):
        words, separator, advice = message.rpartition(mark)
        if separator:
            return words, advice[:1].upper() + advice[1:]
    return message, "Choose another model with INGLENOOK_MODEL."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
