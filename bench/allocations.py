"""`python -m bench.allocations`: what llama.cpp itself would allocate for the models of bench/plans.py.

llama.cpp reads the outline of a model without its weights (`no_alloc`) and logs the sizes of its buffers.
"""

import argparse
import ctypes
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import llama_cpp as llama

from bench.model_outlines import Shape, outline
from bench.published_shapes import SHAPES
from bench.tables import table
from engine.model.info import read_model_info
from engine.model.memory_plan import GIB, MIB, MemoryPlan

_LOG: list[str] = []
_CELLS = re.compile(r" size = +([\d.]+) MiB \(")
_COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Allocated:
    """MiB, as llama.cpp logs them, of one plan: planned and real."""

    plan: MemoryPlan
    cells: float
    compute: float

    def row(self, name: str) -> list[str]:
        """For the table."""
        plan = self.plan
        kept, compute = plan.kv_bytes / MIB, plan.compute_bytes / MIB
        windows = "all" if plan.swa_full else "windows"
        return [
            name, f"{plan.n_cells:,}", windows, str(plan.n_sequences), f"{kept:,.2f}", f"{self.cells:,.2f}",
            f"{kept / self.cells:.4f}", f"{compute:,.0f}", f"{self.compute:,.0f}", f"{compute / self.compute:.2f}",
        ]  # fmt: skip


@llama.llama_log_callback
def _keep(_level: int, text: bytes, _user_data: object) -> None:
    _LOG.append(text.decode(errors="replace"))


def allocated(path: Path, plan: MemoryPlan) -> Allocated:
    """What llama.cpp says of this plan. For a process of its own: the log of llama.cpp is taken over."""
    llama.llama_log_set(_keep, ctypes.c_void_p(0))
    _LOG.clear()
    model_params = llama.llama_model_default_params()
    model_params.no_alloc, model_params.load_mode = True, 0
    model = llama.llama_model_load_from_file(str(path).encode(), model_params)
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_seq_max, params.kv_unified = plan.n_cells, plan.n_sequences, True
    params.n_batch = params.n_ubatch = plan.n_batch
    params.flash_attn_type, params.swa_full, params.n_outputs_max = 1, plan.swa_full, plan.n_outputs
    context = llama.llama_init_from_model(model, params)
    llama.llama_free(context)
    llama.llama_model_free(model)
    sizes = [sum(map(float, pattern.findall("".join(_LOG)))) for pattern in (_CELLS, _COMPUTE)]
    return Allocated(plan, *sizes)


def check(path: Path, shape: Shape) -> Iterator[Allocated]:
    """A few plans of one model: many and few sequences, all cells and windows only."""
    model = read_model_info(outline(path, shape))
    base = MemoryPlan(model, 8 * GIB, 0, "f16", 8192, 2, 24576, 512)
    for swa_full, n_sequences in product((True, False), (16, 4)):
        if swa_full or model.sliding_window:
            yield allocated(path, replace(base, swa_full=swa_full, n_sequences=n_sequences))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of models' names; none: all")
    names = parser.parse_args().names
    head = ("model", "cells", "in windows", "sequences", "planned", "real, MiB", "ratio", "computing", "real", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outline.gguf"
        wanted = [shape for shape in SHAPES if not names or any(name in shape.name for name in names)]
        print(table(head, [found.row(shape.name) for shape in wanted for found in check(path, shape)]))


if __name__ == "__main__":
    main()
