"""What the shelf says of a model, before it is here and after."""

import pytest

from engine.model.budgets import FreeBytes
from engine.model.hardware import demo_model
from engine.model.memory_plan import GIB, MIB
from store.error_texts import english
from store.settings import Settings
from tests.engine import tiny_models
from tests.harness.models import beginning_of, gemma_path
from worker.engine_setup import memory_plan
from worker.shelf.facts import ModelHeader, facts_of, plan_of, unusable

FREE = FreeBytes(8 * GIB, 100 * GIB)
MACHINES = [FREE, FreeBytes(GIB, GIB), FreeBytes(8 * GIB, GIB, 6 * GIB), FreeBytes(8 * GIB, GIB, 700 * MIB)]


@pytest.mark.parametrize(
    ("make", "kind", "endless", "trace"),
    [
        (tiny_models.llama, "dense", True, False),
        (tiny_models.gemma3, "window", True, False),
        (tiny_models.qwen35, "hybrid", True, True),
        (tiny_models.mamba, "hybrid", False, False),
    ],
)
def test_what_kind_of_model_it_is(make, kind, endless, trace, tmp_path):
    facts = facts_of(ModelHeader("m.gguf", make(tmp_path / "m.gguf")).read())
    assert (facts["kind"], facts["endless"], facts["trace"]) == (kind, endless, trace)


@pytest.mark.model
@pytest.mark.parametrize("path", [demo_model, gemma_path])
def test_the_plan_before_a_download_is_the_plan_after_it_and_that_of_the_start(path, tmp_path):
    whole = path()
    head, size = beginning_of(whole, tmp_path, step=1 << 22)
    headers = ModelHeader(whole.name, parts=[(head, size)]), ModelHeader(whole.name, whole)
    before, after = (header.read() for header in headers)
    assert facts_of(before) == facts_of(after)
    settings = Settings(data_dir=tmp_path)
    for free in MACHINES:
        plans = [plan_of(settings, *given, free, "a card") for given in zip(headers, (before, after), strict=True)]
        assert plans[0] == plans[1]
        started = memory_plan(settings, whole, free, remember=False)
        assert (plans[0]["context"], plans[0]["lanes"]) == (started.context, started.lanes)
        assert plans[0]["total_bytes"] == started.total_bytes


def test_a_model_that_is_too_large_says_by_how_much(tmp_path):
    path = tiny_models.llama(tmp_path / "m.gguf")
    header = ModelHeader("m.gguf", path)
    plan = plan_of(Settings(data_dir=tmp_path), header, header.read(), FreeBytes(100 * MIB, GIB))
    reason = plan["reason"]
    assert reason["reason"] == "model_too_large.ram"
    assert english(reason["reason"], reason["values"]) == (
        "m.gguf does not fit into the memory: it needs 0.3 GiB at the least, 0.0 GiB are there. Choose a smaller one."
    )
    on_card = Settings(data_dir=tmp_path, gpu_layers=3)
    plan = plan_of(on_card, header, header.read(), FreeBytes(8 * GIB, GIB, 100 * MIB))
    assert plan["reason"]["reason"] == "model_too_large.card"


def test_a_file_that_cannot_be_used_says_why_without_a_path_of_this_machine(tmp_path):
    path = tiny_models.llama(tmp_path / "m.gguf")
    (tmp_path / "cut.gguf").write_bytes(path.read_bytes()[:4000])
    (tmp_path / "text.gguf").write_bytes(b"no model at all")
    for name, words in (("cut.gguf", "is damaged, it ends too early"), ("text.gguf", "is not a GGUF model")):
        with pytest.raises(Exception, match="gguf") as raised:
            ModelHeader(name, tmp_path / name).read()
        reason = unusable(name, raised.value)["reason"]
        sentence = english(reason["reason"], reason["values"])
        assert sentence.startswith(name)
        assert words in sentence
        assert str(tmp_path) not in sentence


def test_how_many_stories_a_machine_remembers(tmp_path):
    header = ModelHeader("m.gguf", tiny_models.llama(tmp_path / "m.gguf"))
    little, much = (
        plan_of(Settings(data_dir=tmp_path, ram_cache_mb=mb, disk_cache_mb=2 * mb), header, header.read(), FREE)
        for mb in (64, 128)
    )
    assert 0 < little["stories_in_ram"] < much["stories_in_ram"]
    assert little["stories_on_disk"] > little["stories_in_ram"]
    assert "card" in little
