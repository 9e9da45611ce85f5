"""What all scenarios share: who takes part and in which order, rows with a verdict, medians and spreads."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.peers.build import programs
from bench.peers.inglenook import Inglenook
from bench.peers.llama_python import LlamaPython
from bench.peers.llama_server import LlamaServer
from bench.peers.system import Setting, System
from bench.peers.talk import Words

MET, MISSED, SEEN = "met", "missed", ""
OURS, SERVER, SERVER_PLAIN, PYTHON, PYTHON_PLAIN = (
    *("inglenook", "llama-server", "llama-server, defaults"),
    *("llama-cpp-python", "llama-cpp-python, defaults"),
)
BEST = (OURS, SERVER, PYTHON)
EVERYBODY = (OURS, SERVER, SERVER_PLAIN, PYTHON, PYTHON_PLAIN)


@dataclass(frozen=True)
class Row:
    """One line of the table. `why`: what a miss comes from, and what would be needed."""

    part: str
    what: str
    measured: str
    target: str = ""
    verdict: str = SEEN
    why: str = ""

    def raw(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)


@dataclass
class Result:
    """What a part has found: rows for the table, a table or two beside it, and everything as it was measured."""

    rows: list[Row] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def judge(self, part: str, what: str, measured: str, target: str, met: bool, why: str = "") -> None:
        """A row with a target."""
        self.rows.append(Row(part, what, measured, target, MET if met else MISSED, "" if met else why))

    def see(self, part: str, what: str, measured: str) -> None:
        """A row without one."""
        self.rows.append(Row(part, what, measured))


@dataclass(frozen=True)
class Bench:
    """One run: the setting that all have in common, and how thorough it is to be."""

    setting: Setting
    words: Words
    quick: bool = False

    def pick(self, thorough: Any, quick: Any) -> Any:
        """The one or the other."""
        return quick if self.quick else thorough

    def line_up(self, names: Sequence[str], **changes: Any) -> list[Callable[[], System]]:
        """Who is measured, one after the other: there and back again, so that a drift of the machine hits all alike.

        Defaults and what comes third are measured once, in the middle; a quick run goes one way only.
        """
        back = [] if self.quick else [name for name in reversed(names) if name in (OURS, SERVER)]
        return [self._maker(name, replace(self.setting, **changes)) for name in (*names, *back)]

    def _maker(self, name: str, setting: Setting) -> Callable[[], System]:
        makers: dict[str, Callable[[], System]] = {
            OURS: lambda: Inglenook(self.words, setting, max(1, setting.people)),
            SERVER: lambda: LlamaServer(programs(), self.words, setting),
            SERVER_PLAIN: lambda: LlamaServer(programs(), self.words, setting, best=False),
            PYTHON: lambda: LlamaPython(self.words, setting),
            PYTHON_PLAIN: lambda: LlamaPython(self.words, setting, best=False),
        }
        return makers[name]


def median(values: Sequence[float]) -> float:
    """The one in the middle."""
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """95 of a hundred are below."""
    return statistics.quantiles(values, n=20, method="inclusive")[18] if len(values) > 1 else values[0]


def spread(values: Sequence[float]) -> str:
    """Median, and how far the values lie apart, in words."""
    if len(values) == 1:
        return f"{1000 * values[0]:.0f} ms"
    return f"{1000 * median(values):.0f} ms ({1000 * min(values):.0f}-{1000 * max(values):.0f}, n={len(values)})"
