"""The values of the admin's dashboard: running and waiting turns, workers, charts of the last minutes, usage by person.

What it does: joins queue, registry, usage and accounts into values for templates. It shows names of people, never
texts, titles or characters. Sums over days and bytes are costly queries, so they are cached for some seconds, for all
admins together. What it refuses to know: HTML and forms (dashboard.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from redis.exceptions import RedisError

from store import turns, usage
from store.broker import queue, registry
from store.broker.queue import QueuePlace
from store.broker.registry import WorkerView
from store.usage import Spent, StoredAmount
from store.views import TurnView, UserView
from web.admin import charts
from web.admin.trend import TrendSample
from web.services import Services

CHART_SPAN_S = 600.0
MAX_QUEUE_ROWS = 50
USAGE_TTL_S, STORAGE_TTL_S = 10.0, 60.0
Value = TypeVar("Value")


@dataclass(frozen=True)
class TurnRow:
    """One unfinished turn: whose, its stage, or its place in the queue."""

    name: str
    kind: str
    state: str
    worker: str
    seconds: float
    ahead: int | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class Activity:
    """The current state of the installation. `workers` is None while Redis does not answer."""

    running: tuple[TurnRow, ...]
    waiting: tuple[TurnRow, ...]
    n_waiting: int
    workers: tuple[tuple[WorkerView, int], ...] | None
    sockets: int
    seats: int


@dataclass(frozen=True)
class LineChart:
    """Lines over the last minutes as SVG paths; `top` is the highest value of the axis, `now` the newest of each
    line."""

    top: float
    paths: tuple[str, ...]
    areas: tuple[str, ...]
    now: tuple[float, ...]


@dataclass(frozen=True)
class UserUsage:
    """What one person used in the days of the report, and what is stored for them."""

    id: str
    name: str
    spent: Spent
    kept: StoredAmount


class TtlCache(Generic[Value]):
    """A cache whose entries expire after `ttl_s` seconds. Not locked: two threads may read the same value at once."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._entries: dict[Any, tuple[float, Value]] = {}

    def get(self, key: Any, read: Callable[[], Value]) -> Value:
        """The cached value of this key (a hit), else what `read()` returns (a miss)."""
        now = time.monotonic()
        entry = self._entries.get(key)
        if entry is None or now - entry[0] > self._ttl_s:
            self._entries = {other: one for other, one in self._entries.items() if now - one[0] <= self._ttl_s}
            entry = self._entries[key] = now, read()
        return entry[1]


def read_activity(services: Services, people: Sequence[UserView]) -> Activity:
    """Read the current state. `people` give the names of the owners of turns."""
    unfinished, now = turns.unfinished(services.database), time.time()
    names = {person.id: person.name for person in people}
    waiting = [turn for turn in unfinished if not turn.running]
    in_line = sorted(waiting, key=lambda turn: turn.state != "queued")[:MAX_QUEUE_ROWS]
    places = _places_in_queue(services, in_line)
    return Activity(
        running=tuple(_turn_row(turn, names, now - (turn.started_at or now)) for turn in unfinished if turn.running),
        waiting=tuple(
            _turn_row(turn, names, now - turn.created_at, place) for turn, place in zip(in_line, places, strict=True)
        ),
        n_waiting=len(waiting),
        workers=_workers(services),
        sockets=services.socket_limiter.n_open,
        seats=services.settings.sockets,
    )


def charts_of(samples: Sequence[TrendSample]) -> dict[str, LineChart]:
    """Three charts: tokens written per second, tokens read per second (another scale), turns that run and that wait."""
    return {
        "written": _chart(samples, charts.line, [[one.written_per_s for one in samples]]),
        "read": _chart(samples, charts.line, [[one.read_per_s for one in samples]]),
        "turns": _chart(samples, charts.steps, [[one.running for one in samples], [one.waiting for one in samples]]),
    }


class UsageReport:
    """Usage and storage by person, cached. One per process."""

    def __init__(self) -> None:
        self._usage: TtlCache[usage.Usage] = TtlCache(USAGE_TTL_S)
        self._kept: TtlCache[dict[str, StoredAmount]] = TtlCache(STORAGE_TTL_S)

    def usage(self, services: Services, n_days: int) -> usage.Usage:
        """Seconds and tokens by person and day."""
        return self._usage.get(n_days, lambda: usage.per_day(services.database, n_days))

    def people(self, services: Services, everybody: Sequence[UserView], n_days: int) -> tuple[UserUsage, ...]:
        """One row for each person; who kept the GPU busy the longest comes first."""
        used = self.usage(services, n_days).people
        kept = self._kept.get("", lambda: usage.stored_per_person(services.database))
        found = (
            UserUsage(one.id, one.name, sum(used.get(one.id, ()), Spent()), kept.get(one.id, StoredAmount()))
            for one in everybody
        )
        return tuple(sorted(found, key=lambda person: (-person.spent.busy_s, person.name)))


def _turn_row(turn: TurnView, names: dict[str, str], seconds: float, place: QueuePlace | None = None) -> TurnRow:
    place = place or QueuePlace()
    name = names.get(turn.owner_id, "")
    return TurnRow(name, turn.kind, turn.state, turn.worker or "", max(0.0, seconds), place.ahead, place.eta_s)


def _places_in_queue(services: Services, waiting: Sequence[TurnView]) -> list[QueuePlace]:
    try:
        return [queue.queue_place(services.redis, turn) for turn in waiting]
    except RedisError:
        return [QueuePlace() for _ in waiting]


def _workers(services: Services) -> tuple[tuple[WorkerView, int], ...] | None:
    """Each worker and the length of its queue; None while Redis does not answer."""
    try:
        loads = registry.loads(services.redis, registry.alive(services.redis))
    except RedisError:
        return None
    return tuple((view, max(0, load - view.running)) for _, (view, load) in sorted(loads.items()))


def _chart(samples: Sequence[TrendSample], draw: Callable[..., str], lines: Sequence[Sequence[float]]) -> LineChart:
    top = charts.axis_top((value for values in lines for value in values), 4.0)
    times = [one.at for one in samples]
    paths = tuple(draw(times, values, CHART_SPAN_S, top) for values in lines)
    return LineChart(
        top, paths, tuple(map(charts.area, paths)), tuple(values[-1] if values else 0.0 for values in lines)
    )
