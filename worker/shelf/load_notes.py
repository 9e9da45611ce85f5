"""Load notes: crash detection for loads of a model, by a note on disk while a load goes on; and times of loads.

What it does: a model that kills the process that loads it must not kill the next one for ever. So a note is written
before a load and removed after it: a start that finds one knows how its predecessor died. A process that is asked to
stop while it loads removes the note, too: then the model is not to blame.
What it refuses to know: why a process died, and what follows from it (choice.py).
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from engine.model.known_facts import KnownFacts

log = logging.getLogger(__name__)
USUAL_BYTES_PER_S, USUAL_START_S = 250e6, 6.0
STEP_S = 5


class LoadNote:
    """The load that is going on in one worker: {"what": a text that names it, "begun": how often it has begun}."""

    def __init__(self, data_dir: Path, worker: str) -> None:
        self._path = data_dir / "model_loads" / f"{worker}.json"

    def n_deaths(self, what: str) -> int:
        """How many processes have died while they loaded this."""
        try:
            note = json.loads(self._path.read_text(encoding="utf-8"))
            return int(note["begun"]) if note["what"] == what else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def begin(self, what: str) -> None:
        """Note that it begins. A note that cannot be written (a full disk) is only missed after a crash."""
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"what": what, "begun": self.n_deaths(what) + 1}), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            log.warning("the load of a model is not noted: %s", error)

    def end(self) -> None:
        """It has ended, well or in words, or was asked to stop."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def removed_by_signals(self) -> Iterator[None]:
        """Inside, a SIGTERM or SIGINT also ends the note, at once: a load is one long call, during which no handler in
        Python runs. Only in the main thread; elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._end_on_stop, args=(ours,), name="load-note", daemon=True).start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            theirs.close()

    def _end_on_stop(self, ours: socket.socket) -> None:
        with ours:
            while received := ours.recv(16):
                if {signal.SIGTERM, signal.SIGINT} & set(received):
                    self.end()


class LoadTimes:
    """How long loads took, by model, and how fast the last one was: {name: seconds, "": bytes per second}."""

    def __init__(self, data_dir: Path, worker: str) -> None:
        self._facts = KnownFacts(data_dir / "model_loads" / f"{worker}-times.json", "times of loads")

    def learn(self, name: str, n_bytes: int, seconds: float) -> None:
        """A model of `n_bytes` was loaded in so many seconds."""
        self._facts.keep(_key(name), round(seconds, 2))
        if seconds > 0:
            self._facts.keep("", round(n_bytes / seconds))

    def about_s(self, name: str, n_bytes: int) -> int:
        """About how long a change to this model takes, from the drain to the first turn: in steps of 5 seconds."""
        known, rate = self._number(_key(name)), self._number("") or USUAL_BYTES_PER_S
        seconds = USUAL_START_S + (known or n_bytes / rate)
        return STEP_S * math.ceil(min(seconds, 3600.0) / STEP_S)

    def _number(self, key: str) -> float:
        fact = self._facts.get(key)
        return float(fact) if isinstance(fact, int | float) and 0 < fact < 1e15 else 0.0


def _key(name: str) -> str:
    return f"model {name}"
