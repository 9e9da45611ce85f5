"""`inglenook stats`: counts of people, chats, turns and bytes, and the load of the workers. No names and no texts.

To add a number: store/statistics.py, and a line in `_lines`.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError

from deploy.installation import Installation, find_installation, open_database
from store import statistics
from store.broker import client, registry

MB = 1_000_000


@click.command("stats")
@click.option("--days", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="how far to look back")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
def stats_command(days: float, as_json: bool) -> None:
    """Count people, chats, turns and bytes."""
    installation = find_installation()
    with open_database(installation) as db:
        counted = statistics.count(db, days)
    stats = {**asdict(counted), "block_bytes": _folder_bytes(installation.settings.data_dir / "blocks"), "days": days}
    stats["workers"] = _workers(installation)
    click.echo(json.dumps(stats, indent=1) if as_json else "\n".join(_lines(stats)))


def _lines(stats: dict[str, Any]) -> list[str]:
    rows = [
        ("people", f"{sum(stats['people'].values())} ({_pairs(stats['people'])}), {stats['open_invites']} invited"),
        ("played", f"{stats['active_people']} people in {stats['days']:g} days"),
        ("turns", f"{_pairs(stats['turns'])} in {stats['days']:g} days; unfinished now: {_pairs(stats['unfinished'])}"),
        ("chats", f"{stats['chats']}, with {stats['messages']} messages in {stats['wordings']} wordings"),
        ("characters", f"{stats['own_characters']} of people's own"),
        (
            "database",
            f"{_mb(stats['database_bytes'])}, of which {_mb(stats['picture_bytes'])} in {stats['pictures']} pictures",
        ),
        ("KV blocks", f"{_mb(stats['block_bytes'])} on disk (a cache)"),
    ]
    workers = stats["workers"]
    if workers is None:
        rows.append(("workers", "not known: Redis does not answer"))
    rows += [(f"worker {name}", _worker_line(worker)) for name, worker in (workers or {}).items()]
    if workers == {}:
        rows.append(("workers", "none is there"))
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {words}" for name, words in rows]


def _worker_line(worker: dict[str, Any]) -> str:
    busy = f"{worker['running']} of {worker['lanes']} lanes busy, {worker['waiting']} turns wait"
    return f"model {worker['model'][:12]}; {busy}"


def _workers(installation: Installation) -> dict[str, dict[str, Any]] | None:
    """Model and load of each worker; None where Redis does not answer."""
    try:
        with client.connect(installation.settings.redis_url) as redis:
            loads = registry.loads(redis, registry.alive(redis))
    except RedisError:
        return None
    return {
        name: {"model": view.model, "lanes": view.lanes, "running": view.running, "waiting": load - view.running}
        for name, (view, load) in loads.items()
    }


def _folder_bytes(folder: Path) -> int:
    sizes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes += (Path(parent) / name).stat().st_size
            except FileNotFoundError:
                continue  # a cache: the worker has just evicted it
    return sizes


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / MB:.1f} MB"
