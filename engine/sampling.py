"""Sampler settings: which of llama.cpp's samplers run, in which order, within which ranges.

Pure values. The chain itself is built by the backend (engine/backends/llama_sampler.py), in the order of this file:
grammar, logit bias, penalties, DRY, top-k, typical, top-p, min-p, XTC, temperature, then the draw. A new sampler needs
a field here with its range, and a line in the chain.
"""

from dataclasses import dataclass, fields
from typing import Any

from engine.errors import RequestError

RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 5.0),
    "top_k": (0, 100_000),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.5, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "penalty_last_n": (0, 4096),
    "dry_multiplier": (0.0, 5.0),
    "dry_base": (1.0, 4.0),
    "dry_allowed_length": (1, 100),
    "dry_last_n": (0, 8192),
    "xtc_probability": (0.0, 1.0),
    "xtc_threshold": (0.0, 1.0),
    "mirostat_tau": (0.0, 20.0),
    "mirostat_eta": (0.0, 1.0),
    "seed": (0, 2**32 - 2),
    "top_n": (0, 20),
}


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """Everything that decides how a token is drawn from a row of logits.

    temperature 0 is greedy. `mirostat` turns mirostat v2 on (top-k to XTC are then left out, as in llama.cpp).
    `seed` None draws one. `logit_bias` maps token ids to additions. `grammar` is GBNF with the rule `root`.
    `ban_end` forbids the end of the reply as its very next token (continue). `top_n` asks for that many token
    probabilities with each token.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.1
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_last_n: int = 64
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_last_n: int = 256
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: bool = False
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: str = ""
    ban_end: bool = False
    top_n: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise RequestError(f"sampler setting {name} is {value}: it must lie between {low:g} and {high:g}")

    @property
    def penalizes(self) -> bool:
        """Whether tokens that came lately have other chances."""
        return self.penalty_last_n > 0 and bool(
            self.repeat_penalty != 1 or self.frequency_penalty or self.presence_penalty
        )

    @property
    def n_remembered(self) -> int:
        """How many of the last tokens bear on the chances of the next one."""
        return max(self.penalty_last_n if self.penalizes else 0, self.dry_last_n if self.dry_multiplier else 0)


def settings_from(values: dict[str, Any]) -> SamplerSettings:
    """Sampler settings out of a plain dict (as a chat stores it); an unknown name is refused, not ignored."""
    known = {field.name for field in fields(SamplerSettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise RequestError(f"unknown sampler setting {unknown[0]!r}: expected one of {', '.join(sorted(known))}")
    values = dict(values)
    if "logit_bias" in values:
        values["logit_bias"] = tuple((int(token), float(bias)) for token, bias in values["logit_bias"])
    try:
        return SamplerSettings(**values)
    except TypeError as error:
        raise RequestError(f"a sampler setting has the wrong type: {error}") from error
