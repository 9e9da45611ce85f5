"""/metrics in the Prometheus format: numbers of the installation and of each worker; nothing about single people.

What it does: reads database and registry at each scrape, so every web process gives the same answer and nothing has to
be added up between them. Counters come from the workers' heartbeats and reset when a worker restarts.
Access: programs with the token of INGLENOOK_METRICS_TOKEN (`Authorization: Bearer ...`), and admins who are signed in.
To add a metric of the installation: a field of InstallationStats and its query (store/statistics.py); a row in
INSTALLATION_METRICS. To add one of a worker: a field of EngineView (store/broker/registry.py) that the worker fills
(worker/engine_stats.py; a new counter of the engine begins in engine/stats.py); a row in WORKER_METRICS.
Either needs a panel in deploy/grafana/inglenook.json: tests/web/test_metrics.py finds a metric without one.
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
# name, help text, label, values by label
INSTALLATION_METRICS: tuple[tuple[str, str, str, Callable[[InstallationStats], ValueByLabel]], ...] = (
    ("turns", "Turns that have not ended, by state.", "state", lambda stats: _all_states(stats.unfinished)),
    ("turns_last_hour", "Turns that were asked for in the last hour, by state.", "state", lambda stats: stats.turns),
    ("people", "Accounts, by role.", "role", lambda stats: stats.people),
    ("people_last_hour", "People who asked for a turn in the last hour.", "", lambda stats: {"": stats.active_people}),
    ("chats", "Chats.", "", lambda stats: {"": stats.chats}),
    ("messages", "Messages in all chats.", "", lambda stats: {"": stats.messages}),
    ("database_bytes", "Size of the database.", "", lambda stats: {"": stats.database_bytes}),
    ("picture_bytes", "Pictures in the database.", "", lambda stats: {"": stats.picture_bytes}),
)
# name, help text, whether it is a counter, label beside `worker`, values by that label
WORKER_METRICS: tuple[tuple[str, str, bool, str, Callable[[WorkerView, int], ValueByLabel]], ...] = (
    ("worker_lanes", "Turns that a worker can write at once.", False, "", lambda worker, load: {"": worker.lanes}),
    ("worker_running", "Turns that a worker works on.", False, "", lambda worker, load: {"": worker.running}),
    ("worker_queued", "Turns in its queue.", False, "", lambda worker, load: {"": max(0, load - worker.running)}),
    (
        "worker_chats_awake",
        "Chats whose session is in KV cells.",
        False,
        "",
        lambda worker, load: {"": len(worker.chats)},
    ),
    ("worker_started_seconds", "When it was started.", False, "", lambda worker, load: {"": worker.engine.since}),
    ("worker_context_tokens", "Tokens per session.", False, "", lambda worker, load: {"": worker.engine.context}),
    ("cells", "KV cells, all and used.", False, "kind", lambda worker, load: _cells(worker)),
    ("blocks_bytes", "KV blocks, by tier.", False, "tier", lambda worker, load: _tiers(worker, "_used")),
    (
        "blocks_limit_bytes",
        "Room for KV blocks, by tier.",
        False,
        "tier",
        lambda worker, load: _tiers(worker, "_budget"),
    ),
    ("blocks_evicted", "KV blocks that had to leave a tier.", True, "tier", lambda worker, load: _evicted(worker)),
    (
        "blocks_restored",
        "KV blocks that came into cells.",
        True,
        "",
        lambda worker, load: {"": worker.engine.n_restored},
    ),
    ("blocks_fetched", "KV blocks that came from disk.", True, "", lambda worker, load: {"": worker.engine.n_fetched}),
    ("blocks_refused", "KV blocks that were damaged.", True, "", lambda worker, load: {"": worker.engine.n_refused}),
    (
        "blocks_unwritten",
        "KV blocks not written to disk.",
        True,
        "",
        lambda worker, load: {"": worker.engine.n_unwritten},
    ),
    ("worker_turns", "Engine turns that ended.", True, "", lambda worker, load: {"": worker.engine.n_turns}),
    ("tokens", "Tokens, by where they came from.", True, "how", lambda worker, load: _tokens(worker)),
    ("stage_seconds", "Seconds of turns, by stage.", True, "stage", lambda worker, load: _seconds(worker)),
)


class _MetricsCollector:
    """The collector that prometheus_client calls at every scrape."""

    def __init__(self, web_services: Services) -> None:
        self._services = web_services

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        web_services = self._services
        counted, workers = _figures(web_services), _worker_loads(web_services)
        up = {"database": float(counted is not None), "redis": float(workers is not None)}
        yield _gauge("up", "Whether a part answers.", "part", up)
        yield _gauge("sockets", "Open web sockets of this web process, and its limit.", "kind", _sockets(web_services))
        yield _gauge("paused", "Whether the queue is paused.", "", {"": float(_is_paused(web_services))})
        for name, help_text, label, read in INSTALLATION_METRICS if counted else ():
            assert counted is not None
            yield _gauge(name, help_text, label, read(counted))
        yield from _worker_metrics(workers or ())


def _worker_metrics(workers: Iterable[WorkerLoad]) -> Iterable[Metric]:
    workers = tuple(workers)
    yield _gauge("workers", "Workers that are there.", "", {"": len(workers)})
    for name, help_text, grows, label, read in WORKER_METRICS:
        kind = CounterMetricFamily if grows else GaugeMetricFamily
        family = kind(f"inglenook_{name}", help_text, labels=["worker", label] if label else ["worker"])
        for view, load in workers:
            for value_label, value in read(view, load).items():
                family.add_metric([view.name, value_label] if label else [view.name], value)
        yield family


def _exposition() -> Response:
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_MetricsCollector(services()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(collectors), content_type=content_type, headers={"Cache-Control": "no-store"})


_exposition_for_admins = admin_only(_exposition)


@blueprint.get("/metrics")
def metrics() -> Any:
    """All metrics, for programs with the token and for admins."""
    return _exposition() if _has_token() else _exposition_for_admins()


def _has_token() -> bool:
    wanted = services().settings.metrics_token
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return bool(wanted) and hmac.compare_digest(shown.encode(), wanted.encode())


def _gauge(name: str, help_text: str, label: str, values: ValueByLabel) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"inglenook_{name}", help_text, labels=[label] if label else [])
    for value_label, value in values.items():
        family.add_metric([value_label] if label else [], value)
    return family


def _figures(web_services: Services) -> InstallationStats | None:
    try:
        return statistics.count(web_services.database, HOUR_DAYS)
    except SQLAlchemyError:
        return None


def _is_paused(web_services: Services) -> bool:
    """Read from the database; while it does not answer, the last known state."""
    try:
        return site_state.read(web_services.database).paused_since is not None
    except SQLAlchemyError:
        return web_services.maintenance.site_state.paused_since is not None


def _worker_loads(web_services: Services) -> tuple[WorkerLoad, ...] | None:
    try:
        return tuple(registry.loads(web_services.redis, registry.alive(web_services.redis)).values())
    except RedisError:
        return None


def _sockets(web_services: Services) -> ValueByLabel:
    return {"open": web_services.socket_limiter.n_open, "limit": web_services.settings.sockets}


def _all_states(counts: ValueByLabel) -> ValueByLabel:
    """Also the states without turns, as zeros, so that a graph has no gaps."""
    return {state: counts.get(state, 0) for state in ("waiting", "queued", "waking", "reading", "writing")}


def _cells(worker: WorkerView) -> ValueByLabel:
    return {"all": worker.engine.cells, "used": worker.engine.cells_used}


def _tiers(worker: WorkerView, what: str) -> ValueByLabel:
    return {tier: getattr(worker.engine, tier + what) for tier in ("ram", "disk")}


def _evicted(worker: WorkerView) -> ValueByLabel:
    return {"ram": worker.engine.n_evicted_ram, "disk": worker.engine.n_evicted_disk}


def _tokens(worker: WorkerView) -> ValueByLabel:
    names = ("read", "written", "kept", "shared", "restored")
    return {name: getattr(worker.engine, f"n_tokens_{name}") for name in names}


def _seconds(worker: WorkerView) -> ValueByLabel:
    return {"waking": worker.engine.wake_s, "reading": worker.engine.read_s, "writing": worker.engine.write_s}
