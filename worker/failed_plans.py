"""Failed plans: a note of the memory plans with which the card failed, so that the next start plans smaller.

How a card fails, seen on Vulkan and read in the source of CUDA's part: too little memory at the start is a refusal
(MemoryShortage); later it is a code of a decode (ComputeError) or the end of the process by SIGABRT, as is a card that
was lost. An abort leaves no time for Python, so while a plan is at work a file is open for `faulthandler`, which writes
into it from the signal's handler; the newest errors of llama.cpp stand before. A process that was killed, or has lost
its power, leaves no such words: that is not the plan's fault.

Each failure takes an eighth of the budget, at most four times; after a week it is forgotten, and at once for another
model or other settings of memory. What it refuses to know: how a plan is made. To add a sign of a failing card:
`_fault`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

from engine import ComputeError, MemoryShortage, ModelError
from engine.model.memory_plan import MemoryPlan

log = logging.getLogger(__name__)
SHARE_KEPT = 7 / 8
MOST_FAILURES = 4
REMEMBERED_S = 7 * 86_400.0
_LLAMA_LOG = logging.getLogger("engine.backends.llama")
_UNNOTED = "failures of the card are not noted: %s"
_FATAL = "Fatal Python error: "
Loaded = TypeVar("Loaded")


class FailedPlans:
    """The failures of one worker with one `subject`: a text that names the model and the settings of memory."""

    def __init__(self, data_dir: Path, worker_name: str, subject: str) -> None:
        folder = data_dir / "failed_plans"
        self._notes, self._crash = folder / f"{worker_name}.json", folder / f"{worker_name}.crash"
        self._subject = subject
        self._file: IO[str] | None = None
        self._words: logging.StreamHandler[IO[str]] | None = None

    # -- for the start ----------------------------------------------------------------------------------------------

    def load(self, plan: Callable[[float], MemoryPlan], load: Callable[[MemoryPlan], Loaded]) -> Loaded:
        """Plan and load. `plan` makes the plan for a share of the card; where that fails for want of memory, a smaller
        one is tried. Raises what `plan` raises, and the last MemoryShortage."""
        self._take_over()
        self._say_share()
        found = self._planned(plan)
        while found.on_gpu:
            self._watch()
            try:
                return load(found)
            except MemoryShortage as error:
                enough = len(self.reasons()) >= MOST_FAILURES
                self.end()
                self.record(str(error))
                failed, found = found, self._planned(plan)
                if enough or found == failed:
                    raise
        return load(found)

    def _planned(self, plan: Callable[[float], MemoryPlan]) -> MemoryPlan:
        """The plan for the share; where there is none for so little, the smallest that there is."""
        for n in range(len(self.reasons()), 0, -1):
            with contextlib.suppress(ModelError):
                return plan(float(SHARE_KEPT**n))
        return plan(1.0)

    def share(self) -> float:
        """How much of its budget the next plan may use."""
        return float(SHARE_KEPT ** len(self.reasons()))

    def reasons(self, now: float | None = None) -> list[str]:
        """Why the card has failed lately, at most MOST_FAILURES, the newest last."""
        since = (time.time() if now is None else now) - REMEMBERED_S
        return [str(why) for when, why in self._read() if when >= since][-MOST_FAILURES:]

    def record(self, reason: str) -> None:
        """Note a failure; where that cannot be written (a full disk), it is only logged."""
        log.error("the card failed: %s", reason)
        notes = [*self._read(), (time.time(), reason)][-MOST_FAILURES:]
        new = self._notes.with_suffix(".new")
        try:
            self._notes.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"subject": self._subject, "failures": notes}), encoding="utf-8")
            new.replace(self._notes)
        except OSError as error:
            log.warning(_UNNOTED, error)

    def note(self, failure: BaseException | None) -> None:
        """Note why an engine died, if it was the card."""
        if isinstance(failure, ComputeError):
            self.record(str(failure))

    # -- while the plan is at work ----------------------------------------------------------------------------------

    def end(self) -> None:
        """The plan has done its work, or has failed in words: nothing is to be learned from the file any more."""
        if self._file is not None:
            faulthandler.disable()
            if self._words is not None:
                _LLAMA_LOG.removeHandler(self._words)
            self._file.close()
            self._file = None
            self._crash.unlink(missing_ok=True)

    def _watch(self) -> None:
        """Let a crash leave words for the next start."""
        try:
            self._crash.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._crash.open("w", encoding="utf-8")
        except OSError as error:
            log.warning(_UNNOTED, error)
            return
        faulthandler.enable(self._file, all_threads=False)
        self._words = logging.StreamHandler(self._file)
        self._words.setLevel(logging.ERROR)
        _LLAMA_LOG.addHandler(self._words)

    def _take_over(self) -> None:
        """Note what the file of a predecessor says."""
        try:
            words = self._crash.read_text(encoding="utf-8", errors="replace")
            self._crash.unlink()
        except OSError:
            return
        if fault := _fault(words):
            self.record(fault)

    def _say_share(self) -> None:
        share, reasons = self.share(), self.reasons()
        if reasons:
            text = "the card has failed lately (%d times, %s): plans have %.0f %% of its budget; remove %s to forget it"
            log.warning(text, len(reasons), reasons[-1], 100 * share, self._notes)

    def _read(self) -> list[tuple[float, str]]:
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            return [(float(when), why) for when, why in notes["failures"]] if notes["subject"] == self._subject else []
        except (OSError, ValueError, KeyError, TypeError):
            return []


def _fault(words: str) -> str:
    """What a crash file says: empty unless the process was aborted in a backend, or in a thread without Python."""
    said, fatal, trace = words.partition(_FATAL)
    if not fatal or ("File " in trace and "backends" not in trace):
        return ""
    complaints = "; ".join(said.split("\n")).strip("; ")
    return f"{trace.splitlines()[0]}{': ' if complaints else ''}{complaints[-400:]}"
