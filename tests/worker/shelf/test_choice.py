"""Which model a worker loads, and what it falls back to. The echo backend refuses what no other could load, either."""

import json
import shutil

import pytest

from engine import ModelError
from store.db import Database
from store.error_texts import english
from store.settings import Settings
from store.shelf import choices, folder
from tests.engine import tiny_models
from worker.shelf.choice import MOST_DEATHS, open_chosen
from worker.shelf.load_notes import LoadNote, LoadTimes
from worker.shelf.switch import SwitchWatcher


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def settings(database: Database, tmp_path, tiny) -> Settings:
    """With two models on the shelf, a.gguf and b.gguf."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(tiny, models / name)
    folder.record_folder(database, dict.fromkeys(("a.gguf", "b.gguf"), tiny.stat().st_size))
    return Settings(data_dir=tmp_path, models_dir=models, backend="echo", disk_cache_mb=0)


@pytest.fixture
def opened(settings, database):
    """`opened(**settings)`: what is open after a start, closed again."""

    def start(**values):
        model = open_chosen(settings.model_copy(update=values), database)
        model.engine.close()
        return model

    return start


def choice(database):
    found = choices.choice_of(database, "gpu0")
    return found.name, found.state, found.reason.get("reason", "")


def damage(settings, name):
    path = settings.models_dir / name
    path.write_bytes(path.read_bytes()[:3000])


def test_without_a_choice_it_is_the_one_of_the_start(opened, settings):
    assert (opened().name, opened().why) == ("", "demo")
    named = opened(model=str(settings.models_dir / "a.gguf"))
    assert (named.name, named.why) == ("", "started")
    with pytest.raises(ModelError, match="no model file"):
        opened(model="/nowhere/x.gguf")


def test_the_chosen_one_wins_over_the_one_of_the_start_until_that_is_chosen(opened, settings, database):
    start = str(settings.models_dir / "a.gguf")
    choices.choose(database, "gpu0", "b.gguf")
    model = opened(model=start)
    assert (model.name, model.why, model.settings.model) == ("b.gguf", "chosen", str(settings.models_dir / "b.gguf"))
    assert choice(database) == ("b.gguf", "loading", "")
    choices.choose(database, "gpu0", "")
    assert (opened(model=start).why, opened(model=start).settings.model) == ("started", start)
    choices.record_choice(database, "gpu0", "", "serving")
    with pytest.raises(ModelError, match="no model file"):
        opened(model="/nowhere/x.gguf")


def test_models_have_identities_of_their_own(opened, database):
    keys = {opened().engine.model_key}
    for name in ("a.gguf", "b.gguf"):
        choices.choose(database, "gpu0", name)
        keys.add(opened().engine.model_key)
    assert len(keys) == 3


def test_one_that_is_damaged_gives_way_to_the_one_before_it(opened, settings, database):
    choices.choose(database, "gpu0", "a.gguf")
    choices.record_choice(database, "gpu0", "a.gguf", "serving")
    choices.choose(database, "gpu0", "b.gguf")
    damage(settings, "b.gguf")
    model = opened()
    assert (model.name, model.why, model.failure.reason) == ("a.gguf", "instead", "model_cut_off")
    assert choice(database) == ("a.gguf", "loading", "model_cut_off")
    assert opened().name == "a.gguf", "the next start does not try it again"


def test_then_to_the_one_of_the_start_then_to_the_demo_model(opened, settings, database):
    choices.choose(database, "gpu0", "a.gguf")
    choices.record_choice(database, "gpu0", "a.gguf", "serving")
    choices.choose(database, "gpu0", "b.gguf")
    for name in ("a.gguf", "b.gguf"):
        damage(settings, name)
    model = opened(model=str(settings.models_dir / "a.gguf"))
    assert (model.settings.model, model.why, model.failure.values["name"]) == ("", "instead", "b.gguf")
    assert choice(database)[0] == ""


def test_one_that_llama_cpp_refuses_gives_way(opened, settings, database):
    """Its header and its plan are right: only loading it tells."""
    path = settings.models_dir / "b.gguf"
    path.write_bytes(path.read_bytes().replace(b"blk.1.ffn_up", b"blk.1.ffn_op"))
    choices.choose(database, "gpu0", "b.gguf")
    model = opened(backend="llama", model=str(settings.models_dir / "a.gguf"), context=512, lanes=1)
    assert (model.name, model.why, model.loaded.plan.context) == ("", "instead", 512)
    assert model.failure.reason == "model_unusable"
    assert "b.gguf cannot be used here: llama.cpp cannot load b.gguf" in sentence(model.failure)
    assert not LoadNote(settings.data_dir, "gpu0").n_deaths("b.gguf")


def sentence(failure):
    return english(failure.reason, failure.values)


def test_one_that_has_left_the_folder_gives_way(opened, settings, database):
    choices.choose(database, "gpu0", "b.gguf")
    (settings.models_dir / "b.gguf").unlink()
    assert (opened().why, choice(database)) == ("instead", ("", "loading", "model_gone"))


def begin_and_die(settings, database):
    """What a process leaves that dies while it loads."""
    chosen = choices.choice_of(database, "gpu0")
    LoadNote(settings.data_dir, "gpu0").begin(f"{chosen.name} chosen at {chosen.chosen_at}")


def test_one_that_takes_its_process_along_twice_gives_way(opened, settings, database):
    choices.choose(database, "gpu0", "b.gguf")
    begin_and_die(settings, database)
    assert opened().name == "b.gguf", "once may have come from outside"
    for _ in range(MOST_DEATHS):
        begin_and_die(settings, database)
    assert opened().failure.reason == "model_kills"
    assert choice(database)[0] == ""
    choices.choose(database, "gpu0", "b.gguf")
    assert opened().name == "b.gguf", "who chooses it again wants it tried again"


def test_a_note_that_makes_no_sense_counts_as_none(tmp_path):
    note = LoadNote(tmp_path, "gpu0")
    note.begin("x")
    assert (note.n_deaths("x"), note.n_deaths("y")) == (1, 0)
    for text in ("{", "[]", json.dumps({"what": "x"}), json.dumps({"what": "x", "begun": "many"})):
        (tmp_path / "model_loads" / "gpu0.json").write_text(text)
        assert note.n_deaths("x") == 0
    note.end()
    note.end()


def test_how_long_a_change_takes_is_learned(tmp_path):
    times = LoadTimes(tmp_path, "gpu0")
    assert times.about_s("a.gguf", 1 << 30) == 15, "a guess"
    times.learn("a.gguf", 1 << 30, 30.0)
    assert times.about_s("a.gguf", 1 << 30) == 40
    assert times.about_s("b.gguf", 2 << 30) == 70, "as fast as the last one"


# -- while a model is at work ------------------------------------------------------------------------------------------


@pytest.fixture
def watcher(settings, database, redis):
    model = open_chosen(settings, database)
    yield SwitchWatcher(settings, database, redis, model)
    model.engine.close()


def test_another_choice_ends_the_process_the_same_one_does_not(watcher, database):
    watcher.watch()
    choices.choose(database, "gpu0", "")
    watcher.watch()
    assert (watcher.due.is_set(), choice(database)) == (False, ("", "serving", ""))
    choices.choose(database, "gpu0", "b.gguf")
    watcher.watch()
    assert watcher.due.is_set()


def test_a_choice_that_cannot_work_is_refused_without_an_end(watcher, settings, database):
    choices.choose(database, "gpu0", "b.gguf")
    damage(settings, "b.gguf")
    watcher.watch()
    watcher.watch()
    assert (watcher.due.is_set(), choice(database)) == (False, ("", "serving", "model_cut_off"))
    choices.choose(database, "gpu0", "a.gguf")
    (settings.models_dir / "a.gguf").unlink()
    watcher.watch()
    assert (watcher.due.is_set(), choice(database)[2]) == (False, "model_gone")
