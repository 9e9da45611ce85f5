"""The shift probe: what crashes llama.cpp crashes a child process, and the result is cached."""

import json
import subprocess
import sys

import pytest
import tiny_models

from engine.model.info import read_model_info
from engine.model.shift_probe import KNOWN_CRASHES, ProbeResult, ShiftProbe


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {size: tiny_models.llama(folder / f"{size}.gguf", head_size=size) for size in (32, 64, 96, 128)}


@pytest.mark.parametrize("size", [64, 128])
def test_quantized_cells_that_can_be_moved_are_used(models, size, tmp_path):
    cache = tmp_path / "deep" / "probes.json"
    assert ShiftProbe(cache).usable_kv_type(models[size], read_model_info(models[size]), "q8_0") == "q8_0"
    (entry,) = json.loads(cache.read_text()).values()
    assert entry == {"works": True, "reason": ""}


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "engine.model.shift_probe", *map(str, arguments)], capture_output=True, timeout=60
    )


@pytest.mark.parametrize("size", sorted(KNOWN_CRASHES))
def test_what_is_known_to_crash_does_crash_a_child(models, size):
    """When this fails, llama.cpp has been mended: take the size out of KNOWN_CRASHES."""
    assert run(models[size], "q8_0").returncode < 0
    assert run(models[size], "f16").returncode == 0


@pytest.mark.parametrize("size", sorted(KNOWN_CRASHES))
def test_what_is_known_to_crash_is_not_even_tried(models, size, tmp_path, caplog):
    cache = tmp_path / "probes.json"
    assert ShiftProbe(cache, timeout_s=0).usable_kv_type(models[size], read_model_info(models[size]), "q8_0") == "f16"
    assert f"heads of {size} values crash" in caplog.text
    assert "f16 is used instead" in caplog.text
    assert not cache.exists()


def test_an_unknown_crash_is_survived_and_cached(models, tmp_path):
    cache, info = tmp_path / "probes.json", read_model_info(models[96])
    result = ShiftProbe(cache, known_crashes=frozenset()).result(models[96], info, "q8_0")
    assert result == ProbeResult(False, "the trial was killed by signal 11")
    assert ShiftProbe(cache, timeout_s=0, known_crashes=frozenset()).result(models[96], info, "q8_0") == result


@pytest.mark.parametrize("end", ["kill -KILL $$", "kill -TERM $$", "echo 'there is too little memory' >&2; exit 3"])
def test_a_trial_that_was_kept_from_its_end_says_nothing_of_the_model(models, tmp_path, monkeypatch, end):
    """A machine that is short of memory for once, or a stop, must not forbid quantized cells for ever."""
    cache, info = tmp_path / "probes.json", read_model_info(models[64])
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{end}\n")
    program.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(program))
        assert not ShiftProbe(cache).result(models[64], info, "q8_0").works
    assert ShiftProbe(cache).result(models[64], info, "q8_0").works


def test_f16_and_models_without_cells_need_no_trial(models, tmp_path):
    assert ShiftProbe(timeout_s=0).result(models[32], read_model_info(models[32]), "f16").works
    mamba = tiny_models.mamba(tmp_path / "m.gguf")
    assert ShiftProbe(timeout_s=0).result(mamba, read_model_info(mamba), "q8_0").works


def test_a_model_that_cannot_shift_is_not_shifted(tmp_path):
    assert run(tiny_models.gemma2(tmp_path / "g.gguf"), "q8_0").returncode == 0


def test_a_trial_that_hangs_is_a_no(models, tmp_path):
    result = ShiftProbe(timeout_s=0.001).result(models[64], read_model_info(models[64]), "q8_0")
    assert not result.works
    assert "did not end" in result.reason


def test_a_child_that_refuses_says_why(models, tmp_path):
    broken = tmp_path / "m.gguf"
    broken.write_bytes(models[64].read_bytes()[:400_000])
    refused = run(broken, "q8_0")
    assert refused.returncode == 1
    assert b"llama.cpp cannot load" in refused.stderr
    assert run(models[64], "q4_0").returncode == 1
    assert run(models[64]).returncode == 2
    assert "cannot load" in ShiftProbe().result(broken, read_model_info(models[64]), "q8_0").reason


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"k": 1}', '{"k": {"works": true}}'])
def test_a_broken_cache_counts_as_empty(models, tmp_path, content, caplog):
    cache = tmp_path / "probes.json"
    cache.write_text(content)
    assert ShiftProbe(cache).result(models[64], read_model_info(models[64]), "q8_0").works
    assert list(json.loads(cache.read_text()).values())[-1]["works"] is True


def test_a_cache_that_cannot_be_written_only_costs_time(models, tmp_path, caplog):
    (tmp_path / "file").write_text("x")
    assert ShiftProbe(tmp_path / "file" / "probes.json").result(models[64], read_model_info(models[64]), "q8_0").works
    assert "cannot be kept" in caplog.text


def test_cells_that_lose_what_the_model_knows_are_not_used(tmp_path):
    model = tiny_models.llama(tmp_path / "m.gguf", outlier=2000.0, n_layers=4)
    result = ShiftProbe().result(model, read_model_info(model), "q8_0")
    assert not result.works
    assert "nats apart" in result.reason
    assert run(model, "f16").returncode == 0
