"""The tiny models: the same seed gives the same bytes, and what a model writes depends on the text far back."""

import pytest
import tiny_models

from engine.backend import TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions

pytestmark = pytest.mark.model
FAR, NEAR = "an old smith and the inn at the end of the road. ", "It rains."


def greedy(backend, text, n=12):
    backend.clear()
    tokens, position, written = backend.tokenize(text, False), 0, []
    for _ in range(n):
        backend.decode([TokenRun(0, position, tokens, wants_logits=True)])
        position += len(tokens)
        tokens = [int(backend.logits(0).argmax())]
        written += tokens
    return written


@pytest.mark.parametrize("kind", sorted(tiny_models.MAKERS))
def test_a_tiny_model_writes_by_its_seed_and_its_text(tmp_path, kind):
    make = tiny_models.MAKERS[kind]
    path = make(tmp_path / "m.gguf")
    assert path.read_bytes() == make(tmp_path / "again.gguf").read_bytes()
    for swa_full in (True, False):
        backend = LlamaBackend(path, LlamaOptions(256, 2, n_batch=256, n_threads=1, swa_full=swa_full))
        try:
            one, other = (greedy(backend, who + FAR + NEAR) for who in ("Mira meets ", "Tom loses "))
            assert len(set(one)) > 5, "a model that repeats itself hides a wrong cell"
            assert one != other or kind == "mamba"
        finally:
            backend.close()
