"""RQ lanes: RQ workers in threads of one process, one for each turn that the engine can decode at the same time.

What it does: takes job ids from this worker's one queue and calls the job function, through every outage of Redis,
until the worker drains.
How: RQ's `SimpleWorker` with exactly four overrides (time limit by a timer, no signal handlers, a dequeue that polls
so that draining is seen, a heartbeat once a second in one round trip). Those four depend on RQ's internals:
tests/worker/test_rq_seams.py holds them, and rq is pinned.
RQ's own maintenance never runs here: its clean-up of started jobs is not atomic and may enqueue a job twice. The truth
about unfinished turns is in SQL, and recovery (store/broker/recovery.py) rebuilds the queue from there.
Keep ONE queue per lane: with several, RQ pops by BLPOP, and a killed worker loses the job that it has just popped.
What it refuses to know: turns, SQL, the engine. A job is a name and an id.
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

BEAT_S = 1.0  # RQ would beat four times a job, in three round trips each
POLL_S = 1  # how long one blocking pop waits, hence how soon draining is seen
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
LANE_TTL_S = (
    16  # RQ forgets a lane that was silent for this long and a minute; its socket timeout (11 s) follows from it
)


class RqLane(SimpleWorker):  # type: ignore[misc]
    """One RQ worker in a thread, which waits for its turn to end; it stops when `draining` is set.

    The engine's lane (engine/lane.py) is another thing: a running turn, one sequence in the batch.
    """

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
        """Tell RQ that this lane is alive, once a second at most; always if it is part of a `pipeline`."""
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)
            self._beat_at = -BEAT_S  # RQ sets a long time to live for a job: set the short one again soon
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
                popped: tuple[Job, Queue] | None = self.queue_class.dequeue_any(
                    self.queues,
                    POLL_S,
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                    death_penalty_class=self.death_penalty_class,
                )
            except DequeueTimeout:
                continue
            if popped:
                popped[0].redis_server_version = self.get_redis_server_version()
            return popped
        self.pubsub_thread.stop()  # else RQ waits a second for that thread at its end
        raise StopRequested


def close_lane(lane: RqLane) -> None:
    """Close what a lane leaves open when it ends with an error: its connections, and RQ's command thread."""
    if lane.pubsub_thread is not None:
        lane.pubsub_thread.stop()
    try:
        if lane.pubsub is not None:
            lane.pubsub.close()
        lane.connection.close()
    except (RedisError, OSError) as error:
        log.debug("lane %s: its connection did not close: %s", lane.name, error)


class LaneThread(threading.Thread):
    """Keeps one lane alive: a lane ends when Redis goes away, and a new one is made when it is back."""

    def __init__(self, name: str, make_lane: Callable[[str], RqLane], draining: threading.Event) -> None:
        super().__init__(name=f"lane-{name}", daemon=True)
        self._lane_name, self._make_lane, self._draining = name, make_lane, draining

    def run(self) -> None:
        """Work until the worker drains; no error ends the thread."""
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
    """Start one thread per name. `open_queue` opens the queue on a new Redis connection for each lane."""

    def make_lane(name: str) -> RqLane:
        return RqLane(open_queue(), name, draining)

    threads = [LaneThread(name, make_lane, draining) for name in names]
    for thread in threads:
        thread.start()
    return threads
