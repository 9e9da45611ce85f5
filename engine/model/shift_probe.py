"""Shift probe: tests in a child process whether llama.cpp crashes when it shifts quantized KV cells of a model.

llama.cpp aborts on some combinations instead of refusing them (quantized K at head sizes 32 and 96), and an aborted
process cannot fall back to anything. So before a worker uses quantized cells, a child process loads the model, decodes,
shifts and decodes again; if one of them crashes, it is the child. Known crashes are not tried, and f16 cells, which
always work, are not probed.

    python -m engine.model.shift_probe MODEL KV_TYPE [GPU_LAYERS]      exit status 0: works

Results are cached in a JSON file by the model's fingerprint, the KV type, the device and the build of llama.cpp. An
unreadable file counts as empty. What it refuses to know: what fits (engine/model/memory_plan.py).
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from engine.model.info import ModelInfo

log = logging.getLogger(__name__)
KNOWN_CRASHES = frozenset({32, 96})
"""Head sizes at which a shift of quantized K kills llama-cpp-python 0.3.36 (measured, see docs/decisions/engine.md)."""
_N_CELLS, _SHIFT = 256, 64
_SAMPLE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether a model and a KV type work together; `reason` says why not. The fields are keys of the cache file."""

    works: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ShiftProbe:
    """Probes models and caches the results in the file `cache`. Head sizes in `known_crashes` fail without a try."""

    cache: Path | None = None
    timeout_s: float = 600.0
    known_crashes: frozenset[int] = KNOWN_CRASHES

    def usable_kv_type(self, path: Path, model: ModelInfo, wanted: str, n_gpu_layers: int = 0) -> str:
        """`wanted`, or f16 with a warning when the probe fails."""
        result = self.result(path, model, wanted, n_gpu_layers)
        if result.works:
            return wanted
        log.warning("KV cells of type %s do not work with this model (%s): f16 is used instead", wanted, result.reason)
        return "f16"

    def result(self, path: Path, model: ModelInfo, kv_type: str, n_gpu_layers: int = 0) -> ProbeResult:
        """The result: known beforehand, cached, or probed now."""
        if kv_type == "f16" or not any(model.kv_heads):
            return ProbeResult(True)
        if model.key_length in self.known_crashes:
            return ProbeResult(
                False, f"heads of {model.key_length} values crash llama.cpp when quantized cells are moved"
            )
        key = _key(path, kv_type, n_gpu_layers)
        cached = self._read_cache().get(key)
        if cached is None:
            cached = self.run(path, kv_type, n_gpu_layers)
            self._write_cache(key, cached)
        return cached

    def run(self, path: Path, kv_type: str, n_gpu_layers: int = 0) -> ProbeResult:
        """Probe now, whatever is known or cached: runs this module as a child process."""
        command = [sys.executable, "-m", "engine.model.shift_probe", str(path.resolve()), kv_type, str(n_gpu_layers)]
        folder = Path(__file__).parents[2]
        try:
            child = subprocess.run(command, cwd=folder, capture_output=True, timeout=self.timeout_s, check=False)
        except subprocess.TimeoutExpired:
            return ProbeResult(False, f"the trial did not end within {self.timeout_s:.0f} seconds")
        if child.returncode == 0:
            return ProbeResult(True)
        if child.returncode < 0:
            return ProbeResult(False, f"the trial was killed by signal {-child.returncode}")
        errors = child.stderr.decode(errors="replace").strip().splitlines()
        return ProbeResult(False, errors[-1][:300] if errors else f"the trial ended with status {child.returncode}")

    def _read_cache(self) -> dict[str, ProbeResult]:
        try:
            entries = json.loads(self.cache.read_text()) if self.cache else {}
            return {key: ProbeResult(bool(entry["works"]), str(entry["reason"])) for key, entry in entries.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("the remembered probes in %s are not usable (%s): they are made again", self.cache, error)
            return {}

    def _write_cache(self, key: str, result: ProbeResult) -> None:
        if self.cache is None:
            return
        entries = {**self._read_cache(), key: result}
        text = json.dumps({name: asdict(entry) for name, entry in entries.items()}, indent=1)
        try:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.cache.with_name(f"{self.cache.name}.{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(self.cache)
        except OSError as error:
            log.warning("a probe cannot be remembered in %s (%s): it will be made again", self.cache, error)


def _key(path: Path, kv_type: str, n_gpu_layers: int) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for offset in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    device = "gpu" if n_gpu_layers else "cpu"
    return f"{digest.hexdigest()[:32]} {kv_type} {device} {metadata.version('llama-cpp-python')}"


def shift_once(path: Path, kv_type: str, n_gpu_layers: int) -> str:
    """Decode, shift, decode; returns the problem, or an empty text. May abort the process: the caller is the child."""
    import numpy as np

    from engine.backend import DecodeResult, TokenRun
    from engine.backends.llama import LlamaBackend, LlamaOptions

    options = LlamaOptions(
        n_cells=_N_CELLS, n_sequences=2, n_batch=_N_CELLS, n_gpu_layers=n_gpu_layers, kv_type=kv_type
    )
    backend = LlamaBackend(path, options)
    if not backend.can_move:
        return ""
    tokens = [token % backend.n_vocab for token in range(10, 10 + _SHIFT)]
    first = backend.decode([TokenRun(0, 0, tokens), TokenRun(0, _SHIFT, tokens, True)])
    backend.seq_remove(0, 0, _SHIFT)
    backend.seq_shift(0, _SHIFT, -1, -_SHIFT)
    second = backend.decode([TokenRun(0, _SHIFT, tokens[:1], True)])
    if (first, second) != (DecodeResult.DONE, DecodeResult.DONE):
        return f"a decode was refused ({first.name}, {second.name})"
    return "" if bool(np.isfinite(backend.logits(0)).all()) else "the logits after a shift are no numbers"


def main(arguments: list[str]) -> int:
    """Run as a program. Exit status 0: it works, 1: it does not, 2: wrong usage."""
    from engine.errors import EngineError

    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python -m engine.model.shift_probe MODEL KV_TYPE [GPU_LAYERS]\n")
        return 2
    try:
        problem = shift_once(Path(arguments[0]), arguments[1], int(arguments[2]) if len(arguments) == 3 else 0)
    except (EngineError, ValueError) as error:
        problem = str(error)
    sys.stderr.write(problem and f"{problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
