"""From the settings to the parts of a worker."""

from dataclasses import replace

import pytest

from engine import ModelError
from engine.backends.llama_devices import Device
from engine.model.budgets import FreeBytes, disk_tier_budget, ram_tier_budget
from engine.model.hardware import demo_model
from engine.model.memory_plan import GIB
from store.settings import Settings, SettingsError, load_settings
from worker.engine_setup import free_bytes, load, memory_plan, open_engine, subject_of_failures
from worker.service import Service


@pytest.mark.parametrize(("style", "said"), [("auto", "Ann\nHi"), ("prefix", "user\nAnn: Hi"), ("script", "Ann: Hi\n")])
def test_a_worker_frames_messages_as_the_settings_say(database, redis_server, tmp_path, style, said):
    settings = Settings(data_dir=tmp_path, redis_url=redis_server.url, backend="echo", disk_cache_mb=0, framing=style)
    engine = open_engine(settings)
    framing = Service(settings, database, engine)._context.framing
    assert said.encode() in b"".join(map(engine.backend.piece, framing.segment("user", "Ann", "Hi")))
    engine.close()


def test_an_unknown_framing_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError, match=r"INGLENOOK_FRAMING='plain' is wrong: .*'auto', 'roles', 'prefix' or 'script'"
    ):
        load_settings({"INGLENOOK_FRAMING": "plain"})


def test_after_failures_of_the_card_its_budget_is_a_share_of_what_it_was(tmp_path):
    settings, card = Settings(data_dir=tmp_path, vram_gb=4), FreeBytes(8 * GIB, GIB, 8 * GIB)
    whole, less = (memory_plan(settings, demo_model(), card, share=share).budget_bytes for share in (1.0, 0.875))
    assert (whole, less) == (4 * GIB, 7 * GIB // 2)
    no_card = [memory_plan(settings, demo_model(), FreeBytes(8 * GIB, GIB, 0), share=n) for n in (1.0, 0.875)]
    assert no_card[0].budget_bytes == no_card[1].budget_bytes, "the RAM has not failed"


@pytest.mark.parametrize(
    "change", [{"context": 1024}, {"lanes": 1}, {"kv_type": "q8_0"}, {"vram_gb": 4}, {"gpu_layers": 3}]
)
def test_failures_of_the_card_are_forgotten_with_the_settings_that_decide_what_it_must_hold(tmp_path, change):
    settings, card = Settings(data_dir=tmp_path), Device("CUDA", "RTX 3060", GIB, GIB, False)
    subject = subject_of_failures(settings, demo_model(), card)
    assert subject == subject_of_failures(settings, demo_model(), replace(card, free_bytes=7))
    assert subject != subject_of_failures(settings.model_copy(update=change), demo_model(), card)
    assert subject != subject_of_failures(settings, demo_model(), replace(card, name="RTX 4070"))


def test_a_model_that_is_too_large_for_the_card_runs_without_it(tmp_path, caplog):
    """A house that ran on the processor must start after its small card was found."""
    settings, small = Settings(data_dir=tmp_path), FreeBytes(8 * GIB, GIB, GIB // 2)
    plan = memory_plan(settings, demo_model(), small)
    assert (plan.on_gpu, plan.budget_bytes) == (False, 8 * GIB)
    assert "does not fit into 0.50 GiB of card memory" in caplog.text
    with pytest.raises(ModelError, match="card memory"):
        memory_plan(settings.model_copy(update={"gpu_layers": 31}), demo_model(), small)
    with pytest.raises(ModelError, match="card memory"):
        memory_plan(settings, demo_model(), FreeBytes(GIB // 8, GIB, GIB // 2))


def test_sleeping_chats_get_what_is_set_else_a_share_of_what_is_free(tmp_path):
    echo = Settings(data_dir=tmp_path, backend="echo")
    loaded = load(echo)
    engine = open_engine(echo, loaded)
    assert engine.options.ram_bytes == ram_tier_budget(loaded.free, None) > 0
    assert engine.options.disk_bytes == disk_tier_budget(loaded.free) > 0
    engine.close()
    given = Settings(data_dir=tmp_path, backend="echo", ram_cache_mb=7, disk_cache_mb=0)
    engine = open_engine(given)
    assert (engine.options.ram_bytes, engine.options.disk_bytes, engine.options.folder) == (7 << 20, 0, None)
    engine.close()


def test_blocks_that_are_there_count_as_free_disk_or_each_start_would_leave_less(tmp_path):
    settings = Settings(data_dir=tmp_path, backend="echo")
    before = free_bytes(settings).disk
    block = tmp_path / "blocks" / settings.worker_name / "model" / "blocks" / "ab" / "ab.kv"
    block.parent.mkdir(parents=True)
    with block.open("wb") as file:
        file.truncate(64 << 30)  # sparse: it takes no disk
    assert free_bytes(settings).disk > before + (60 << 30)
