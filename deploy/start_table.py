"""The start table: what a worker has found on this machine and planned for it, in a few lines for the terminal.

What it refuses to know: how the plan came to be (engine/model/plan_search.py, budgets.py) and how it got here (in the
worker's heartbeat). The admin's dashboard shows the same facts. To add a line: a pair in `rows`; the fact it needs is a
field of EngineView (worker/engine_stats.py has the list of places).
"""

from collections.abc import Iterator

from store.broker.registry import EngineView

GIB = 1 << 30
WHY = {
    "chosen": "{file}, chosen on the page Models",
    "started": "as INGLENOOK_MODEL says",
    "demo": "the demo model",
    "instead": "instead of the chosen one: the page Models says why",
}
"""Why this model answers."""


def start_table(engine: EngineView) -> str:
    """The lines, without an end of line; empty where no plan was made (the echo backend)."""
    return "\n".join(f"  {name:<9}{words}" for name, words in rows(engine)) if engine.budget_bytes else ""


def toy_line(engine: EngineView, address: str) -> str:
    """What to do while the demo model answers; "" while another one does."""
    if engine.model_why != "demo":
        return ""
    return f"  a toy model      Choose a real one: {address}/models, or `make model NAME=qwen3.5-4b`"


def rows(engine: EngineView) -> Iterator[tuple[str, str]]:
    """Name and words of each line."""
    why = WHY.get(engine.model_why, "").format(file=engine.model_file)
    yield "model", f"{engine.model_name}, {engine.kind}{why and f' ({why})'}"
    yield "card", _card(engine)
    yield "memory", _memory(engine)
    yield "chats", f"{engine.lanes} at once, {engine.context:,} tokens each, KV cells in {engine.kv_type}"
    yield "sleeping", f"{_stories(engine)[0]} in RAM, {_stories(engine)[1]} on disk"


def _card(engine: EngineView) -> str:
    if not engine.gpu_layers and engine.device:
        return f"{engine.device} is not used, the model does not fit into its memory: the CPU computes"
    if not engine.gpu_layers:
        return "none is used, the CPU computes"
    name = ", ".join(part for part in (engine.device, engine.build, engine.driver) if part)
    return f"{name}: {engine.gpu_layers} of {engine.layers} layers"


def _memory(engine: EngineView) -> str:
    planned = engine.weight_bytes + engine.kv_bytes + engine.compute_bytes + engine.reserve_bytes
    where = "card memory" if engine.gpu_layers else "RAM"
    parts = (("weights", engine.weight_bytes), ("cells", engine.kv_bytes), ("computing", engine.compute_bytes))
    inside = ", ".join(f"{name} {n_bytes / GIB:.1f}" for name, n_bytes in (*parts, ("kept free", engine.reserve_bytes)))
    return f"{planned / GIB:.1f} of {engine.budget_bytes / GIB:.1f} GiB of {where}: {inside}"


def _stories(engine: EngineView) -> tuple[str, str]:
    """How many stories of full length each tier holds, and its size."""
    in_ram = engine.ram_budget // max(1, engine.story_in_ram)
    on_disk = engine.disk_budget // max(1, engine.story_on_disk)
    return (
        f"about {in_ram:,} full stories ({engine.ram_budget / GIB:.1f} GiB)",
        f"about {on_disk:,} ({engine.disk_budget / GIB:.1f} GiB)",
    )
