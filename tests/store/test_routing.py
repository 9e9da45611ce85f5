"""The model that wrote a story's last reply, and hints about changes of models."""

from store import chats, turns
from store.broker import queue, registry, routing, switching
from store.broker.registry import WorkerView
from store.messages import Reply
from store.turns import TurnCommand


def replied(database, chat, model):
    turn = turns.begin_turn(database, chat.owner_id, TurnCommand("a" * 32, chat.id, "chat", chat.revision, "Hi")).turn
    turns.enqueue_next(database, chat.owner_id, "gpu0")
    claim = turns.claim(database, turn.id, "gpu0", 60.0)
    turns.commit(database, turn.id, claim.attempt, Reply("Hello.", tokens=(1, 2), model_key=model))


def test_a_story_is_routed_by_what_sql_knows_where_redis_is_empty(database, redis, chat):
    assert routing.last_model(database, chat.id) == ""
    replied(database, chat, "nemo")
    assert routing.last_model(database, chat.id) == "nemo"
    for name, model in (("gpu0", "qwen"), ("gpu1", "nemo")):
        registry.announce(redis, WorkerView(name=name, model=model, lanes=2, running=0, chats=(), at=1.0))
    assert routing.route(database, redis, chat.id) == "gpu1"
    revision = chats.load_story(database, chat.id).chat.revision
    begun = queue.accept(database, redis, chat.owner_id, TurnCommand("b" * 32, chat.id, "chat", revision, "And?"))
    assert begun.turn.worker == "gpu1"


def test_changes_of_models_end_when_the_worker_answers_or_is_long_overdue(redis):
    assert switching.under_way(redis) == ()
    switching.begin(redis, "gpu0", "b.gguf", 20, now=1000.0)
    (change,) = switching.under_way(redis, now=1010.0)
    assert (change.worker, change.name, change.about_s) == ("gpu0", "b.gguf", 20)
    assert switching.under_way(redis, now=1079.0)
    assert switching.under_way(redis, now=1081.0) == ()
    switching.end(redis, "gpu0")
    assert switching.under_way(redis, now=1001.0) == ()
