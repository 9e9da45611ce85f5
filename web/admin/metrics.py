"""/metrics: the figures of the house for Prometheus. Numbers and names of workers; nothing about single people.

What it does: reads database and registry when it is asked, so every web process gives the same answer and there is
nothing to add up between them. Counters come from the workers' heartbeats and begin again when a worker does.
Who may: programs with the token of INGLENOOK_METRICS_TOKEN (`Authorization: Bearer ...`), and admins who are signed in.
To add a metric: a row in HOUSE or WORKERS; deploy/grafana/inglenook.json has panels over them.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from store import site_state, statistics
from store.broker import registry
from store.broker.registry import WorkerView
from store.statistics import InstallationStats
from web.auth.accounts import admin_only
from web.services import Services, services

blueprint = Blueprint("metrics", __name__)
HOUR_DAYS = 1 / 24
WorkerLoad = tuple[WorkerView, int]
ValueByLabel = Mapping[str, float]
# name, what it says, its label, values by label
INSTALLATION_METRICS: tuple[tuple[str, str, str, Callable[[InstallationStats], ValueByLabel]], ...] = (
    ("turns", "Turns that have not ended, by state.", "state", lambda found: _all_states(found.unfinished)),
    ("turns_last_hour", "Turns that were asked for in the last hour, by state.", "state", lambda found: found.turns),
    ("people", "Accounts, by role.", "role", lambda found: found.people),
    ("people_last_hour", "People who asked for a turn in the last hour.", "", lambda found: {"": found.active_people}),
    ("chats", "Chats.", "", lambda found: {"": found.chats}),
    ("messages", "Messages in all chats.", "", lambda found: {"": found.messages}),
    ("database_bytes", "Size of the database.", "", lambda found: {"": found.database_bytes}),
    ("picture_bytes", "Pictures in the database.", "", lambda found: {"": found.picture_bytes}),
)
# name, what it says, whether it only grows, its second label, values by that label
WORKER_METRICS: tuple[tuple[str, str, bool, str, Callable[[WorkerView, int], ValueByLabel]], ...] = (
    ("worker_lanes", "Turns that a worker can write at once.", False, "", lambda one, load: {"": one.lanes}),
    ("worker_running", "Turns that a worker works on.", False, "", lambda one, load: {"": one.running}),
    ("worker_queued", "Turns in its queue.", False, "", lambda one, load: {"": max(0, load - one.running)}),
    ("worker_chats_awake", "Chats whose session is in KV cells.", False, "", lambda one, load: {"": len(one.chats)}),
    ("worker_started_seconds", "When it was started.", False, "", lambda one, load: {"": one.engine.since}),
    ("worker_context_tokens", "Tokens per session.", False, "", lambda one, load: {"": one.engine.context}),
    ("cells", "KV cells, all and used.", False, "kind", lambda one, load: _cells(one)),
    ("blocks_bytes", "KV blocks, by tier.", False, "tier", lambda one, load: _tiers(one, "_used")),
    ("blocks_limit_bytes", "Room for KV blocks, by tier.", False, "tier", lambda one, load: _tiers(one, "_budget")),
    ("blocks_evicted", "KV blocks that had to leave a tier.", True, "tier", lambda one, load: _evicted(one)),
    ("blocks_restored", "KV blocks that came into cells.", True, "", lambda one, load: {"": one.engine.n_restored}),
    ("blocks_fetched", "KV blocks that came from disk.", True, "", lambda one, load: {"": one.engine.n_fetched}),
    ("blocks_refused", "KV blocks that were damaged.", True, "", lambda one, load: {"": one.engine.n_refused}),
    ("blocks_unwritten", "KV blocks not written to disk.", True, "", lambda one, load: {"": one.engine.n_unwritten}),
    ("worker_turns", "Engine turns that ended.", True, "", lambda one, load: {"": one.engine.n_turns}),
    ("tokens", "Tokens, by where they came from.", True, "how", lambda one, load: _tokens(one)),
    ("stage_seconds", "Seconds of turns, by stage.", True, "stage", lambda one, load: _seconds(one)),
)


class _MetricsCollector:
    """What Prometheus' library asks at every visit."""

    def __init__(self, here: Services) -> None:
        self._services = here

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        here = self._services
        counted, workers = _figures(here), _worker_loads(here)
        up = {"database": float(counted is not None), "redis": float(workers is not None)}
        yield _gauge("up", "Whether a part answers.", "part", up)
        yield _gauge("sockets", "Open web sockets of this web process, and its limit.", "kind", _sockets(here))
        yield _gauge("paused", "Whether the queue is paused.", "", {"": float(_is_paused(here))})
        for name, says, label, read in INSTALLATION_METRICS if counted else ():
            assert counted is not None
            yield _gauge(name, says, label, read(counted))
        yield from _worker_metrics(workers or ())


def _worker_metrics(workers: Iterable[WorkerLoad]) -> Iterable[Metric]:
    workers = tuple(workers)
    yield _gauge("workers", "Workers that are there.", "", {"": len(workers)})
    for name, says, grows, label, read in WORKER_METRICS:
        kind = CounterMetricFamily if grows else GaugeMetricFamily
        family = kind(f"inglenook_{name}", says, labels=["worker", label] if label else ["worker"])
        for view, load in workers:
            for value_label, value in read(view, load).items():
                family.add_metric([view.name, value_label] if label else [view.name], value)
        yield family


def _exposition() -> Response:
    found = CollectorRegistry(auto_describe=False)
    found.register(_MetricsCollector(services()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(found), content_type=content_type, headers={"Cache-Control": "no-store"})


_exposition_for_admins = admin_only(_exposition)


@blueprint.get("/metrics")
def metrics() -> Any:
    """All figures, to who may read them."""
    return _exposition() if _has_token() else _exposition_for_admins()


def _has_token() -> bool:
    wanted = services().settings.metrics_token
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return bool(wanted) and hmac.compare_digest(shown.encode(), wanted.encode())


def _gauge(name: str, says: str, label: str, values: ValueByLabel) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"inglenook_{name}", says, labels=[label] if label else [])
    for value_label, value in values.items():
        family.add_metric([value_label] if label else [], value)
    return family


def _figures(here: Services) -> InstallationStats | None:
    try:
        return statistics.count(here.database, HOUR_DAYS)
    except SQLAlchemyError:
        return None


def _is_paused(here: Services) -> bool:
    """What the database says; while it does not answer, what it said last."""
    try:
        return site_state.read(here.database).paused_since is not None
    except SQLAlchemyError:
        return here.maintenance.facts.paused_since is not None


def _worker_loads(here: Services) -> tuple[WorkerLoad, ...] | None:
    try:
        return tuple(registry.loads(here.redis, registry.alive(here.redis)).values())
    except RedisError:
        return None


def _sockets(here: Services) -> ValueByLabel:
    return {"open": here.socket_limiter.n_open, "limit": here.settings.sockets}


def _all_states(found: ValueByLabel) -> ValueByLabel:
    """Also those in which there is none: a line of zeros says more than a gap."""
    return {state: found.get(state, 0) for state in ("waiting", "queued", "waking", "reading", "writing")}


def _cells(one: WorkerView) -> ValueByLabel:
    return {"all": one.engine.cells, "used": one.engine.cells_used}


def _tiers(one: WorkerView, what: str) -> ValueByLabel:
    return {tier: getattr(one.engine, tier + what) for tier in ("ram", "disk")}


def _evicted(one: WorkerView) -> ValueByLabel:
    return {"ram": one.engine.n_evicted_ram, "disk": one.engine.n_evicted_disk}


def _tokens(one: WorkerView) -> ValueByLabel:
    names = ("read", "written", "kept", "shared", "restored")
    return {name: getattr(one.engine, f"n_tokens_{name}") for name in names}


def _seconds(one: WorkerView) -> ValueByLabel:
    return {"waking": one.engine.wake_s, "reading": one.engine.read_s, "writing": one.engine.write_s}
