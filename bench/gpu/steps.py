"""The steps of a run, in the order of their worth: what each promises, what it needs, and the command that does it.

To add a step: a module with a `main` that reads bench/gpu/asked.py and tells rows (bench/gpu/rows.py), and a line here.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.gpu.budget import Times
from bench.gpu.packages import Work

UNPACK = Times(5, 60)
BUILD_SHARE = 5 / 6
"""Of the budget, at most: what is left is for the steps."""


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement in a process of its own. `promises` are the beginnings of the names of its rows."""

    name: str
    times: Times
    promises: tuple[str, ...]
    module: str = ""
    needs_model: bool = True

    @property
    def program(self) -> str:
        """The module that is run."""
        return f"bench.gpu.{self.module or self.name}"


STEPS = (
    Step("contract", Times(8, 60), ("contract suite, llama.cpp",), needs_model=False),
    Step("model", Times(12, 60), (), "random_model", needs_model=False),
    Step("memory", Times(12, 60), ("llama.cpp's buffers / the plan", "taken of the card / the plan")),
    Step(
        "speed", Times(25, 100),
        tuple(f"{n} at once, the whole stack / llama-batched-bench" for n in (1, 2, 4)),
    ),
    Step(
        "costs", Times(20, 90),
        ("waking from RAM", "waking from disk", "eviction turn / normal turn", "bytes saved per turn"),
    ),
    Step("chains", Times(10, 60), ("random chains",), needs_model=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What all steps of a run have in common."""

    work: Work
    model: Path
    libraries: Path
    on_card: bool
    toy: bool
    threads: int

    def command(self, step: Step, seconds: float) -> list[str]:
        """The command of a step that may take so many seconds."""
        paths = {"model": self.model, "libraries": self.libraries, "folder": self.work.folder / "steps"}
        named = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
        flags = ["--toy"] * self.toy + ["--on-card"] * self.on_card
        numbers = ["--seconds", f"{seconds:.1f}", "--threads", str(self.threads)]
        return [str(self.work.python), "-m", step.program, *named, *numbers, *flags]


def build_times(budget_s: float) -> Times:
    """What the build may take of a budget."""
    return Times(30, BUILD_SHARE * budget_s)


def promised() -> list[tuple[str, str]]:
    """Each step with each of its rows, for the table of what has not been measured."""
    return [(step.name, what) for step in STEPS for what in step.promises]


def chosen(names: str) -> list[Step]:
    """The steps of these names, in the order of their worth; no names: all. Raises ValueError."""
    wanted = [name for name in names.split(",") if name]
    known = [step.name for step in STEPS]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"there is no step {unknown[0]!r}: choose some of {','.join(known)}")
    needs_model = any(step.needs_model for step in STEPS if step.name in wanted)
    return [step for step in STEPS if not wanted or step.name in wanted or (step.name == "model" and needs_model)]
