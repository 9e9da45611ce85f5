"""The tokens that can still be drawn behind top-k, found without a list of all tokens that there are.

What stands before top-k in the chain (bias, penalties, DRY) changes the logits of few tokens: those with a bias and
those that came lately. Of the others, the k likeliest afterwards are the k likeliest before. So the k and as many more
as can change, and all that can change, are every token that top-k may leave; what draws from them draws the same (which
of two equally likely tokens comes first was never said).
What it refuses to know: llama.cpp. Pure but for its memory of what came lately.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.sampling import SamplerSettings

_STRANDS = 64  # a row is looked at as this many strands side by side


class TopKCandidates:
    """For one reply. `history`: the tokens before it, the last one last."""

    def __init__(self, n_vocab: int, settings: SamplerSettings, history: Sequence[int]) -> None:
        self._n_vocab, self._k = n_vocab, settings.top_k if settings.temperature else 1
        self._biased = sorted({token for token, _ in settings.logit_bias if 0 <= token < n_vocab})
        self._recent = deque(history, maxlen=settings.n_remembered)

    @staticmethod
    def applies_to(settings: SamplerSettings) -> bool:
        """Whether only the k likeliest are left: behind top-k, and where the likeliest is taken."""
        return settings.temperature == 0 or (settings.top_k > 0 and not settings.mirostat)

    def record(self, token: int) -> None:
        """This token was drawn."""
        self._recent.append(token)

    def token_ids(self, row: NDArray[np.float32]) -> NDArray[np.intp] | None:
        """Ids of the candidates in a row of logits (n_vocab,), in order; None when they are no fewer than all."""
        can_change = [*self._biased, *set(self._recent)]
        n_wanted = self._k + len(can_change)
        length = self._n_vocab // _STRANDS
        if n_wanted >= length:
            return None
        tops = row[: length * _STRANDS].reshape(_STRANDS, length).max(axis=0)
        least = np.partition(tops, -n_wanted)[-n_wanted]  # so many tokens at least are as likely as this
        wanted = row >= least
        wanted[can_change] = True
        return np.flatnonzero(wanted)
