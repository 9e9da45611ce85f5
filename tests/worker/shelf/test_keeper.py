"""The shelf follows the models folder: rows, facts, plans, blocks of what was removed."""

import shutil

import pytest

from store.db import Database
from store.settings import Settings
from store.shelf import asking, reading, transfers
from store.shelf.names import HEADERS, header_names, source_of
from store.shelf.views import PartView
from tests.engine import tiny_models
from tests.harness.models import beginning_of
from worker.shelf.choice import open_chosen
from worker.shelf.keeper import ShelfKeeper
from worker.shelf.model_blocks import BlockOwners


class Shelf:
    """A worker's keeper on folders of its own, ticked by hand."""

    def __init__(self, database: Database, data) -> None:
        self.models, self.data, self.database = data / "models", data, database
        self.models.mkdir()
        self.settings = Settings(data_dir=data, models_dir=self.models, backend="echo", ram_cache_mb=64)
        self.opened = open_chosen(self.settings, database)
        self.now = 0.0
        self.keeper = ShelfKeeper(self.settings, database, self.opened, clock=lambda: self.now)
        self.keeper.tick()

    def tick(self, n=3):
        for _ in range(n):
            self.keeper.tick()
        return {file.name: file for file in reading.list_files(self.database)}

    def blocks(self, key, worker="gpu0", n_bytes=100):
        """A file of blocks under the key of a model."""
        path = self.data / "blocks" / worker / key[:16] / "blocks" / "ab" / "ab.kv"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * n_bytes)
        return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def shelf(database, tmp_path):
    shelf = Shelf(database, tmp_path)
    yield shelf
    shelf.opened.engine.close()


def test_a_file_that_is_dropped_into_the_folder_is_on_the_shelf_with_its_facts_and_plan(shelf, tiny):
    shutil.copy(tiny, shelf.models / "mine.gguf")
    file = shelf.tick()["mine.gguf"]
    assert (file.state, file.size) == ("installed", tiny.stat().st_size)
    assert (file.facts["architecture"], file.facts["kind"], file.facts["endless"]) == ("llama", "dense", True)
    plan = file.plans["gpu0"].plan
    assert (plan["lanes"], plan["layers"]) == (2, 3)
    assert plan["stories_in_ram"] > 0
    (shelf.models / "mine.gguf").unlink()
    assert shelf.tick() == {}, "nobody knows where to get it again"


def test_a_round_in_which_nothing_has_changed_writes_nothing(shelf, tiny):
    shutil.copy(tiny, shelf.models / "mine.gguf")
    before = shelf.tick()["mine.gguf"]
    after = shelf.tick()["mine.gguf"]
    assert (after.changed_at, after.plans["gpu0"].made_at) == (before.changed_at, before.plans["gpu0"].made_at)


def test_a_damaged_file_says_so_and_does_not_keep_the_others_from_their_turn(shelf, tiny):
    (shelf.models / "a-damaged.gguf").write_bytes(tiny.read_bytes()[:5000])
    shutil.copy(tiny, shelf.models / "good.gguf")
    files = shelf.tick(4)
    assert files["a-damaged.gguf"].facts["reason"]["reason"] == "model_cut_off"
    assert files["a-damaged.gguf"].plans["gpu0"].plan["reason"]["reason"] == "model_cut_off"
    assert files["good.gguf"].facts["architecture"] == "llama"


def test_another_file_under_the_same_name_is_looked_at_again(shelf, tiny):
    shutil.copy(tiny, shelf.models / "mine.gguf")
    shelf.tick()
    tiny_models.gemma3(shelf.models / "mine.gguf")
    assert shelf.tick()["mine.gguf"].facts["kind"] == "window"


def test_a_header_that_was_only_looked_at_gives_what_the_whole_file_gives_after_the_download(shelf, tiny, tmp_path):
    source = source_of("someone/models", "tiny.gguf")
    file = asking.ask_to_look(shelf.database, source)
    head, size = beginning_of(tiny, tmp_path, step=1 << 12)
    transfers.record_source(shelf.database, file.id, source, [PartView(1, "tiny.gguf", size)])
    assert shelf.tick()["tiny.gguf"].facts == {}, "its header is not here"
    target = tmp_path / HEADERS / header_names(file.id, 1)[0]
    target.parent.mkdir()
    shutil.copy(head, target)
    before = shelf.tick()["tiny.gguf"]
    assert before.facts["architecture"] == "llama"
    shutil.copy(tiny, shelf.models / "tiny.gguf")
    transfers.record_state(shelf.database, file.id, "installed")
    after = shelf.tick()["tiny.gguf"]
    assert (after.state, after.facts, after.plans["gpu0"].plan) == (
        "installed",
        before.facts,
        before.plans["gpu0"].plan,
    )


def test_a_file_that_was_just_installed_does_not_count_as_gone(shelf, tiny):
    file = asking.ask_to_get(shelf.database, source_of("someone/models", "tiny.gguf"))
    shelf.tick()
    shutil.copy(tiny, shelf.models / "tiny.gguf")
    transfers.record_state(shelf.database, file.id, "installed")
    assert shelf.tick(1)["tiny.gguf"].state == "installed", "it is there, although not at rest yet"
    assert shelf.tick(1)["tiny.gguf"].facts["architecture"] == "llama"


def removed(shelf, name):
    """Removed as the downloader does it, on somebody's wish."""
    file = reading.find_file(shelf.database, name)
    asking.remove(shelf.database, file.id)
    (shelf.models / name).unlink()
    transfers.record_removed(shelf.database, file.id)


def owns(shelf, key, name, worker="gpu0"):
    BlockOwners(shelf.data, worker).keep(key, name)


def test_with_a_removed_model_its_blocks_go_and_nothing_else(shelf, tiny):
    for name in ("old.gguf", "new.gguf"):
        shutil.copy(tiny, shelf.models / name)
    shelf.tick()
    keys = {name: letter * 64 for name, letter in (("old.gguf", "a"), ("new.gguf", "b"), ("", "c"))}
    for name, key in keys.items():
        owns(shelf, key, name)
    gone = [shelf.blocks("a" * 64), shelf.blocks("a" * 64, worker="gpu1")]
    owns(shelf, "a" * 64, "old.gguf", worker="gpu1")
    stay = [shelf.blocks(key * 64) for key in "bcd"]
    shelf.now = 1000.0
    assert shelf.tick()["old.gguf"].plans["gpu0"].plan["block_bytes"] == 100
    removed(shelf, "old.gguf")
    assert list(shelf.tick()) == ["new.gguf"]
    assert [path.exists() for path in (*gone, *stay)] == [False, False, True, True, True]


def test_a_file_that_has_left_the_folder_keeps_its_blocks(shelf, tiny):
    """The disk with the models is unplugged: that is nobody's wish."""
    shutil.copy(tiny, shelf.models / "old.gguf")
    shelf.tick()
    owns(shelf, "a" * 64, "old.gguf")
    kept = shelf.blocks("a" * 64)
    (shelf.models / "old.gguf").unlink()
    assert shelf.tick() == {}
    assert kept.exists()


def test_the_blocks_of_the_model_at_work_are_never_deleted(shelf, tiny):
    shutil.copy(tiny, shelf.models / "old.gguf")
    shelf.tick()
    owns(shelf, shelf.opened.engine.model_key, "old.gguf")
    kept = shelf.blocks(shelf.opened.engine.model_key)
    removed(shelf, "old.gguf")
    shelf.tick()
    assert kept.exists()
