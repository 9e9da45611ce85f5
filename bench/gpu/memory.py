"""Step: the 7B-shaped model under a plan of 6 GB: what it takes of the card with all cells full, beside the plan."""

import logging
import random
import re
import sys
from collections.abc import Iterable

from bench.gpu.asked import Asked, ask
from bench.gpu.rows import Row, judged, tell
from bench.gpu.toolkit import used_mib
from engine.backend import DecodeResult, TokenRun
from engine.backends.llama import LlamaBackend
from engine.model.loader import load_model, plan_model
from engine.model.memory_plan import GIB, MIB, MemoryPlan
from engine.model.plan_search import PlanRequest

CARD_GB, TOY_CONTEXT = 6.0, 512
_BUFFER = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")
_IN_RAM = re.compile(r"^CPU|_Host$")


class BufferLog(logging.Handler):
    """Keeps what llama.cpp logs of its buffers."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One line of llama.cpp."""
        self.lines.append(record.getMessage())

    def __enter__(self) -> "BufferLog":
        log = logging.getLogger("engine.backends.llama")
        log.addHandler(self)
        log.setLevel(logging.DEBUG)
        log.propagate = False
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("engine.backends.llama").removeHandler(self)


def buffers(lines: Iterable[str], on_card: bool) -> dict[str, float]:
    """MiB of each kind of buffer on the card (without one: in RAM), as llama.cpp logged them."""
    sizes: dict[str, float] = {}
    for line in lines:
        if (found := _BUFFER.search(line)) and bool(_IN_RAM.search(found[1])) is not on_card:
            sizes[found[2]] = sizes.get(found[2], 0.0) + float(found[3])
    return sizes


def fill(backend: LlamaBackend, plan: MemoryPlan) -> int:
    """Decode full batches until every lane's context is full; returns the tokens."""
    draw = random.Random(0)
    for lane in range(plan.lanes):
        for start in range(0, plan.context, backend.n_batch):
            n = min(backend.n_batch, plan.context - start)
            tokens = tuple(draw.randrange(3, 259) for _ in range(n))
            result = backend.decode([TokenRun(lane, start, tokens, start + n == plan.context)])
            if result is not DecodeResult.DONE:
                raise RuntimeError(f"llama.cpp answered {result.name} with {lane * plan.context + start} cells in use")
    return plan.lanes * plan.context


def measure(asked: Asked) -> None:
    """Plan, load, fill, and tell the rows."""
    layers, context = -1 if asked.on_card else 0, TOY_CONTEXT if asked.toy else 0
    plan = plan_model(asked.model, PlanRequest(context, gpu_layers=layers, kv_types=("f16",)), int(CARD_GB * GIB))
    tell(Row("memory", "the plan", f"{plan.lanes} x {plan.context}, {_layers(plan)}", detail=_parts(plan)))
    before = used_mib() if asked.on_card else None
    with BufferLog() as log:
        backend = load_model(asked.model, plan, asked.threads)
        loaded = used_mib() if asked.on_card else None
        n_tokens = fill(backend, plan)
        full = used_mib() if asked.on_card else None
        backend.close()
    tell_buffers(plan, buffers(log.lines, plan.on_gpu))
    if before is not None and loaded is not None and full is not None:
        tell_card(plan, loaded - before, full - before, n_tokens)


def tell_buffers(plan: MemoryPlan, sizes: dict[str, float]) -> None:
    """llama.cpp's own buffers beside the plan without what it keeps free."""
    planned, real = (plan.total_bytes - plan.reserve_bytes) / MIB, sum(sizes.values())
    detail = ", ".join(f"{kind} {size:,.0f} MiB" for kind, size in sizes.items())
    measured = f"{real / planned:.3f} ({real:,.0f} / {planned:,.0f} MiB)"
    tell(judged("memory", "llama.cpp's buffers / the plan", measured, "<= 1", bool(sizes) and real <= planned, detail))


def tell_card(plan: MemoryPlan, loaded: int, full: int, n_tokens: int) -> None:
    """What nvidia-smi counts, the driver's own included, beside the whole plan."""
    planned = plan.total_bytes / MIB
    detail = f"nvidia-smi: {loaded:,} MiB when loaded, {full:,} MiB with {n_tokens:,} tokens in the cells"
    measured = f"{full / planned:.3f} ({full:,} / {planned:,.0f} MiB)"
    tell(judged("memory", "taken of the card / the plan", measured, "<= 1", full <= planned, detail))


def _layers(plan: MemoryPlan) -> str:
    everything = plan.model.n_layers + 1
    return f"{min(plan.n_gpu_layers, everything)} of {everything} layers" if plan.on_gpu else "all in RAM"


def _parts(plan: MemoryPlan) -> str:
    sizes = {"weights": plan.weight_bytes, "KV": plan.kv_bytes, "computing": plan.compute_bytes}
    parts = ", ".join(f"{name} {size / MIB:,.0f} MiB" for name, size in sizes.items())
    return f"{parts}, kept free {plan.reserve_bytes / MIB:,.0f} of {plan.budget_bytes / MIB:,.0f} MiB"


def main() -> int:
    measure(ask(__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
