"""What the engine keeps of a session that is deleted: nothing that no other session names."""

import threading

import pytest
from engine_stories import Story, settled

from engine import EngineClosed
from engine.backends.echo import EchoBackend


def told(engine, name, text):
    story = Story(engine, name)
    story.say(text)
    story.turn()
    settled(engine, name)
    return story


def files(folder, ending):
    return {path for path in folder.rglob(f"*{ending}") if path.is_file()}


@pytest.fixture
def engine(make_engine, echo, tmp_path):
    return make_engine(echo, folder=tmp_path, ram_bytes=1 << 20, disk_bytes=1 << 24)


def test_a_forgotten_session_leaves_only_what_another_one_names(engine, tmp_path):
    kept, gone = told(engine, "kept", "Hello"), told(engine, "gone", "My diary")
    engine.blocks.disk.flush()
    before = files(tmp_path, ".kv")
    assert {"kept", "gone"} <= engine.remembered()
    assert engine.forget(frozenset({"gone"})) == {"gone"}
    engine.blocks.disk.flush()
    assert "gone" not in engine.remembered()
    named = {held.key for held in engine.inspect("kept")}
    left = {bytes.fromhex(path.stem) for path in files(tmp_path, ".kv")}
    assert left <= named | {held.key for held in engine.inspect("settle-kept") + engine.inspect("settle-gone")}
    assert len(left) < len(before)
    assert engine.inspect("gone") == ()
    kept.say("Again")
    assert kept.turn().stats.n_evaluated < 60, "what the other one holds was not touched"
    gone.say("Again")
    assert gone.turn().text, "and it can be told anew"


def test_blocks_do_not_come_back_from_ram(engine, tmp_path):
    told(engine, "gone", "My diary")
    engine.blocks.disk.flush()
    engine.forget(engine.remembered())
    engine.blocks.close()  # writes what only RAM has
    engine.blocks.disk.flush()
    assert files(tmp_path, ".kv") == set()
    assert files(tmp_path, ".json") == set()


def test_what_an_earlier_process_wrote_is_forgotten_too(make_engine, tmp_path):
    options = {"folder": tmp_path, "ram_bytes": 1 << 20, "disk_bytes": 1 << 24}
    first = make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64), **options)
    told(first, "gone", "My diary")
    first.close()
    second = make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64), **options)
    assert "gone" in second.remembered()
    second.forget(second.remembered())
    assert files(tmp_path, ".kv") == set()
    assert second.remembered() == frozenset()


def test_a_session_at_work_stays(make_engine, tmp_path):
    """The request waits in the engine's inbox while the turn's first step is held up; the reply goes on after it."""
    echo = EchoBackend(n_cells=4096, n_sequences=8, n_batch=64)
    entered, let_go, decode = threading.Event(), threading.Event(), echo.decode

    def held_up(runs):
        entered.set()
        assert let_go.wait(60)
        return decode(runs)

    engine = make_engine(echo, folder=tmp_path, disk_bytes=1 << 24)
    echo.decode = held_up
    story, found = Story(engine, "busy"), []
    story.say("Hello")
    ticket = engine.submit(story.request(max_tokens=20))
    assert entered.wait(60)
    asked = threading.Thread(target=lambda: found.append(engine.forget(frozenset({"busy"}))))
    asked.start()
    while engine._inbox.empty():
        assert asked.is_alive()
    let_go.set()
    assert list(ticket.events())[-1].text
    asked.join()
    assert found == [frozenset()]
    assert "busy" in engine.remembered()


def test_a_dead_engine_says_so(engine):
    engine.close()
    with pytest.raises(EngineClosed):
        engine.forget(frozenset({"x"}))


def test_what_another_model_has_left_on_disk_is_deleted_by_its_key(make_engine, tmp_path):
    options = {"folder": tmp_path, "ram_bytes": 1 << 20, "disk_bytes": 1 << 24}
    old = make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64, salt="old"), **options)
    told(old, "story", "Hello")
    old.close()
    engine = make_engine(EchoBackend(n_cells=4096, n_sequences=8, n_batch=64, salt="new"), **options)
    told(engine, "story", "Hello")
    engine.blocks.disk.flush()
    n_both = len(files(tmp_path, ".kv"))
    assert engine.delete_files_of(old.model_key[:16]) > 0
    assert 0 < len(files(tmp_path, ".kv")) < n_both
    used = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert engine.blocks.disk.used_bytes() == used
    assert engine.delete_files_of("nobody") == 0
