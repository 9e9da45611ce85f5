"""`inglenook model ...`, as a person types it: the catalogue, a hub of this machine, what is wanted of workers."""

import os
import shutil

import pytest
from click.testing import CliRunner

from deploy.cli import model_words
from deploy.cli.main import cli
from store.broker import registry
from store.broker.registry import WorkerView
from store.db import Database
from store.shelf import choices, folder, reading
from tests.engine.tiny_models import llama
from tests.harness.hub import Hub

REPO = "family/tale-GGUF"
PLAN = {"card": "RTX 2060", "gpu_layers": 20, "layers": 33, "lanes": 2, "context": 8192, "stories_in_ram": 40}


class Home:
    """An installation that does not run, and the command on it."""

    def __init__(self, folder, redis_url, hub):
        self.models = folder / "models"
        self.settings = {"INGLENOOK_DATA_DIR": str(folder / "data"), "INGLENOOK_REDIS_URL": redis_url}
        self.settings |= {"INGLENOOK_HUB_SOURCES": hub.url, "INGLENOOK_MODELS_DIR": str(self.models)}
        self.db = Database(f"sqlite:///{folder}/data/inglenook.db")

    def __call__(self, *arguments, answers=None, status=0):
        nothing = {name: None for name in os.environ if name.startswith("INGLENOOK_")}
        done = CliRunner().invoke(cli, ["model", *arguments], input=answers, env={**nothing, **self.settings})
        assert done.exit_code == status, done.output
        return done.output


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    made = tmp_path_factory.mktemp("hub")
    with Hub() as served:
        served.add(REPO, "tale-Q4_K_M.gguf", llama(made / "one.gguf"))
        served.add(REPO, "tale-Q8_0.gguf", llama(made / "two.gguf", n_layers=1))
        yield served


@pytest.fixture
def installation(tmp_path, redis, redis_server, migrated_file, hub):
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_file, tmp_path / "data" / "inglenook.db")
    installation = Home(tmp_path, redis_server.url, hub)
    yield installation
    installation.db.close()


@pytest.fixture
def here(installation):
    """A model in the folder, as a worker has found it."""
    installation.models.mkdir()
    (installation.models / "tale.gguf").write_bytes(b"GGUF")
    folder.record_folder(installation.db, {"tale.gguf": 4})
    return reading.find_file(installation.db, "tale.gguf")


def test_the_catalogue_is_searched(installation):
    said = installation("find", "hybrid", "--card", "8")
    assert "qwen3.5-9b" in said
    assert "gemma" not in said
    assert "The catalogue has nothing like that" in installation("find", "no", "such")


def test_an_empty_shelf_says_where_to_look(installation):
    said = installation("list")
    assert "`inglenook model find`" in said
    assert "free for models: " in said


def test_a_model_is_fetched_while_nothing_runs(installation, hub):
    said = installation("get", REPO, "--file", "*Q4_K_M.gguf", "--use")
    assert "tale-Q4_K_M.gguf: is here" in said
    assert "gpu0 takes it when it starts (tale-Q4_K_M.gguf)." in said
    assert (installation.models / "tale-Q4_K_M.gguf").read_bytes() == hub.files[REPO, "tale-Q4_K_M.gguf"].read_bytes()
    assert choices.choice_of(installation.db, "gpu0").name == "tale-Q4_K_M.gguf"
    first, room = installation("list").splitlines()
    assert first.split()[:3] == ["*", "tale-Q4_K_M.gguf", "installed"]
    assert " · models: " in room


def test_the_files_of_a_repository_are_listed(installation):
    said = installation("find", REPO)
    assert [line.split()[0] for line in said.splitlines()] == ["tale-Q4_K_M.gguf", "tale-Q8_0.gguf"]
    assert reading.list_files(installation.db) == ()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("get", "nothing"), "The catalogue has no nothing"),
        (("get", ""), "Name a model"),
        (("get", REPO), "Say which file with --file: tale-Q4_K_M.gguf, tale-Q8_0.gguf."),
        (("get", REPO, "--file", "../x.gguf"), "A file in a repository is written like"),
        (("use", "nothing"), "No model here is called nothing"),
        (("use",), "Name a model, or say --as-started"),
        (("remove", "nothing"), "No model here is called nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(installation, arguments, sentence):
    assert sentence in installation(*arguments, status=1)


def test_a_model_is_chosen_and_left_again(installation, here, redis):
    registry.announce(redis, WorkerView("gpu1", "key", 2, 0, (), 0.0))
    assert "gpu1 changes its model now" in installation("use", "tale")
    assert choices.choice_of(installation.db, "gpu1").name == "tale.gguf"
    assert "A worker uses tale.gguf" in installation("remove", "tale", "--yes", status=1)
    installation("use", "--as-started")
    assert choices.choice_of(installation.db, "gpu1").name == ""


def test_a_plan_needs_a_worker(installation, here, redis):
    assert "No worker is there to plan it" in installation("plan", "tale.gguf", status=1)
    registry.announce(redis, WorkerView("gpu0", "key", 2, 0, (), 0.0))
    folder.record_plan(installation.db, here.id, "gpu0", PLAN)
    assert "gpu0: fits: 20 of 33 layers on the card, 2 at once, 8,192 tokens each" in installation("plan", "tale.gguf")


def test_a_model_is_removed_with_its_file_when_asked_twice(installation, here):
    assert "Nothing was removed." in installation("remove", "tale", answers="n\n", status=1)
    assert (installation.models / "tale.gguf").exists()
    assert "tale.gguf is removed." in installation("remove", "tale", answers="y\n")
    assert not (installation.models / "tale.gguf").exists()


def test_sizes_and_times_are_short():
    assert [model_words.size_text(n) for n in (0, 640, 400_004, 5.64e9)] == ["?", "640 B", "400 kB", "5.6 GB"]
    assert [model_words.time_text(n) for n in (12, 180, 9000)] == ["12 s", "3 min", "2.5 h"]
