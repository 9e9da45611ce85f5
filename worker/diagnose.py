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
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from engine.errors import ModelError
from engine.model.hardware import cards, free_ram_bytes
from engine.model.info import ModelInfo, read_model_info
from engine.model.memory_plan import GIB, MemoryPlan
from engine.model.shift_probe import ShiftProbe
from engine.text.chat_template import CannotSplit, split_template
from engine.text.framing_styles import FramingStyle, names_as_roles
from store.settings import Settings, SettingsError, load_settings
from worker.engine_setup import memory_plan, model_path

BUILD_FOR_CARD = (
    "In containers add `-f deploy/compose.nvidia.yml`; else build it anew: `CMAKE_ARGS=-DGGML_CUDA=ON .venv/bin/pip "
    "install --force-reinstall --no-cache-dir --no-deps llama-cpp-python=={version}`."
)


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
        from engine.backends.llama import has_gpu
    except ImportError:
        return  # the memory plan says so
    installed = cards()
    if not installed:
        yield ModelFinding(
            "card", "ok", "no NVIDIA card, the CPU computes" if not has_gpu() else "llama.cpp has found a card"
        )
    elif not has_gpu():
        advice = BUILD_FOR_CARD.format(version=metadata.version("llama-cpp-python"))
        yield ModelFinding(
            "card", "warn", f"{installed[0].name} is not used: this llama.cpp was built for the CPU", advice
        )
    elif settings.vram_gb * 1024 > installed[0].total_mib:
        words = f"{installed[0].name} has {installed[0].total_mib} MiB, INGLENOOK_VRAM_GB={settings.vram_gb:g} is more"
        yield ModelFinding("card", "warn", words, f"Set INGLENOOK_VRAM_GB={installed[0].total_mib / 1024 - 0.3:.1f}.")
    else:
        yield ModelFinding(
            "card", "ok", f"{installed[0].name}, {installed[0].free_mib} of {installed[0].total_mib} MiB free"
        )


def _memory(settings: Settings, path: Path, model: ModelInfo, trial: bool) -> Iterator[ModelFinding]:
    try:
        plan = memory_plan(settings, path)
    except ModelError as error:
        yield ModelFinding("memory plan", "fail", *_sentence(error))
        return
    yield _fits(settings, plan, trial)
    yield _moving(settings, path, model, plan)
    if trial:
        verdict = ShiftProbe().run(path, plan.kv_type, plan.n_gpu_layers)
        good = ModelFinding("trial run", "ok", "loaded, read and moved some tokens")
        advice = "Download the model again, or choose another; if others fail too, llama.cpp needs to be built anew."
        yield good if verdict.works else ModelFinding("trial run", "fail", verdict.reason, advice)


def _fits(settings: Settings, plan: MemoryPlan, fresh: bool) -> ModelFinding:
    """Whether the plan fits; `fresh`: no worker has loaded the model yet, so the memory must be free now."""
    where = "card" if plan.on_gpu else "RAM"
    words = f"{plan.total_bytes / GIB:.2f} GiB of {where}: {plan.lanes} chats at once, {plan.context} tokens each"
    if plan.lanes < settings.lanes:
        advice = "Choose a smaller model or INGLENOOK_CONTEXT for more chats at once."
        return ModelFinding("memory plan", "warn", f"{words} (wanted: {settings.lanes})", advice)
    free = free_ram_bytes()
    if fresh and not plan.on_gpu and free < plan.total_bytes:
        advice = "Stop other programs, or choose a smaller model."
        return ModelFinding("memory plan", "warn", f"{words}, but only {free / GIB:.2f} GiB are free just now", advice)
    return ModelFinding("memory plan", "ok", words)


def _moving(settings: Settings, path: Path, model: ModelInfo, plan: MemoryPlan) -> ModelFinding:
    if plan.kv_type == settings.kv_type:
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
