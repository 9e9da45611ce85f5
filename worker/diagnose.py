"""`python -m worker.diagnose [--no-trial]`: what this worker's model needs, and whether the machine has it.

What it does: for each of model file, chat template, cards, memory plan, moving of KV cells and a trial run it prints
one JSON object a line: name, state (ok, warn, fail), words, advice. `inglenook doctor` reads them; it runs this as a
program because a model may kill the process that loads it. The trial loads the model a second time: `--no-trial` where
a worker has it already. What it refuses to know: Redis, SQL, the disk (deploy/doctor.py).
When extending: one function that yields lines, in the list of `examine`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from engine.errors import ModelError
from engine.model.hardware import cards, free_ram_bytes
from engine.model.info import ModelInfo, read_model_info
from engine.model.memory_plan import GIB, MemoryPlan
from engine.model.shift_probe import ShiftProbe
from engine.text.chat_template import CannotSplit, split_template
from store.settings import Settings, SettingsError, load_settings
from worker.engine_setup import memory_plan, model_path

BUILD_FOR_CARD = (
    "In containers add `-f deploy/compose.nvidia.yml`; else build it anew: `CMAKE_ARGS=-DGGML_CUDA=ON .venv/bin/pip "
    "install --force-reinstall --no-cache-dir --no-deps llama-cpp-python=={version}`."
)


@dataclass(frozen=True)
class Finding:
    """One finding: `advice` says what to do unless all is well."""

    name: str
    state: str
    words: str
    advice: str = ""


def main(arguments: list[str]) -> int:
    """Print every line; 0 unless the settings are wrong."""
    logging.disable(logging.CRITICAL)  # what is wrong is said in a line
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in examine(settings, trial="--no-trial" not in arguments):
        sys.stdout.write(json.dumps(asdict(line)) + "\n")
        sys.stdout.flush()
    return 0


def examine(settings: Settings, trial: bool = True) -> Iterator[Finding]:
    """Every finding; what depends on something that failed is left out."""
    if settings.backend == "echo":
        yield Finding("model", "warn", "the echo backend answers", "Unset INGLENOOK_BACKEND: it is for tests.")
        return
    try:
        path = model_path(settings)
        model = read_model_info(path)
    except ModelError as error:
        yield Finding("model", "fail", *_sentence(error))
        return
    yield Finding("model", "ok", f"{path.name}: {_describe(model)}")
    yield _template(model)
    yield from _cards(settings)
    yield from _memory(settings, path, model, trial)


def _describe(model: ModelInfo) -> str:
    name, size = model.name or model.architecture, model.weight_bytes / GIB
    return f"{name}, {model.quantization}, {model.n_layers} layers, {size:.2f} GiB, context {model.n_context_train}"


def _template(model: ModelInfo) -> Finding:
    advice = "Replies may be odd: choose a model that was trained for chats (its name often ends in Instruct or Chat)."
    if not model.chat_template:
        return Finding("template", "warn", "the model has no chat template, ChatML is used", advice)
    try:
        parts = split_template(model.chat_template)
    except CannotSplit as error:
        words = f"the model's chat template cannot be used message by message ({error}), ChatML is used"
        return Finding("template", "warn", words, advice)
    return Finding("template", "ok", "any name as a role" if parts.named else "roles of its own, names in the text")


def _cards(settings: Settings) -> Iterator[Finding]:
    try:
        from engine.backends.llama import has_gpu
    except ImportError:
        return  # the memory plan says so
    found = cards()
    if not found:
        yield Finding(
            "card", "ok", "no NVIDIA card, the CPU computes" if not has_gpu() else "llama.cpp has found a card"
        )
    elif not has_gpu():
        advice = BUILD_FOR_CARD.format(version=metadata.version("llama-cpp-python"))
        yield Finding("card", "warn", f"{found[0].name} is not used: this llama.cpp was built for the CPU", advice)
    elif settings.vram_gb * 1024 > found[0].total_mib:
        words = f"{found[0].name} has {found[0].total_mib} MiB, INGLENOOK_VRAM_GB={settings.vram_gb:g} is more"
        yield Finding("card", "warn", words, f"Set INGLENOOK_VRAM_GB={found[0].total_mib / 1024 - 0.3:.1f}.")
    else:
        yield Finding("card", "ok", f"{found[0].name}, {found[0].free_mib} of {found[0].total_mib} MiB free")


def _memory(settings: Settings, path: Path, model: ModelInfo, trial: bool) -> Iterator[Finding]:
    try:
        plan = memory_plan(settings, path)
    except ModelError as error:
        yield Finding("memory plan", "fail", *_sentence(error))
        return
    yield _fits(settings, plan, trial)
    yield _moving(settings, path, model, plan)
    if trial:
        verdict = ShiftProbe().run(path, plan.kv_type, plan.n_gpu_layers)
        good = Finding("trial run", "ok", "loaded, read and moved some tokens")
        advice = "Download the model again, or choose another; if others fail too, llama.cpp needs to be built anew."
        yield good if verdict.works else Finding("trial run", "fail", verdict.reason, advice)


def _fits(settings: Settings, plan: MemoryPlan, fresh: bool) -> Finding:
    """The plan; `fresh`: no worker has taken its memory yet, so it must be free now."""
    where = "card" if plan.on_gpu else "RAM"
    words = f"{plan.total_bytes / GIB:.2f} GiB of {where}: {plan.lanes} chats at once, {plan.context} tokens each"
    if plan.lanes < settings.lanes:
        advice = "Choose a smaller model or INGLENOOK_CONTEXT for more chats at once."
        return Finding("memory plan", "warn", f"{words} (wanted: {settings.lanes})", advice)
    free = free_ram_bytes()
    if fresh and not plan.on_gpu and free < plan.total_bytes:
        advice = "Stop other programs, or choose a smaller model."
        return Finding("memory plan", "warn", f"{words}, but only {free / GIB:.2f} GiB are free just now", advice)
    return Finding("memory plan", "ok", words)


def _moving(settings: Settings, path: Path, model: ModelInfo, plan: MemoryPlan) -> Finding:
    if plan.kv_type == settings.kv_type:
        return Finding("shift probe", "ok", f"KV cells of type {plan.kv_type} can be used with this model")
    verdict = ShiftProbe(settings.data_dir / "probes.json").result(path, model, settings.kv_type, plan.n_gpu_layers)
    words = f"KV cells of type {settings.kv_type} do not work with this model ({verdict.reason}), f16 is used"
    return Finding(
        "shift probe", "warn", words, "Set INGLENOOK_KV_TYPE=f16, or choose a model with heads of 64 or 128."
    )


def _sentence(error: ModelError) -> tuple[str, str]:
    """What is wrong, and what to do: the engine says both in one sentence, behind the last colon or full stop."""
    said = str(error)
    for mark in (". ", ": "):
        words, found, advice = said.rpartition(mark)
        if found:
            return words, advice[:1].upper() + advice[1:]
    return said, "Choose another model with INGLENOOK_MODEL."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
