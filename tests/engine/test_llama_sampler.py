"""llama.cpp's chain does what the settings say: each sampler seen at work on a row whose answer is known."""

import numpy as np
import pytest

from engine import SamplerSettings
from engine.backend import DecodeResult, TokenRun

pytestmark = pytest.mark.model


def draws(llama, row, n=200, history=(), **settings):
    sampler = llama.sampler(SamplerSettings(**{"repeat_penalty": 1.0, "seed": 1, **settings}), history)
    found = [sampler.sample_from(row.copy()).token for _ in range(n)]
    sampler.close()
    return found


@pytest.fixture
def row(llama):
    """Five candidates with falling chances; everything else is out of the question."""
    logits = np.full(llama.n_vocab, -30.0, dtype=np.float32)
    logits[[1000, 1001, 1002, 1003, 1004]] = [5.0, 4.0, 3.0, 2.0, 1.0]
    return logits


OPEN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


def test_greedy_takes_the_first(llama, row):
    assert set(draws(llama, row, temperature=0)) == {1000}


def test_nothing_but_temperature_draws_by_the_softmax(llama, row):
    found = draws(llama, row, n=3000, **OPEN)
    share = found.count(1000) / len(found)
    weights = np.exp([5.0, 4.0, 3.0, 2.0, 1.0])
    assert abs(share - weights[0] / weights.sum()) < 0.05


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"top_k": 2}, {1000, 1001}),
        ({"top_p": 0.8}, {1000, 1001}),
        ({"min_p": 0.3}, {1000, 1001}),
        ({"logit_bias": ((1000, -100.0),), "top_k": 1}, {1001}),
        ({"presence_penalty": 2.0, "penalty_last_n": 8, "top_k": 1}, {1001}),
        ({"repeat_penalty": 2.0, "penalty_last_n": 8, "top_k": 1}, {1001}),
        ({"frequency_penalty": 2.0, "penalty_last_n": 8, "top_k": 1}, {1001}),
        ({"xtc_probability": 1.0, "xtc_threshold": 0.1}, {1001, 1002, 1003, 1004}),
    ],
)
def test_each_filter_leaves_what_it_should(llama, row, settings, left):
    found = {
        draws(llama, row, n=1, history=(1000, 1000), **{**OPEN, **settings, "seed": seed})[0] for seed in range(60)
    }
    assert found <= left
    assert min(left) in found or "xtc_probability" in settings


def test_typical_and_mirostat_draw_from_the_candidates(llama, row):
    for settings in ({"typical_p": 0.5}, {"mirostat": True, "mirostat_tau": 2.0}):
        assert set(draws(llama, row, **{**OPEN, **settings})) <= {1000, 1001, 1002, 1003, 1004}


def test_dry_breaks_a_loop(llama, row):
    loop = (2001, 2002, 2003, 1000) * 4 + (2001, 2002, 2003)
    plain = draws(llama, row, n=1, history=loop, temperature=0)
    dry = draws(llama, row, n=1, history=loop, temperature=0, dry_multiplier=5.0, dry_base=2.0)
    assert plain == [1000]
    assert dry != [1000]


@pytest.mark.parametrize("n_biased", [0, 1, 40])
def test_greedy_out_of_the_row_is_greedy_out_of_the_chain(llama, n_biased):
    tokens = tuple(llama.tokenize("The keeper waits for the last ferry every morning, and speaks of the storm", False))
    llama.clear()
    assert llama.decode([TokenRun(0, 0, tokens, True)]) is DecodeResult.DONE
    row = llama.logits(0)
    best = np.argsort(-row)[:n_biased]
    settings = SamplerSettings(temperature=0.0, repeat_penalty=1.0, logit_bias=tuple((int(t), -50.0) for t in best))
    sampler = llama.sampler(settings, tokens)
    found = [sampler.sample(0), sampler.sample(0), sampler.sample_from(row.copy())]
    sampler.close()
    assert len(set(found)) == 1
    assert found[0].token == np.argsort(-row)[n_biased]
    assert np.array_equal(llama.logits(0), row)


def test_greedy_with_a_bias_on_no_token_and_on_one_token_twice(llama):
    tokens = tuple(llama.tokenize("The keeper waits", False))
    llama.clear()
    assert llama.decode([TokenRun(0, 0, tokens, True)]) is DecodeResult.DONE
    best, second = (int(token) for token in np.argsort(-llama.logits(0))[:2])
    for bias in (((llama.n_vocab + 7, 50.0), (best, -50.0)), ((best, -25.0), (best, -25.0))):
        sampler = llama.sampler(SamplerSettings(temperature=0.0, repeat_penalty=1.0, logit_bias=bias), tokens)
        assert sampler.sample(0).token == second
        sampler.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 2.0, "top_k": 200, "top_p": 1.0, "min_p": 0.0, "xtc_probability": 0.5, "repeat_penalty": 1.0},
        {"repeat_penalty": 0.6, "presence_penalty": -1.5, "frequency_penalty": 0.3, "penalty_last_n": 16},
        {"dry_multiplier": 3.0, "dry_last_n": 64, "dry_allowed_length": 1, "typical_p": 0.9},
        {"logit_bias": tuple((token, 9.0) for token in range(300, 340)), "top_k": 3, "temperature": 1.5},
        {"top_k": 5000, "min_p": 0.0},
    ],
)
def test_what_is_drawn_from_few_candidates_is_drawn_from_all(llama, settings):
    tokens = tuple(llama.tokenize("The keeper waits for the last ferry, and the keeper waits for the storm", False))
    llama.clear()
    assert llama.decode([TokenRun(0, 0, tokens, True)]) is DecodeResult.DONE
    row, asked = llama.logits(0), SamplerSettings(**{"seed": 7, **settings})
    few, every = llama.sampler(asked, tokens), llama.sampler(asked, tokens)
    drawn = [few.sample(0).token for _ in range(150)]
    wanted = [every.sample_from(row.copy()).token for _ in range(150)]
    assert list(row[drawn]) == list(row[wanted])  # which of two that are equally likely comes first is chance
    assert settings or len(set(drawn)) > 1
    few.close()
    every.close()
