"""The RQ side, against a real RQ: what it leaves behind when a lane dies, and what it must not run."""

import sys
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
from rq import Queue, SimpleWorker
from rq.executions import prepare_execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from store.broker import jobs
from store.broker.jobs import ForbiddenJob, TurnJob


class Lane(SimpleWorker):
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self):
        pass

    def subscribe(self):
        """No listener for RQ's commands: stopping it takes a second."""

    def unsubscribe(self):
        pass


def lane(redis, worker="gpu0"):
    queue = jobs.open_queue(redis, worker)
    return Lane([queue], connection=redis, job_class=TurnJob, serializer=JSONSerializer)


def turn_id():
    return uuid.uuid4().hex


def queued(redis, worker="gpu0"):
    return [item.decode() for item in redis.lrange(f"rq:queue:inglenook-{worker}", 0, -1)]


def pop_and_die(redis, step, worker="gpu0"):
    """What a lane leaves that is killed after popping a job: "popped" only, or already marked as "started"."""
    dying = lane(redis, worker)
    job, _ = Queue.dequeue_any(dying.queues, None, connection=redis, job_class=TurnJob, serializer=JSONSerializer)
    if step == "started":
        prepare_execution(dying, job)
        dying.prepare_job_execution(job, remove_from_intermediate_queue=True)
    return job.id


def standing_in(monkeypatch, run_turn):
    """Put a function where RQ finds the worker's by its name: this room must not import that one."""
    module = ModuleType("worker.jobs")
    module.run_turn = run_turn
    monkeypatch.setitem(sys.modules, "worker.jobs", module)


@pytest.fixture
def ran(monkeypatch):
    """Lists the ids that the worker's function was called with."""
    calls = []
    standing_in(monkeypatch, calls.append)
    return calls


def test_a_job_is_found_by_name_and_runs_with_its_id(redis, ran):
    turn = turn_id()
    assert jobs.enqueue(redis, turn, "gpu0")
    assert lane(redis).work(burst=True)
    assert ran == [turn]
    assert [key for key in redis.keys("*") if turn.encode() in key] == []


def test_a_job_holds_an_id_and_nothing_else(redis):
    turn = turn_id()
    jobs.enqueue(redis, turn, "gpu0")
    data = zlib.decompress(redis.hget(f"rq:job:{turn}", "data"))
    assert data == f'["worker.jobs.run_turn", null, ["{turn}"], {{}}]'.encode()


def test_first_in_first_out_unless_at_the_front(redis):
    a, b, c = turn_id(), turn_id(), turn_id()
    jobs.enqueue(redis, a, "gpu0")
    jobs.enqueue(redis, b, "gpu0")
    jobs.enqueue(redis, c, "gpu0", at_front=True)
    assert queued(redis) == [c, a, b]
    assert [jobs.position(redis, turn, "gpu0") for turn in (a, b, c, turn_id())] == [1, 2, 0, None]


def test_fifty_racers_enqueue_once(redis):
    turn = turn_id()
    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(lambda _: jobs.enqueue(redis, turn, "gpu0"), range(50))) == 1
    assert queued(redis) == [turn]


@pytest.mark.parametrize("step", ["queued", "popped", "started"])
def test_whatever_a_dead_lane_left_can_be_removed_and_queued_again(redis, ran, step):
    turn, other = turn_id(), turn_id()
    jobs.enqueue(redis, turn, "gpu0")
    if step != "queued":
        pop_and_die(redis, step)
    jobs.enqueue(redis, other, "gpu0")
    place = "queued" if step == "queued" else "popped_unclaimed"
    assert jobs.places(redis, "gpu0", [turn, other]) == {turn: place, other: "queued"}
    assert not jobs.enqueue(redis, turn, "gpu0", at_front=True)
    jobs.remove_job(redis, turn, "gpu0")
    assert [key for key in redis.keys("*") if turn.encode() in key] == []
    assert redis.llen("rq:queue:inglenook-gpu0:intermediate") == redis.zcard("rq:wip:inglenook-gpu0") == 0
    assert jobs.places(redis, "gpu0", [turn, other]) == {turn: "missing", other: "queued"}
    assert jobs.enqueue(redis, turn, "gpu0", at_front=True)
    assert queued(redis) == [turn, other]
    lane(redis).work(burst=True)
    assert ran == [turn, other]


def test_removing_needs_no_hash_and_touches_no_other_job(redis):
    turn, other = turn_id(), turn_id()
    for one in (other, turn):
        jobs.enqueue(redis, one, "gpu0")
        pop_and_die(redis, "started")
    redis.delete(f"rq:job:{turn}")
    jobs.remove_job(redis, turn, "gpu0")
    jobs.remove_job(redis, turn_id())
    assert jobs.places(redis, "gpu0", [turn, other]) == {turn: "missing", other: "popped_unclaimed"}
    assert [entry.split(b":")[0].decode() for entry in redis.zrange("rq:wip:inglenook-gpu0", 0, -1)] == [other]


def test_a_job_without_its_hash_is_missing(redis):
    turn = turn_id()
    jobs.enqueue(redis, turn, "gpu0")
    redis.delete(f"rq:job:{turn}")
    assert jobs.places(redis, "gpu0", [turn]) == {turn: "missing"}


def forge(redis, data, **fields):
    """Write a job into the queue, as somebody would who got hold of Redis."""
    turn = turn_id()
    queue = jobs.open_queue(redis, "gpu0")
    mapping = {"data": zlib.compress(data(turn)), "status": "queued", "origin": queue.name, "created_at": "", **fields}
    redis.hset(Job.key_for(turn), mapping={**mapping, "created_at": "2025-01-01T00:00:00.000000Z"})
    redis.rpush(queue.key, turn)
    return turn


@pytest.mark.parametrize(
    "data",
    [
        lambda turn: b'["os.mkdir", null, ["PROOF"], {}]',
        lambda turn: f'["os.mkdir", null, ["{turn}"], {{}}]'.encode(),
        lambda turn: b'["worker.jobs.run_turn", null, ["PROOF"], {}]',
        lambda turn: f'["worker.jobs.run_turn", null, ["{turn}"], {{"x": 1}}]'.encode(),
        lambda turn: f'["worker.jobs.run_turn", "text", ["{turn}"], {{}}]'.encode(),
        lambda turn: f'["store.broker.jobs.log.info", null, ["{turn}"], {{}}]'.encode(),
        lambda turn: b"\x80\x04cos\nmkdir\n.",
        lambda turn: b"[]",
    ],
)
def test_forged_jobs_are_not_run(redis, ran, tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    forge(redis, data)
    lane(redis).work(burst=True)
    assert ran == []
    assert list(tmp_path.iterdir()) == []


def test_forged_callbacks_and_webhooks_are_not_followed(redis, ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    turn = forge(
        redis,
        lambda turn: f'["worker.jobs.run_turn", null, ["{turn}"], {{}}]'.encode(),
        success_callback_name="os.mkdir",
        failure_callback_name="os.mkdir",
        stopped_callback_name="os.mkdir",
        webhooks='[{"url": "http://127.0.0.1:1/", "job_status": "finished"}]',
    )
    job = TurnJob.fetch(turn, connection=redis, serializer=JSONSerializer)
    assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
    lane(redis).work(burst=True)
    assert ran == [turn]


def test_other_functions_cannot_even_be_enqueued(redis):
    queue = jobs.open_queue(redis, "gpu0")
    for call in (
        lambda: queue.enqueue("os.system", "true"),
        lambda: queue.enqueue(jobs.RUN_TURN, turn_id(), job_id=turn_id()),
        lambda: queue.enqueue(jobs.RUN_TURN, "not-hex", job_id="not-hex"),
    ):
        with pytest.raises(ForbiddenJob):
            call()
    assert redis.keys("rq:job:*") == []
