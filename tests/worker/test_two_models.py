"""Two real workers with two models: a story goes on with the worker of its own model while that lives."""

import pytest
from worker_lane_jobs import wait_until

from store import chats, turns
from store.broker import queue, registry
from store.shelf import choices, folder
from tests.engine import tiny_models

pytestmark = pytest.mark.timeout(300)


def test_a_story_stays_with_its_model_and_goes_on_with_another_when_nobody_has_it_any_more(
    start_worker, database, redis, chat, say, tmp_path
):
    (tmp_path / "models").mkdir()
    path = tiny_models.llama(tmp_path / "models" / "b.gguf")
    folder.record_folder(database, {"b.gguf": path.stat().st_size})
    choices.choose(database, "gpu1", "b.gguf")
    workers = {"gpu1": start_worker("gpu1").ready()}
    assert told(database, redis, say, chat, "First") == "gpu1"
    workers["gpu0"] = start_worker("gpu0").ready()
    models = {name: view.model for name, view in registry.alive(redis).items()}
    assert models["gpu0"] != models["gpu1"]
    redis.flushall()  # what Redis knew of the story is lost
    wait_until(lambda: set(registry.alive(redis)) == {"gpu0", "gpu1"})
    assert told(database, redis, say, chat, "Second") == "gpu1"
    workers["gpu1"].kill()
    assert told(database, redis, say, chat, "Third") == "gpu0"
    assert len([one for one in chats.load_story(database, chat.id).messages if one.role == "user"]) == 3


def told(database, redis, say, chat, text):
    """The worker that has answered."""
    turn = say(chat, text, revision=chats.load_story(database, chat.id).chat.revision)
    queue.dispatch(database, redis, turn.owner_id)
    wait_until(lambda: turns.get_turn(database, turn.id).state == "done")
    return turns.get_turn(database, turn.id).worker
