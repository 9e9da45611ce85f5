"""`inglenook stats`: how much of everything there is, and who is at work. Numbers and models, no names and no texts."""

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
    found = {**asdict(counted), "block_bytes": _folder_bytes(installation.settings.data_dir / "blocks"), "days": days}
    found["workers"] = _workers(installation)
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    rows = [
        ("people", f"{sum(found['people'].values())} ({_pairs(found['people'])}), {found['open_invites']} invited"),
        ("played", f"{found['active_people']} people in {found['days']:g} days"),
        ("turns", f"{_pairs(found['turns'])} in {found['days']:g} days; unfinished now: {_pairs(found['unfinished'])}"),
        ("chats", f"{found['chats']}, with {found['messages']} messages in {found['wordings']} wordings"),
        ("characters", f"{found['own_characters']} of people's own"),
        (
            "database",
            f"{_mb(found['database_bytes'])}, of which {_mb(found['picture_bytes'])} in {found['pictures']} pictures",
        ),
        ("KV blocks", f"{_mb(found['block_bytes'])} on disk (a cache)"),
    ]
    workers = found["workers"]
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
    """What each worker says about itself; None where Redis does not answer."""
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
                continue  # a cache: the worker has just thrown it away
    return sizes


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "none"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / MB:.1f} MB"
