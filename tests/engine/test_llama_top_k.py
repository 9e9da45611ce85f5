"""Every token that can be among the k likeliest, whatever bias and penalties do, is a candidate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.llama_top_k import TopKCandidates
from engine.sampling import SamplerSettings

N_VOCAB = 9_001


@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 60),
    history=st.lists(st.integers(0, N_VOCAB - 1), max_size=40),
    biased=st.lists(st.integers(-5, N_VOCAB + 5), max_size=20),
    flat=st.booleans(),
)
def test_no_token_that_can_be_drawn_is_missing(seed, k, history, biased, flat):
    rng = np.random.default_rng(seed)
    row = (rng.integers(0, 4, N_VOCAB) if flat else rng.normal(0, 3, N_VOCAB)).astype(np.float32)
    settings = SamplerSettings(top_k=k, penalty_last_n=16, logit_bias=tuple((token, 1.0) for token in biased))
    candidates = TopKCandidates(N_VOCAB, settings, history)
    for token in history[:5]:
        candidates.record(token)
    ids = candidates.token_ids(row)
    changed = {*[*history, *history[:5]][-16:], *(token for token in biased if 0 <= token < N_VOCAB)}
    after = row.copy()
    after[list(changed)] += rng.normal(0, 20, len(changed)).astype(np.float32)
    least = np.sort(after)[-k]
    assert set(np.flatnonzero(after > least)) <= set(ids)
    assert np.count_nonzero(after[ids] >= least) >= k
    assert list(ids) == sorted(set(ids))


def test_where_nearly_all_are_wanted_there_is_no_candidate_set():
    settings = SamplerSettings(top_k=500, repeat_penalty=1.0)
    assert TopKCandidates(N_VOCAB, settings, ()).token_ids(np.zeros(N_VOCAB, np.float32)) is None


def test_without_top_k_there_is_no_candidate_set():
    assert not TopKCandidates.applies_to(SamplerSettings(top_k=0))
    assert not TopKCandidates.applies_to(SamplerSettings(mirostat=True))
    assert TopKCandidates.applies_to(SamplerSettings(temperature=0.0, top_k=0))
