"""Sampler chain of one reply, built from llama.cpp's samplers (33 us a token at a 32k vocabulary; numpy 230).

Order: grammar, logit bias, penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, draw; mirostat v2 replaces
the samplers from top-k to XTC. Temperature 0 is the greedy sampler. Two short cuts: with top-k the chain gets only the
tokens that can be among the k (llama_top_k.py); greedy with at most a logit bias is an argmax over the row.
To add a sampler: the recipe is in engine/sampling.py.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from engine.backend import Choice, Logits
from engine.backends.llama_top_k import TopKCandidates
from engine.errors import RequestError
from engine.sampling import SamplerSettings

_RANDOM_SEED = 0xFFFFFFFF
_DRY_BREAKERS = (b"\n", b":", b'"', b"*")
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
assert _TOKEN_DATA.itemsize == ctypes.sizeof(llama.llama_token_data)


class LlamaSampler:
    """One chain. `row_index` maps a row of the last decode to its index in the batch; `ends` are the end tokens."""

    def __init__(
        self,
        model: llama.llama_model_p,
        context: llama.llama_context_p,
        settings: SamplerSettings,
        history: Sequence[int],
        row_index: Callable[[int], int],
        ends: Sequence[int],
    ) -> None:
        self._context, self._settings, self._row_index, self._ends = context, settings, row_index, list(ends)
        self._vocab = llama.llama_model_get_vocab(model)
        self._n_vocab = llama.llama_vocab_n_tokens(self._vocab)
        self._row = ctypes.c_float * self._n_vocab
        self._first = True
        self._argmax = _BiasedArgmax(settings.logit_bias, self._n_vocab) if _is_plain_greedy(settings) else None
        self._top_k = TopKCandidates(self._n_vocab, settings, history) if TopKCandidates.applies_to(settings) else None
        self._grammar = self._make_grammar()
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for link in self._links(llama.llama_model_n_ctx_train(model)):
            llama.llama_sampler_chain_add(self._chain, link)
        for token in history[-max(settings.penalty_last_n, settings.dry_last_n, 1) :]:
            llama.llama_sampler_accept(self._chain, token)

    def sample(self, row: int) -> Choice:
        """Draw from row `row` of the last decode; entirely in C unless a setting needs the row in Python."""
        index = self._row_index(row)
        if self._grammar or self._settings.top_n or (self._first and self._settings.ban_end):
            return self.sample_from(self._logits(index))
        self._first = False
        if self._argmax:
            return Choice(self._argmax.token(self._logits(index)))
        if self._top_k:
            token = self._sample_top_k(self._top_k, self._logits(index))
            if token is not None:
                return Choice(token)
        return Choice(self._recorded(int(llama.llama_sampler_sample(self._chain, self._context, index))))

    def _sample_top_k(self, top_k: TopKCandidates, logits: Logits) -> int | None:
        ids = top_k.token_ids(logits)
        if ids is None:
            return None
        candidates, _ = _candidates(ids, logits[ids])
        return self._draw(candidates)

    def sample_from(self, logits: Logits) -> Choice:
        """Draw from a cached row, or from a row that a setting needs in Python (grammar, `top_n`, `ban_end`)."""
        candidates, data = _candidates(np.arange(self._n_vocab), logits)
        if self._first and self._settings.ban_end:
            data["logit"][self._ends] = -np.inf
        self._first = False
        if self._grammar:
            llama.llama_sampler_apply(self._grammar, ctypes.byref(candidates))
        top = self._top(data["logit"])
        token = self._draw(candidates)
        if self._grammar:
            llama.llama_sampler_accept(self._grammar, token)
        return Choice(token, top)

    def _draw(self, candidates: llama.llama_token_data_array) -> int:
        llama.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        token = int(candidates.data[candidates.selected].id)
        llama.llama_sampler_accept(self._chain, token)
        return self._recorded(token)

    def _recorded(self, token: int) -> int:
        if self._top_k:
            self._top_k.record(token)
        return token

    def _logits(self, index: int) -> Logits:
        """llama.cpp's own row at `index` of the batch, not copied: valid until the next decode."""
        pointer = llama.llama_get_logits_ith(self._context, index)
        return np.ctypeslib.as_array(self._row.from_address(ctypes.addressof(pointer.contents)))

    def close(self) -> None:
        """Free the chain; safe to call twice."""
        if self._chain:
            llama.llama_sampler_free(self._chain)
            self._chain = None
        if self._grammar:
            llama.llama_sampler_free(self._grammar)
            self._grammar = None

    def _top(self, logits: Logits) -> tuple[tuple[int, float], ...]:
        """The likeliest tokens with their probabilities before any sampler but the grammar."""
        n = self._settings.top_n
        if not n:
            return ()
        best = np.argpartition(-logits, n)[:n]
        best = best[np.argsort(-logits[best])]
        weights = np.exp((logits - logits.max()).astype(np.float64))
        return tuple((int(token), float(weights[token] / weights.sum())) for token in best)

    def _make_grammar(self) -> llama.llama_sampler_p | None:
        text = self._settings.grammar
        if not text:
            return None
        grammar = llama.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
        if not grammar:
            raise RequestError("the grammar is not valid GBNF with a rule named root")
        return grammar

    def _links(self, n_context_train: int) -> list[llama.llama_sampler_p]:
        s = self._settings
        links = self._bias_and_penalties(n_context_train)
        if s.temperature == 0:
            return [*links, llama.llama_sampler_init_greedy()]
        seed = _RANDOM_SEED if s.seed is None else s.seed
        if s.mirostat:
            links.append(llama.llama_sampler_init_temp(s.temperature))
            return [*links, llama.llama_sampler_init_mirostat_v2(seed, s.mirostat_tau, s.mirostat_eta)]
        if s.top_k:
            links.append(llama.llama_sampler_init_top_k(s.top_k))
        if s.typical_p < 1:
            links.append(llama.llama_sampler_init_typical(s.typical_p, 1))
        if s.top_p < 1:
            links.append(llama.llama_sampler_init_top_p(s.top_p, 1))
        if s.min_p > 0:
            links.append(llama.llama_sampler_init_min_p(s.min_p, 1))
        if s.xtc_probability > 0:
            links.append(llama.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, seed))
        return [*links, llama.llama_sampler_init_temp(s.temperature), llama.llama_sampler_init_dist(seed)]

    def _bias_and_penalties(self, n_context_train: int) -> list[llama.llama_sampler_p]:
        s = self._settings
        links = []
        if s.logit_bias:
            biases = (llama.llama_logit_bias * len(s.logit_bias))(*s.logit_bias)
            links.append(llama.llama_sampler_init_logit_bias(self._n_vocab, len(biases), biases))
        if s.penalizes:
            links.append(
                llama.llama_sampler_init_penalties(
                    self._n_vocab, s.penalty_last_n, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
                )
            )
        if s.dry_multiplier > 0:
            breakers = (ctypes.c_char_p * len(_DRY_BREAKERS))(*_DRY_BREAKERS)
            dry = (s.dry_multiplier, s.dry_base, s.dry_allowed_length, s.dry_last_n)
            links.append(llama.llama_sampler_init_dry(self._vocab, *dry, breakers, len(_DRY_BREAKERS)))
        return links


def _candidates(ids: NDArray[np.intp], logits: Logits) -> tuple[llama.llama_token_data_array, NDArray[np.void]]:
    """llama.cpp's array of candidates, and the numpy array that it points into (keep a reference to it)."""
    data = np.empty(len(ids), dtype=_TOKEN_DATA)
    data["id"], data["logit"], data["p"] = ids, logits, 0.0
    candidates = llama.llama_token_data_array()
    candidates.data = ctypes.cast(data.ctypes.data, type(candidates.data))
    candidates.size, candidates.selected, candidates.sorted = len(ids), -1, False
    return candidates, data


def _is_plain_greedy(s: SamplerSettings) -> bool:
    """Whether the next token is the argmax of row plus bias: greedy, no penalties, no DRY, no token biased twice."""
    n_biased = len({token for token, _ in s.logit_bias})
    return not (s.temperature or s.penalizes or s.dry_multiplier or n_biased != len(s.logit_bias))


class _BiasedArgmax:
    """Greedy choice without a list of candidates: the first of the highest logits, as llama.cpp's greedy sampler."""

    def __init__(self, bias: Sequence[tuple[int, float]], n_vocab: int) -> None:
        known = [(token, value) for token, value in bias if 0 <= token < n_vocab]
        self._biased = np.array([token for token, _ in known], dtype=np.intp)
        self._bias = np.array([value for _, value in known], dtype=np.float32)

    def token(self, row: Logits) -> int:
        """The likeliest token. The bias is added to the row in place and taken off again."""
        if not len(self._biased):
            return int(row.argmax())
        plain = row[self._biased]
        row[self._biased] = plain + self._bias
        token = int(row.argmax())
        row[self._biased] = plain
        return token
