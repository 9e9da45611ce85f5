"""Surgery == fresh on real llama.cpp, with tiny random models of every kind of memory."""

from pathlib import Path

import pytest
import tiny_models
from engine_stories import Story

from bench.chains import Chain, Reference, WindowChain
from bench.soak_engine import switching
from engine import Engine, EngineOptions, SamplerSettings
from engine.backend import Cut
from engine.backends.llama import LlamaBackend, LlamaOptions
from tests.harness.soak import n_examples

pytestmark = pytest.mark.model
N_SWITCHES = n_examples(80, 2000)


# Half a character at the end of a reply is taken back, which such a model can do only by reading again.
ASCII = SamplerSettings(temperature=0, logit_bias=tuple((token, -1000.0) for token in range(3 + 128, 3 + 256)))


def random_bytes(rng, n):
    return tuple(rng.randrange(3, 259) for _ in range(n))


def engines(model: Path, folder: Path, kv_type: str = "f16", swa_full: bool = True):
    def subject() -> Engine:
        options = LlamaOptions(1200, 4, n_batch=64, n_threads=1, kv_type=kv_type, swa_full=swa_full)
        backend = LlamaBackend(model, options)
        if backend.can_move:
            backend.n_context_train = 700  # so that a chain is re-based now and then
        return Engine(
            backend, EngineOptions(500, 2, folder=folder, park_after_s=0.0, checkpoints=1000, windows_in_ram=1000)
        ).start()

    roomy = LlamaOptions(6000, 12, n_batch=64, n_threads=1, kv_type=kv_type)
    backend = LlamaBackend(model, roomy)
    backend.n_context_train = 10**9
    return subject, Engine(backend, EngineOptions(1500, 1, checkpoints=1000, windows_in_ram=1000)).start()


@pytest.mark.parametrize("seed", range(n_examples(2, 10)))
@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_model_that_can_shift(tmp_path, seed, kv_type):
    model = tiny_models.llama(tmp_path / "m.gguf", head_size=64)
    make, reference = engines(model, tmp_path / "blocks", kv_type)
    try:
        found = Chain(make, reference, random_bytes, seed).run(25)
    finally:
        reference.close()
    assert found.n_first_differs == 0
    assert found.largest < 0.05, found


@pytest.mark.parametrize("swa_full", [True, False])
@pytest.mark.parametrize("window", [4, 12, 32, 128])
def test_a_sliding_window(tmp_path, window, swa_full):
    model = tiny_models.gemma2(tmp_path / "m.gguf", window=window)
    chain = WindowChain(*engines(model, tmp_path / "blocks", swa_full=swa_full), random_bytes, window)
    assert_never_moved(chain, Cut.WINDOW)


@pytest.mark.parametrize("kind", ["gemma3", "qwen35", "lfm2", "jamba", "granitehybrid"])
def test_a_window_or_a_state_beside_the_cells(tmp_path, kind):
    model = getattr(tiny_models, kind)(tmp_path / "m.gguf")
    cut, kind_of_chain = (Cut.WINDOW, WindowChain) if kind == "gemma3" else (Cut.CHECKPOINT, Chain)
    assert_never_moved(kind_of_chain(*engines(model, tmp_path / "blocks"), random_bytes, 7), cut)


def assert_never_moved(chain: Chain, cut: Cut) -> None:
    try:
        assert (chain.subject.backend.cut, chain.subject.backend.can_drop) == (cut, True)
        found = chain.run(25)
    finally:
        chain.reference.close()
    assert found.n_first_differs == 0
    assert found.largest < 0.05, found
    assert chain.subject.blocks.n_refused == 0


def test_a_recurrent_model_keeps_snapshots(tmp_path):
    model = tiny_models.mamba(tmp_path / "m.gguf")
    make, reference = engines(model, tmp_path / "blocks")
    try:
        chain = Chain(make, reference, random_bytes, 7, Reference.fresh)
        assert not chain.subject.backend.can_drop
        found = chain.run(25)
    finally:
        reference.close()
    assert found.n_first_differs == 0
    assert found.largest < 0.05, found
    assert chain.subject.blocks.n_refused == 0


@pytest.mark.parametrize("kind", ["gemma2", "gemma3", "mamba", "jamba", "qwen35", "lfm2"])
def test_a_woken_session_of_any_kind_reads_only_what_is_new(tmp_path, kind, make_engine):
    model = getattr(tiny_models, kind)(tmp_path / "m.gguf")
    backend = LlamaBackend(model, LlamaOptions(1200, 3, n_batch=64, n_threads=1))
    engine = make_engine(backend, context=500, park_after_s=0.0)
    stories = [Story(engine, f"chat{i}", "You are Mira. " * 5) for i in range(4)]
    for turn in range(3):
        for story in stories:
            story.say(f"{story.name} says hello {turn}")
            done = story.turn(max_tokens=5, sampling=ASCII)
            if turn:
                new = len(story.segments[-2].tokens) + len(story.reply_spec().header)
                assert done.stats.n_evaluated == new
                assert done.stats.n_restored
    assert engine.blocks.n_refused == 0


def test_switching_between_sessions_changes_no_bit(tmp_path):
    model = tiny_models.llama(tmp_path / "m.gguf")
    chain, apart = switching(model, tmp_path / "blocks", n_chats=8)
    try:
        for _ in range(N_SWITCHES):
            chain.switch()
    finally:
        chain.subject.close()
        apart.close()
    assert (chain.difference.n_exact, chain.difference.largest) == (N_SWITCHES, 0.0)


def test_a_window_whose_state_does_not_come_apart_keeps_snapshots(tmp_path, make_engine):
    backend = LlamaBackend(tiny_models.gemma2(tmp_path / "m.gguf"), LlamaOptions(1200, 3, n_batch=64, n_threads=1))
    backend.can_drop = False  # as after a probe that failed
    engine = make_engine(backend, context=500, park_after_s=0.0)
    stories = [Story(engine, f"chat{i}", "You are Mira. " * 5) for i in range(4)]
    for turn in range(3):
        for story in stories:
            story.say(f"{story.name} says hello {turn}")
            done = story.turn(max_tokens=5, sampling=ASCII)
            if turn:
                assert done.stats.n_evaluated == len(story.segments[-2].tokens) + len(story.reply_spec().header)
    assert engine.blocks.n_refused == 0
