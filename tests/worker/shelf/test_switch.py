"""Real worker processes that change their model, and that are killed at each step of it: no turn is lost."""

import json
import shutil
import signal
from pathlib import Path

import pytest
from worker_lane_jobs import wait_until

from store import chats, turns
from store.broker import events, registry, switching
from store.shelf import choices, folder
from tests.engine import tiny_models
from tests.harness.models import gemma_path

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def put(database, tmp_path, source, name):
    """A model on the shelf."""
    (tmp_path / "models").mkdir(exist_ok=True)
    shutil.copy(source, tmp_path / "models" / name)
    folder.record_folder(database, {path.name: path.stat().st_size for path in (tmp_path / "models").iterdir()})


def until_it_writes(redis, turn):
    wait_until(lambda: any(event["type"] == "text" for event in events.read(redis, turn.id)))


def replies(database, chat):
    return [m for m in chats.load_story(database, chat.id).messages if m.role == "character"][1:]


def until_done_once(database, chat, turn):
    wait_until(lambda: turns.get_turn(database, turn.id).ended, 60)
    after = turns.get_turn(database, turn.id)
    assert after.state == "done", after.error_text
    assert len(replies(database, chat)) == 1


def until_it_serves(database, redis, name, why=""):
    """What a process that was killed has left, its row and its last heartbeat, says something else for a while."""
    wait_until(lambda: seen_of(choices.choice_of(database, "gpu0")) == ("serving", name), 60)
    wait_until(lambda: [one.engine.model_file for one in registry.alive(redis).values()] == [name], 60)
    wait_until(lambda: not why or [one.engine.model_why for one in registry.alive(redis).values()] == [why], 60)


def seen_of(choice):
    return choice.state, choice.name


def test_a_worker_gives_its_turn_back_ends_and_goes_on_with_the_chosen_model(
    start_worker, database, redis, chat, say, dispatch, tiny, tmp_path
):
    put(database, tmp_path, tiny, "b.gguf")
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    choices.choose(database, "gpu0", "b.gguf")
    assert worker.wait() == 75
    assert turns.get_turn(database, turn.id).state == "queued"
    assert turns.get_turn(database, turn.id).partial
    assert registry.alive(redis) == {}
    (change,) = switching.under_way(redis)
    assert (change.worker, change.name, change.about_s) == ("gpu0", "b.gguf", 10)
    worker.start()
    until_done_once(database, chat, turn)
    until_it_serves(database, redis, "b.gguf", "chosen")
    wait_until(lambda: switching.under_way(redis) == ())


@pytest.mark.parametrize("step", ["asked for", "draining", "at work"])
def test_kill_9_while_a_worker_changes_its_model(
    step, start_worker, database, redis, chat, say, dispatch, tiny, tmp_path
):
    put(database, tmp_path, tiny, "b.gguf")
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    choices.choose(database, "gpu0", "b.gguf")
    if step == "draining":
        wait_until(lambda: "for another model" in worker.log.read_text())
    if step == "at work":
        assert worker.wait() == 75
        worker.start()
        until_it_serves(database, redis, "b.gguf")
    worker.send(signal.SIGKILL)
    worker.wait()
    worker.start()
    wait_until(lambda: turns.get_turn(database, turn.id).ended or worker.exit_code() == 75, 60)
    if worker.exit_code() == 75:
        worker.start()
    until_done_once(database, chat, turn)
    until_it_serves(database, redis, "b.gguf")


def test_a_choice_that_cannot_work_stops_nobody(start_worker, database, redis, chat, say, dispatch, tiny, tmp_path):
    put(database, tmp_path, tiny, "b.gguf")
    damaged = tmp_path / "models" / "b.gguf"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    worker = start_worker(echo_delay_ms=20).ready()
    turn = say(chat, "x" * 60)
    dispatch(turn)
    until_it_writes(redis, turn)
    choices.choose(database, "gpu0", "b.gguf")
    until_it_serves(database, redis, "")
    assert choices.choice_of(database, "gpu0").failure.reason == "model_cut_off"
    until_done_once(database, chat, turn)
    assert (worker.exit_code(), turns.get_turn(database, turn.id).attempt) == (None, 1)


@pytest.mark.model
def test_kill_9_while_a_model_is_loaded(start_worker, database, redis, chat, say, dispatch, tmp_path):
    """Once it is tried again; after the second time the one before it answers, and the reason is told."""
    put(database, tmp_path, gemma_path(), "gemma.gguf")
    choices.choose(database, "gpu0", "gemma.gguf")
    turn, note = say(chat), tmp_path / "model_loads" / "gpu0.json"
    dispatch(turn)
    worker = start_worker(backend="llama", max_reply_tokens=8, context=1024, lanes=1)
    kill_while_it_loads(worker, note)
    worker.start()
    until_done_once(database, chat, turn)
    until_it_serves(database, redis, "gemma.gguf")
    worker.kill()
    again = say(chat, "And then?", revision=chats.load_story(database, chat.id).chat.revision)
    for begun in (1, 2):
        worker.start()
        kill_while_it_loads(worker, note, begun)
    worker.start().ready()
    until_it_serves(database, redis, "", "instead")
    assert choices.choice_of(database, "gpu0").failure.reason == "model_kills"
    wait_until(lambda: turns.get_turn(database, again.id).state == "done", 60)


def kill_while_it_loads(worker, note: Path, begun=1):
    wait_until(lambda: note.exists() and json.loads(note.read_text())["begun"] == begun)
    worker.send(signal.SIGKILL)
    worker.wait()
    assert note.exists()


@pytest.mark.model
def test_a_stop_while_a_model_is_loaded_is_not_its_fault(start_worker, database, tmp_path, redis):
    put(database, tmp_path, gemma_path(), "gemma.gguf")
    choices.choose(database, "gpu0", "gemma.gguf")
    note = tmp_path / "model_loads" / "gpu0.json"
    worker = start_worker(backend="llama", context=1024, lanes=1)
    wait_until(note.exists)
    worker.send(signal.SIGTERM)
    wait_until(lambda: not note.exists())
    worker.kill()
    assert not note.exists()
