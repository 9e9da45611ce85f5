"""The methods of RQ 3.0.0 that a lane overrides, and what it relies on. Read these before raising rq."""

import threading
import time
from collections.abc import Iterator

import pytest
import rq
import worker_lane_jobs as jobs
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from worker_lane_jobs import wait_until

from store.broker.client import connect
from worker.rq_lanes import LaneThread, RqLane, start_lanes

NAME = "inglenook-test"
OURS = {"__module__", "__doc__", "__init__", "__firstlineno__", "__static_attributes__"}


def open_queue(redis: Redis) -> Queue:
    return Queue(NAME, connection=redis, serializer=JSONSerializer)


def enqueue(redis: Redis, name: str, *args: str, timeout: int = 60) -> str:
    job = open_queue(redis).enqueue_call(f"worker_lane_jobs.{name}", args=args, timeout=timeout, result_ttl=0)
    return str(job.id)


@pytest.fixture
def draining() -> Iterator[threading.Event]:
    jobs.reset()
    event = threading.Event()
    yield event
    event.set()
    jobs.let_go.set()


@pytest.fixture
def lanes(redis: Redis, redis_server, draining) -> Iterator[list[LaneThread]]:
    threads = start_lanes(["test.0"], lambda: open_queue(connect(redis_server.url)), draining)
    yield threads
    draining.set()
    jobs.let_go.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_rq_is_the_version_that_was_read():
    assert rq.__version__ == "3.0.0"


def test_a_lane_overrides_four_things_and_no_more():
    overridden = {name for name in vars(RqLane) if hasattr(SimpleWorker, name)} - OURS
    assert overridden == {
        "death_penalty_class",
        "_install_signal_handlers",
        "dequeue_job_and_maintain_ttl",
        "heartbeat",
    }
    assert RqLane.death_penalty_class is TimerDeathPenalty


def test_a_lane_runs_jobs_in_a_thread_and_leaves_nothing_behind(redis, lanes):
    job_id = enqueue(redis, "note", "hello")
    assert jobs.arrived.wait(5)
    assert jobs.done == ["hello"]
    wait_until(lambda: not redis.exists(f"rq:job:{job_id}"))
    assert redis.zcard(f"rq:wip:{NAME}") == 0
    assert redis.llen(f"rq:queue:{NAME}:intermediate") == 0


def test_a_job_that_exceeds_its_time_limit_is_interrupted_in_its_thread(redis, lanes):
    enqueue(redis, "hang", timeout=1)
    assert jobs.arrived.wait(5)
    enqueue(redis, "note", "next")
    wait_until(lambda: jobs.done == ["next"])


def test_a_waiting_lane_pops_by_blmove_so_a_killed_one_loses_nothing(redis, lanes):
    wait_until(lambda: any(client["cmd"] == "blmove" for client in redis.client_list()))
    assert not any(client["cmd"] in ("blpop", "brpop") for client in redis.client_list())


def test_an_idle_lane_drains_within_its_poll(redis, lanes, draining):
    wait_until(lambda: any(client["cmd"] == "blmove" for client in redis.client_list()))
    draining.set()
    lanes[0].join(60)
    assert not lanes[0].is_alive()
    assert redis.scard("rq:workers") == 0


def test_a_busy_lane_finishes_its_job_and_takes_no_other(redis, lanes, draining):
    enqueue(redis, "wait_for_me")
    assert jobs.arrived.wait(5)
    enqueue(redis, "note", "another")
    draining.set()
    jobs.let_go.set()
    lanes[0].join(3)
    assert not lanes[0].is_alive()
    assert jobs.done == ["waited"]
    assert open_queue(redis).count == 1


def test_a_lane_says_that_it_is_there_once_a_second_in_one_round_trip(redis, redis_server, draining):
    with connect(redis_server.url) as client:
        lane = RqLane(open_queue(client), "test.beat", draining)
        lane.register_birth()
        redis.config_resetstat()
        for _ in range(5):
            lane.heartbeat()
        assert redis.info("commandstats")["cmdstat_hset"]["calls"] == 1
        assert 60 < redis.ttl(lane.key) <= 76
        with client.pipeline() as pipe:  # a job that may take long begins
            lane.heartbeat(3600, pipeline=pipe)
            pipe.execute()
        assert redis.ttl(lane.key) > 3500
        lane.heartbeat()
        assert redis.ttl(lane.key) <= 76, "a lane that dies after its job is forgotten soon"
        lane.register_death()


def test_rqs_maintenance_never_runs(redis, redis_server, draining):
    with connect(redis_server.url) as client:
        lane = RqLane(open_queue(client), "test.idle", draining)
        assert not lane.should_run_maintenance_tasks
        assert lane.connection.connection_pool.connection_kwargs["socket_timeout"] <= 11


def test_a_lane_outlives_redis(redis_server, tmp_path, draining):
    server = type(redis_server)(tmp_path)
    server.start()
    threads = start_lanes(["test.0"], lambda: open_queue(connect(server.url)), draining)
    with connect(server.url) as client:
        wait_until(lambda: any(c["cmd"] == "blmove" for c in client.client_list()))
        server.kill()
        time.sleep(0.5)
        server.start()
        enqueue(client, "note", "after the outage")
        assert jobs.arrived.wait(6)
        assert threads[0].is_alive()
        draining.set()
        threads[0].join(5)
    server.kill()
