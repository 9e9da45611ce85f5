"""Shift probe: tests in a child process whether quantized KV cells of a model can be shifted, and keep what it knows.

llama.cpp aborts on some combinations instead of refusing them (quantized K at head sizes 32 and 96), and an aborted
process cannot fall back to anything. So before a worker uses quantized cells, a child process loads the model, decodes,
shifts and decodes again; if one of them crashes, it is the child. Then it compares what the model expects to come next
in a text with what it expects on f16 cells: some models have keys of such different sizes that quantized cells lose
the small ones. Known crashes are not tried, and f16 cells, which always work, are not probed.

    python -m engine.model.shift_probe MODEL KV_TYPE [GPU_LAYERS [CARD]]      exit status 0: works

Results are cached in a JSON file by the model's fingerprint, the KV type, the device and the build of llama.cpp. An
unreadable file counts as empty. What it refuses to know: what fits (engine/model/memory_plan.py).
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.backend import DecodeResult, TokenRun
from engine.model.info import ModelInfo
from engine.model.known_facts import KnownFacts, file_key
from engine.model.llama_build import llama_build

if TYPE_CHECKING:
    from engine.backends.llama import LlamaBackend

log = logging.getLogger(__name__)
KNOWN_CRASHES = frozenset({32, 96})
"""Head sizes at which a shift of quantized K kills llama-cpp-python 0.3.36 (measured, see docs/decisions/engine.md)."""
MOST_DIVERGENCE = 0.05
"""Nats: the mean Kullback-Leibler divergence from f16 cells that counts as the same model. Measured with q8_0: SmolLM2
0.001, Gemma 3 270M 0.005, tiny models of random weights up to 0.014."""
_N_CELLS, _SHIFT = 256, 64
_TEXT = """The ferry was late again, and the children on the pier had begun to count the gulls. "Nineteen," said Mara. \
Her brother shook his head. He had seen the twentieth behind the lamp, where it waited for somebody to drop a piece of \
bread. The harbour master came out of his hut with a kettle in his hand and asked whether anybody wanted tea."""
_N_READ, _N_COMPARED = 64, 24
_SHORT_OF_MEMORY = 3


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether a model and a KV type work together; `reason` says why not. These fields are keys of the cache file.

    `passing`: it says nothing of the model, and is not kept.
    """

    works: bool
    reason: str = ""
    passing: bool = False


@dataclass(frozen=True, slots=True)
class ShiftProbe:
    """Probes models and caches the results in the file `cache`. Head sizes in `known_crashes` fail without a try."""

    cache: Path | None = None
    timeout_s: float = 600.0
    known_crashes: frozenset[int] = KNOWN_CRASHES

    def usable_kv_type(
        self, path: Path, model: ModelInfo, wanted: str, n_gpu_layers: int = 0, main_gpu: int = 0
    ) -> str:
        """`wanted`, or f16 with a warning when the probe fails."""
        result = self.result(path, model, wanted, n_gpu_layers, main_gpu)
        if result.works:
            return wanted
        log.warning("KV cells of type %s do not work with this model (%s): f16 is used instead", wanted, result.reason)
        return "f16"

    def result(
        self, path: Path, model: ModelInfo, kv_type: str, n_gpu_layers: int = 0, main_gpu: int = 0
    ) -> ProbeResult:
        """The result: known beforehand, cached, or probed now."""
        known = self.known(path, model, kv_type, n_gpu_layers)
        if known is None:
            known = self.run(path, kv_type, n_gpu_layers, main_gpu)
            if not known.passing:
                self._cache.keep(_key(path, kv_type, n_gpu_layers), {"works": known.works, "reason": known.reason})
        return known

    def known(self, path: Path | None, model: ModelInfo, kv_type: str, n_gpu_layers: int = 0) -> ProbeResult | None:
        """The result without a trial; None: only a trial would tell. `path` None: the model is not here yet."""
        if kv_type == "f16" or not any(model.kv_heads):
            return ProbeResult(True)
        if model.key_length in self.known_crashes:
            return ProbeResult(
                False, f"heads of {model.key_length} values crash llama.cpp when quantized cells are moved"
            )
        return _result(self._cache.get(_key(path, kv_type, n_gpu_layers))) if path else None

    @property
    def _cache(self) -> KnownFacts:
        return KnownFacts(self.cache, "results of shift probes")

    def run(self, path: Path, kv_type: str, n_gpu_layers: int = 0, main_gpu: int = 0) -> ProbeResult:
        """Probe now, whatever is known or cached: runs this module as a child process."""
        given = [str(path.resolve()), kv_type, str(n_gpu_layers), str(main_gpu)]
        command = [sys.executable, "-m", "engine.model.shift_probe", *given]
        folder = Path(__file__).parents[2]
        try:
            child = subprocess.run(command, cwd=folder, capture_output=True, timeout=self.timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return ProbeResult(False, f"the trial did not end within {self.timeout_s:.0f} seconds")
        if child.returncode == 0:
            return ProbeResult(True)
        if child.returncode < 0:
            from_outside = -child.returncode in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
            return ProbeResult(False, f"the trial was killed by signal {-child.returncode}", from_outside)
        errors = child.stderr.decode(errors="replace").strip().splitlines()
        reason = errors[-1][:300] if errors else f"the trial ended with status {child.returncode}"
        return ProbeResult(False, reason, child.returncode == _SHORT_OF_MEMORY)


def _result(entry: object) -> ProbeResult | None:
    """A cached result; None: there is none, or not one that makes sense."""
    if not isinstance(entry, dict) or not isinstance(entry.get("works"), bool):
        return None
    return ProbeResult(entry["works"], str(entry.get("reason", "")))


def _key(path: Path, kv_type: str, n_gpu_layers: int) -> str:
    device = f"gpu ({llama_build().backend})" if n_gpu_layers else "cpu"
    return f"{file_key(path)} {kv_type} {device} {metadata.version('llama-cpp-python')}"


def problem_of(path: Path, kv_type: str, n_gpu_layers: int, main_gpu: int = 0) -> str:
    """What is wrong with these cells; empty: nothing. May abort the process: the caller is the child."""
    shifted, quantized = _try(path, kv_type, n_gpu_layers, main_gpu)
    if shifted or kv_type == "f16":
        return shifted
    _, exact = _try(path, "f16", n_gpu_layers, main_gpu)
    divergence = float(np.mean(np.sum(np.exp(exact) * (exact - quantized), axis=1)))
    if divergence <= MOST_DIVERGENCE:
        return ""
    return (
        f"it says something else than with f16 cells: {divergence:.2f} nats apart, at most {MOST_DIVERGENCE} are fine"
    )


def _try(path: Path, kv_type: str, n_gpu_layers: int, main_gpu: int) -> tuple[str, np.ndarray]:
    """What went wrong in a shift; and the log-probabilities of the next token at some places of a text."""
    from engine.backends.llama import LlamaBackend, LlamaOptions

    options = LlamaOptions(
        n_cells=_N_CELLS,
        n_sequences=2,
        n_batch=_N_CELLS,
        n_gpu_layers=n_gpu_layers,
        kv_type=kv_type,
        main_gpu=main_gpu,
        n_outputs=2,
    )
    backend = LlamaBackend(path, options)
    expected = _read(backend)
    problem = _shift(backend) if backend.can_move else ""
    backend.close()
    return problem, expected


def _read(backend: LlamaBackend) -> np.ndarray:
    """Log-probabilities (compared places, n_vocab) while a text is read."""
    tokens = (backend.tokenize(_TEXT, False) * 2)[: _N_READ + _N_COMPARED]
    backend.decode([TokenRun(0, 0, tokens[:_N_READ])])
    rows = []
    for position, token in enumerate(tokens[_N_READ:], _N_READ):
        backend.decode([TokenRun(0, position, (token,), True)])
        rows.append(backend.logits(0).astype(np.float64))
    logits = np.stack(rows)
    logits -= logits.max(axis=1, keepdims=True)
    backend.seq_remove(0, 0, -1)
    normalized: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return normalized


def _shift(backend: LlamaBackend) -> str:
    """Decode, shift, decode; returns the problem, or an empty text."""
    tokens = [token % backend.n_vocab for token in range(10, 10 + _SHIFT)]
    first = backend.decode([TokenRun(0, 0, tokens), TokenRun(0, _SHIFT, tokens, True)])
    backend.seq_remove(0, 0, _SHIFT)
    backend.seq_shift(0, _SHIFT, -1, -_SHIFT)
    second = backend.decode([TokenRun(0, _SHIFT, tokens[:1], True)])
    if (first, second) != (DecodeResult.DONE, DecodeResult.DONE):
        return f"a decode was refused ({first.name}, {second.name})"
    return "" if bool(np.isfinite(backend.logits(0)).all()) else "the logits after a shift are no numbers"


def main(arguments: list[str]) -> int:
    """Run as a program. Exit status 0: it works, 1: it does not, 2: wrong usage, 3: there is too little memory now."""
    from engine.errors import EngineError, MemoryShortage

    if not 2 <= len(arguments) <= 4:
        sys.stderr.write("usage: python -m engine.model.shift_probe MODEL KV_TYPE [GPU_LAYERS [CARD]]\n")
        return 2
    try:
        n_gpu_layers, main_gpu = (*map(int, arguments[2:]), 0, 0)[:2]
        problem = problem_of(Path(arguments[0]), arguments[1], n_gpu_layers, main_gpu)
    except MemoryShortage as error:
        sys.stderr.write(f"{error}\n")
        return _SHORT_OF_MEMORY
    except (EngineError, ValueError) as error:
        problem = str(error)
    sys.stderr.write(problem and f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
