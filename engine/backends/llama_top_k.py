"""Exact candidate set for top-k, found without sorting the vocabulary.

The samplers before top-k (bias, penalties, DRY) change the logits of only m tokens: the biased and the recent ones. All
other tokens keep their order. So the k + m likeliest tokens of the raw row, together with the m that can change,
contain every token that top-k may keep, and the rest of the chain draws from them as it would from all (ties are in no
defined order either way). Pure, apart from its list of recent tokens. What it refuses to know: llama.cpp.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.sampling import SamplerSettings

_N_STRIPES = 64  # a row is viewed as this many stripes of equal length


class TopKCandidates:
    """The candidates of one reply. `history`: the tokens before it, oldest first."""

    def __init__(self, n_vocab: int, settings: SamplerSettings, history: Sequence[int]) -> None:
        self._n_vocab, self._k = n_vocab, settings.top_k if settings.temperature else 1
        self._biased = sorted({token for token, _ in settings.logit_bias if 0 <= token < n_vocab})
        self._recent = deque(history, maxlen=settings.n_remembered)

    @staticmethod
    def applies_to(settings: SamplerSettings) -> bool:
        """Whether these settings draw from the k likeliest tokens only: top-k is on, or greedy (k = 1)."""
        return settings.temperature == 0 or (settings.top_k > 0 and not settings.mirostat)

    def record(self, token: int) -> None:
        """Note a drawn token: penalties can change its logit from now on."""
        self._recent.append(token)

    def token_ids(self, row: NDArray[np.float32]) -> NDArray[np.intp] | None:
        """Ascending token ids of the candidates in a row of logits (n_vocab,); None when they would be too many to
        pay."""
        can_change = [*self._biased, *set(self._recent)]
        n_wanted = self._k + len(can_change)
        length = self._n_vocab // _N_STRIPES
        if n_wanted >= length:
            return None
        stripe_maxima = row[: length * _N_STRIPES].reshape(_N_STRIPES, length).max(axis=0)
        threshold = np.partition(stripe_maxima, -n_wanted)[-n_wanted]  # at least n_wanted tokens reach it
        is_candidate = row >= threshold
        is_candidate[can_change] = True
        return np.flatnonzero(is_candidate)
