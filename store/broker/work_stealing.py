"""Work stealing: moves a queued turn from its busy worker to an idle one, so that pins starve no turn.

What it does: `steal_work` is one round; `recovery.reconcile` calls it. A turn moves when it has waited STEAL_AFTER_S,
its worker has no free lane, and another worker with the same model has one. Reading a chat again costs that worker
seconds, waiting behind others may cost minutes.
What it refuses to know: where a chat belongs in the first place (registry.py).
"""

from redis import Redis

from store import turns
from store.broker import jobs, registry
from store.broker.requeue import requeue_at_front
from store.db import Database

STEAL_AFTER_S = 5.0


def steal_work(db: Database, redis: Redis, now: float) -> tuple[str, ...]:
    """Move the turns that wait long to idle lanes of the same model; returns their ids."""
    alive = registry.alive(redis)
    idle = {name: worker.lanes - load for name, (worker, load) in registry.loads(redis, alive).items()}
    moved: tuple[str, ...] = ()
    for turn in turns.unfinished(db) if len(alive) > 1 and any(n > 0 for n in idle.values()) else ():
        holder = alive.get(turn.worker or "")
        if (
            holder is None
            or turn.state != "queued"
            or now - (turn.queued_at or now) < STEAL_AFTER_S
            or idle[holder.name] > 0
        ):
            continue
        target = next((name for name in idle if idle[name] > 0 and alive[name].model == holder.model), None)
        if target is not None and jobs.position(redis, turn.id, holder.name) is not None:
            idle[target] -= 1
            moved += requeue_at_front(db, redis, [turn], target, now)
    return moved
