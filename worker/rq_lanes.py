"""Lanes: RQ workers in threads of one process, one per turn that can be decoded at the same time.

What it does: takes job ids from this worker's one queue and calls the job function, for ever, through every outage of
Redis, until told to drain.
What it refuses to know: turns, SQL, the engine. A job is a name and an id.
How: RQ's `SimpleWorker` with exactly four overrides (time limit by a timer, no signal handlers, a dequeue that polls
so that draining is seen, a heartbeat once a second in one round trip). Those four lean on RQ's inside:
tests/worker/test_rq_seams.py holds them, and rq is pinned.
RQ's own maintenance never runs context: its clean-up of started jobs is not atomic and may put a job into the queue
twice. The truth about unfinished turns is in SQL, and the reaper rebuilds the queue from there.
When extending: keep ONE queue per lane. With several, RQ pops by BLPOP and a killed worker loses the job in its hand.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout, StopRequested
from rq.job import Job
from rq.timeouts import TimerDeathPenalty
from rq.utils import now as rq_now

log = logging.getLogger(__name__)

BEAT_S = 1.0  # RQ says "I am there" four times a job, in three round trips each
POLL_S = 1  # how long one blocking pop waits, hence how soon draining is seen
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
LANE_TTL_S = 16  # silent for this long and a minute: RQ forgets the lane. Its socket timeout (11 s) follows from it


class RqLane(SimpleWorker):  # type: ignore[misc]
    """One RQ worker that lives in a thread and stops when `draining` is set."""

    death_penalty_class = TimerDeathPenalty  # the default one uses SIGALRM, which only the main thread may

    def __init__(self, queue: Queue, name: str, draining: threading.Event) -> None:
        super().__init__(
            [queue],
            name=name,
            connection=queue.connection,
            job_class=queue.job_class,
            serializer=queue.serializer,
            log_job_description=False,
            worker_ttl=LANE_TTL_S,
            maintenance_interval=10 * 365 * 86400,
        )
        self.last_cleaned_at = rq_now()  # with the interval above: RQ's maintenance is never due
        self.log_result_lifespan = False
        self._draining = draining
        self._beat_at = -BEAT_S

    def _install_signal_handlers(self) -> None:
        """Do nothing: signals belong to the main thread."""

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Tell RQ that this lane is there. With a `pipeline` it is part of something larger, and always said."""
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            self._beat_at = -BEAT_S  # a job may have made the lane's time to live long: say the short one again soon
        elif time.monotonic() - self._beat_at >= BEAT_S:
            with self.connection.pipeline(transaction=False) as pipe:
                super().heartbeat(timeout, pipe)
                pipe.execute()
            self._beat_at = time.monotonic()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Pop the next job, looking at `draining` every second; raises StopRequested when it is set."""
        while not self._draining.is_set():
            self.heartbeat()
            try:
                found: tuple[Job, Queue] | None = self.queue_class.dequeue_any(
                    self.queues,
                    POLL_S,
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                    death_penalty_class=self.death_penalty_class,
                )
            except DequeueTimeout:
                continue
            if found:
                found[0].redis_server_version = self.get_redis_server_version()
            return found
        self.pubsub_thread.stop()  # else the farewell below takes RQ a second of waiting for that thread
        raise StopRequested


def close_lane(lane: RqLane) -> None:
    """Close what a lane leaves behind when it ends badly: its connections, and its thread for RQ's commands."""
    if lane.pubsub_thread is not None:
        lane.pubsub_thread.stop()
    try:
        if lane.pubsub is not None:
            lane.pubsub.close()
        lane.connection.close()
    except (RedisError, OSError) as error:
        log.debug("lane %s: its connection did not close: %s", lane.name, error)


class LaneThread(threading.Thread):
    """Keeps one lane alive: when Redis goes away the lane ends, and a new one is made as soon as it is back."""

    def __init__(self, name: str, make_lane: Callable[[str], RqLane], draining: threading.Event) -> None:
        super().__init__(name=f"lane-{name}", daemon=True)
        self._lane_name, self._make_lane, self._draining = name, make_lane, draining

    def run(self) -> None:
        """Work until draining; never let an error end the thread."""
        pause_s = FIRST_PAUSE_S
        while not self._draining.is_set():
            started = time.monotonic()
            self._work_once()
            if time.monotonic() - started > 10:
                pause_s = FIRST_PAUSE_S
            self._draining.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _work_once(self) -> None:
        lane = None
        try:
            # a name is used once: RQ refuses a second worker of the same name while the first seems alive
            lane = self._make_lane(f"{self._lane_name}.{uuid.uuid4().hex[:8]}")
            lane.work(logging_level=None)
        except (RedisError, OSError) as error:
            log.warning("lane %s: Redis does not answer (%s), trying again", self._lane_name, error)
        except Exception:
            log.exception("lane %s ended with an error, starting it again", self._lane_name)
        finally:
            if lane is not None:
                close_lane(lane)


def start_lanes(names: Sequence[str], open_queue: Callable[[], Queue], draining: threading.Event) -> list[LaneThread]:
    """Start one thread per name. `open_queue` gives each lane the queue on a Redis connection of its own."""

    def make_lane(name: str) -> RqLane:
        return RqLane(open_queue(), name, draining)

    threads = [LaneThread(name, make_lane, draining) for name in names]
    for thread in threads:
        thread.start()
    return threads
