from store import health
from store.broker import keys, registry
from store.broker.client import connect
from store.broker.registry import WorkerView
from store.db import Database


def worker(name, lanes=2, running=0, chats=(), model="smol"):
    return WorkerView(name=name, model=model, lanes=lanes, running=running, chats=tuple(chats), at=1.0)


def expire(redis, name):
    """As when the heartbeat stopped some time ago."""
    redis.delete(keys.worker(name))


def test_workers_come_and_go(redis):
    assert registry.alive(redis) == {}
    registry.announce(redis, worker("gpu0", chats=["a"]))
    registry.announce(redis, worker("gpu1"))
    assert registry.alive(redis) == {"gpu0": worker("gpu0", chats=["a"]), "gpu1": worker("gpu1")}
    assert 0 < redis.pttl(keys.worker("gpu0")) <= 6_000
    registry.retire(redis, "gpu0")
    expire(redis, "gpu1")
    assert registry.alive(redis) == {}
    assert redis.scard(keys.workers()) == 0
    assert worker("gpu0").queue == "inglenook-gpu0"


def test_a_chat_goes_where_its_session_is(redis):
    registry.announce(redis, worker("gpu0"))
    registry.announce(redis, worker("gpu1", running=2, chats=["chat"]))
    registry.pin(redis, ["chat"], "gpu0")
    assert registry.route(redis, "chat") == "gpu1"


def test_else_where_it_was_last_if_that_one_is_there(redis):
    registry.announce(redis, worker("gpu0"))
    registry.announce(redis, worker("gpu1", running=2))
    registry.pin(redis, ["chat", "other"], "gpu1")
    assert registry.route(redis, "chat") == "gpu1"
    expire(redis, "gpu1")
    assert registry.route(redis, "chat") == "gpu0"


def test_else_to_the_least_loaded(redis):
    registry.announce(redis, worker("gpu0", lanes=4, running=3))
    registry.announce(redis, worker("gpu1", lanes=2, running=2))
    assert registry.route(redis, "chat") == "gpu0"
    redis.rpush("rq:queue:inglenook-gpu0", "a", "b")
    assert registry.route(redis, "chat") == "gpu1"


def test_a_story_goes_to_the_worker_of_its_own_model_while_such_a_one_lives(redis):
    for name, model in (("gpu0", "qwen"), ("gpu1", "nemo"), ("gpu2", "nemo")):
        registry.announce(redis, worker(name, model=model, running=int(name == "gpu1")))
    registry.pin(redis, ["chat"], "gpu0", "nemo")
    assert registry.route(redis, "chat") == "gpu2", "its worker runs another model now: the least loaded with its own"
    registry.pin(redis, ["chat"], "gpu1", "nemo")
    assert registry.route(redis, "chat") == "gpu1"
    registry.pin(redis, ["chat"], "gpu3", "nemo")
    assert registry.route(redis, "chat") == "gpu2", "its worker is gone"
    expire(redis, "gpu1")
    expire(redis, "gpu2")
    assert registry.route(redis, "chat") == "gpu0", "nobody has its model: its text is read by another"


def test_a_worker_that_has_changed_its_model_keeps_its_stories_if_nobody_else_has_the_old_one(redis):
    registry.announce(redis, worker("gpu0", model="qwen", running=2))
    registry.announce(redis, worker("gpu1", model="qwen"))
    registry.pin(redis, ["chat"], "gpu0", "nemo")
    assert registry.route(redis, "chat") == "gpu0"


def test_where_redis_has_forgotten_a_story_its_last_reply_tells_its_model(redis):
    registry.announce(redis, worker("gpu0", model="qwen"))
    registry.announce(redis, worker("gpu1", model="nemo", running=2))
    assert registry.route(redis, "chat", lambda: "nemo") == "gpu1"
    assert registry.route(redis, "chat", lambda: "") == "gpu0"
    registry.announce(redis, worker("gpu1", model="qwen", running=2))
    assert registry.route(redis, "chat", lambda: 1 / 0) == "gpu0", "with one model nobody is asked"


def test_without_workers_nowhere(redis):
    registry.pin(redis, ["chat"], "gpu0")
    assert registry.route(redis, "chat") is None


def test_health(database, redis, redis_server, tmp_path):
    assert health.ping(database, redis) == health.Health(True, True, ())
    registry.announce(redis, worker("gpu0"))
    assert health.ping(database, redis).well
    nowhere = connect("redis://127.0.0.1:1/0")
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    assert health.ping(empty, nowhere) == health.Health(False, False, ())
    empty.close()
    with connect(redis_server.url) as client:
        assert client.ping()


def test_what_a_worker_says_of_its_engine_arrives_also_from_another_version(redis):
    engine = registry.EngineView(since=5.0, model_name="Mo", n_evicted_ram=3, ram_used=9)
    registry.announce(redis, WorkerView("gpu0", "smol", 1, 0, ("a",), 0.0, engine=engine))
    assert registry.get(redis, "gpu0").engine == engine
    redis.set(keys.worker("gpu0"), '{"name":"gpu0","model":"m","lanes":1,"running":0,"chats":[],"at":0,"new":1}')
    assert registry.get(redis, "gpu0").engine == registry.NOTHING_KNOWN
