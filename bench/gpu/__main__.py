"""`python3 -m bench.gpu`, or `sh FOLDER/run`: builds llama.cpp for this machine's card and measures inglenook.

It needs an NVIDIA card with its driver, nvcc (with cuBLAS), a C++ compiler, and the folder that `make bench-gpu-pack`
made; no network. Every step prints its rows as it finds them; a step that fails, or for which no time is left, is
said, and the next goes on. At the end stands a table in Markdown, which `--out` also writes to a file.
"""

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path

from bench.gpu import build, packages, session, steps
from bench.gpu.budget import Budget, Times
from bench.gpu.packages import PackError, Work
from bench.gpu.rows import Row, heard, markdown, missing
from bench.gpu.toolkit import CardFacts, ToolkitError, card

ROOT = Path(__file__).resolve().parents[2]
BUDGET_S = 480.0
TOY_MODEL, MODEL = "toy.gguf", "random-7b.gguf"
TOY_PATIENCE, N_SHOWN = 4, 15


class Run:
    """One run: its clock, its rows, its table."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.began, self.budget = given, time.monotonic(), Budget(given.budget)
        self.work = Work((given.work or given.pack.with_name(given.pack.name + ".work")).resolve())
        self.rows: list[Row] = []
        self.card: CardFacts | None = None

    @property
    def used_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """A line with the seconds since the beginning."""
        print(f"[{self.used_s:5.0f} s] {text}", flush=True)

    def note(self, row: Row) -> None:
        """Keep a row, show it, and write the table anew: a killed run leaves what it had."""
        self.rows.append(row)
        self.say(" | ".join(row.cells()))
        if self.given.out:
            self.given.out.write_text(self.table() + "\n", encoding="utf-8")

    def table(self) -> str:
        """The head and the rows."""
        return f"{self.machine()}\n\n{markdown(self.rows)}"

    def machine(self) -> str:
        """What this was measured on, in words that name no machine."""
        on = f"{self.card.name}, {self.card.total_mib:,} MiB, driver {self.card.driver}" if self.card else "no card"
        kind = ", a toy model, not to be published" if self.given.toy else ""
        return f"{on}; {build.n_jobs()} cores, Python {packages.version()}, {date.today()}{kind}"

    # -- the parts ---------------------------------------------------------------------------------------------------

    def prepare(self) -> Path | None:
        """Unpack and build; the libraries, None where that failed. Raises PackError, ToolkitError."""
        packages.check(self.given.pack)
        if self.given.backend == "cuda":
            self.card = card()
        self.say(self.machine())
        began = self.used_s
        self.say("unpacked" if packages.unpack(self.given.pack, self.work) else "unpacked already")
        self.note(Row("unpack", "packages and source unpacked", f"{self.used_s - began:.0f} s"))
        return self.given.libraries or self.build()

    def build(self) -> Path | None:
        """Compile, unless that has been done."""
        where, began = build.libraries(self.work, self.given.backend), self.used_s
        what = f"llama.cpp built for {f'sm_{self.card.architecture}' if self.card else 'the CPU'}"
        if build.is_built(where):
            self.note(Row("build", what, "before this run"))
            return where
        times = steps.build_times(self.given.budget)
        limit_s = self.budget.limit_s(times, self.used_s)
        if limit_s is None:
            self.note(Row("build", what, "not built", detail=self.budget.refusal(times, self.used_s)))
            return None
        self.say(f"compiling with {build.n_jobs()} cores, at most {limit_s:.0f} s ...")
        try:
            build.build(self.work, self.given.backend, self.card, limit_s, self.say)
        except (build.BuildError, ToolkitError) as error:
            self.note(Row("build", what, "failed", detail=str(error)))
            self.show_end_of(self.work.folder / "build.log")
            return None
        self.note(Row("build", what, f"{self.used_s - began:.0f} s", detail=f"{build.n_jobs()} cores"))
        return where

    def measure(self, libraries: Path | None) -> bool:
        """All steps; whether every one of them did what it should."""
        if libraries:
            packages.use_libraries(self.work, libraries)
        model = self.work.folder / (TOY_MODEL if self.given.toy else MODEL)
        plan = steps.Plan(
            self.work, self.given.model or model, libraries or Path(), self.given.backend != "cpu", self.given.toy,
            max(1, min(4, build.n_jobs())),
        )  # fmt: skip
        ends = [self.step(plan, step, libraries is not None) for step in steps.chosen(self.given.only)]
        return all(ends)

    def step(self, plan: steps.Plan, step: steps.Step, is_built: bool) -> bool:
        """One step, as far as there is a build, a model and time."""
        times = Times(1, TOY_PATIENCE * step.times.limit_s) if self.given.toy else step.times
        limit_s = self.budget.limit_s(times, self.used_s)
        if not is_built:
            return self.skip(step, "llama.cpp was not built")
        if step.needs_model and not plan.model.is_file():
            return self.skip(step, f"there is no model at {plan.model.name}")
        if limit_s is None:
            return self.skip(step, self.budget.refusal(times, self.used_s))
        self.say(f"{step.name}, at most {limit_s:.0f} s ...")
        found: list[Row] = []
        ended = session.run(plan.command(step, limit_s), ROOT, self.environ(plan), limit_s, self.hear(step, found))
        return self.end(step, found, ended)

    def hear(self, step: steps.Step, found: list[Row]) -> "Hearer":
        """What takes the lines of a step."""
        return Hearer(self, found, self.work.folder / f"{step.name}.log")

    def end(self, step: steps.Step, found: list[Row], ended: session.Ended) -> bool:
        """Say how a step ended, and what it did not tell."""
        how = "stopped at its limit" if ended.timed_out else f"ended with status {ended.status}: {ended.said}"
        is_well = not ended.timed_out and ended.status == 0
        self.say(f"{step.name}: {'done' if is_well else how}, {ended.seconds:.0f} s")
        if not is_well:
            self.show_end_of(self.work.folder / f"{step.name}.log")
        why = how[:300] if not is_well else "a toy run" if self.given.toy else "" if self.card else "no card"
        for row in missing(step.name, step.promises, found, why):
            self.note(row)
        return is_well

    def show_end_of(self, log: Path) -> None:
        """The last lines of a log: a machine that is lent is given back with its files."""
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        for line in lines[-N_SHOWN:]:
            print(f"    {line[:200]}", flush=True)

    def skip(self, step: steps.Step, why: str) -> bool:
        """A step that is not started."""
        self.say(f"{step.name}: skipped, {why}")
        for row in missing(step.name, step.promises, (), why):
            self.note(row)
        return False

    def environ(self, plan: steps.Plan) -> dict[str, str]:
        """Of a step: its own packages, this build, nothing of inglenook's or Python's settings here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INGLENOOK_", "PYTHON"))}
        path = os.pathsep.join([str(self.work.python.parent), kept.get("PATH", "")])
        return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "LLAMA_CPP_LIB_PATH": str(plan.libraries)}


class Hearer:
    """Sorts the lines of a step: rows are noted, all others go to its log."""

    def __init__(self, run: Run, found: list[Row], log: Path) -> None:
        self._run, self._found, self._log = run, found, log
        log.write_text("", encoding="utf-8")

    def __call__(self, line: str) -> None:
        """Hear one line."""
        if row := heard(line):
            self._found.append(row)
            self._run.note(row)
            return
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def main() -> int:
    given = read_arguments()
    run = Run(given)
    try:
        libraries = run.prepare()
        is_well = run.measure(libraries)
    except (PackError, ToolkitError, ValueError) as error:
        print(f"inglenook: {error}", file=sys.stderr)
        return 2
    print(f"\n{run.table()}\n\n{run.used_s:.0f} s of {given.budget:.0f}; the logs are in {run.work.folder}")
    return 0 if is_well else 1


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=ROOT / "build" / "gpu", help="the folder that was packed")
    parser.add_argument("--work", type=Path, help="a folder to unpack and build in; else beside it, NAME.work")
    parser.add_argument("--backend", choices=("cuda", "cpu", "vulkan"), default="cuda")
    parser.add_argument("--libraries", type=Path, help="use this build (libllama.so) and compile nothing")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for everything (480)")
    parser.add_argument("--only", default="", help="some steps: contract,memory,speed,costs,chains")
    parser.add_argument("--model", type=Path, help="a GGUF file in the place of the random one")
    parser.add_argument("--toy", action="store_true", help="a tiny model and few rounds: to try the command itself")
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    given = parser.parse_args()
    if given.backend == "vulkan" and not given.libraries:
        parser.error("--backend vulkan needs --libraries, the folder of a build: the pack has no source of Vulkan's")
    for name in ("pack", "libraries", "model", "out"):
        setattr(given, name, getattr(given, name) and getattr(given, name).resolve())
    return given


if __name__ == "__main__":
    sys.exit(main())
