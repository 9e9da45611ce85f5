"""What the admin's page shows of this moment: who holds the card, who waits, the workers, the last minutes, who used
how much.

What it does: joins queue, registry, usage and people into values for templates. Names yes; texts, titles and characters
no: it never reads them. What it refuses to know: HTML and forms (dashboard.py).
Sums over days and bytes cost the database something, so they are kept for some seconds, for all admins together.
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
    """A turn of somebody: what it is doing, or where it stands."""

    name: str
    kind: str
    state: str
    worker: str
    seconds: float
    ahead: int | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class Activity:
    """This moment. `workers` is None while Redis does not answer."""

    running: tuple[TurnRow, ...]
    waiting: tuple[TurnRow, ...]
    n_waiting: int
    workers: tuple[tuple[WorkerView, int], ...] | None
    sockets: int
    seats: int


@dataclass(frozen=True)
class LineChart:
    """Lines over the last minutes: paths, and the number at the top."""

    top: float
    paths: tuple[str, ...]
    areas: tuple[str, ...]
    now: tuple[float, ...]


@dataclass(frozen=True)
class UserUsage:
    """Who used how much in the days that are looked at."""

    id: str
    name: str
    spent: Spent
    kept: StoredAmount


class TtlCache(Generic[Value]):
    """Values that are read again when they are older than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[Any, tuple[float, Value]] = {}

    def get(self, key: Any, read: Callable[[], Value]) -> Value:
        """What was read under this key, or is read now."""
        now = time.monotonic()
        kept = self._known.get(key)
        if kept is None or now - kept[0] > self._seconds:
            self._known = {name: one for name, one in self._known.items() if now - one[0] <= self._seconds}
            kept = self._known[key] = now, read()
        return kept[1]


def read_activity(services: Services, people: Sequence[UserView]) -> Activity:
    """See how things are."""
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
    """Tokens written and read per second (far more are read than written at a time); turns that run and that wait."""
    return {
        "written": _chart(samples, charts.line, [[one.written_per_s for one in samples]]),
        "read": _chart(samples, charts.line, [[one.read_per_s for one in samples]]),
        "turns": _chart(samples, charts.steps, [[one.running for one in samples], [one.waiting for one in samples]]),
    }


class UsageReport:
    """Who used how much, of all people, for the days that somebody looks at. One per process."""

    def __init__(self) -> None:
        self._usage: TtlCache[usage.Usage] = TtlCache(USAGE_TTL_S)
        self._kept: TtlCache[dict[str, StoredAmount]] = TtlCache(STORAGE_TTL_S)

    def usage(self, services: Services, n_days: int) -> usage.Usage:
        """Seconds and tokens by person and day."""
        return self._usage.get(n_days, lambda: usage.per_day(services.database, n_days))

    def people(self, services: Services, everybody: Sequence[UserView], n_days: int) -> tuple[UserUsage, ...]:
        """Everybody, who kept the card busy the longest first."""
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
    """Each worker, and how many turns stand in its queue."""
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
