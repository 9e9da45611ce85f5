"""Sampler settings: the parameters of llama.cpp's samplers, with their ranges and defaults. Pure values.

What it refuses to know: how a token is drawn. The backend builds the chain (engine/backends/llama_sampler.py).

To add a sampler:
1. here: a range in RANGES, a field with its default (off), a line in the docstring if the name does not say it all;
2. engine/backends/llama_sampler.py: the link in `_links` or `_bias_and_penalties`, and the order in the docstring;
3. if it changes logits before top-k: `n_remembered` here, `can_change` in engine/backends/llama_top_k.py, and
   `_is_plain_greedy` in llama_sampler.py, or the two short cuts would leave it out;
4. engine/backends/echo.py, `EchoSampler`, only if the echo backend should obey it;
5. tests/engine/test_llama_sampler.py: a case of `test_each_filter_leaves_what_it_should`;
6. store/sampling.py: what a chat may keep (RANGES, within the engine's; WHOLE for integers) and the presets;
7. web/stories/sampler_dials.py: a dial with its hint, then `make words` and the translations in web/translations/; the
   page draws whatever is in DIALS. A label of letters that no language translates: OURS in tests/web/test_language.py.
tests/engine/test_sampling.py, tests/store/test_edits.py and tests/web/test_sampler_dials.py compare these lists.
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

    `temperature` 0 is greedy. `mirostat` turns mirostat v2 on, which replaces top-k to XTC, as in llama.cpp. With
    `seed` None the seed is random. `logit_bias` maps token ids to additions. `grammar` is GBNF with the rule `root`.
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
        """Whether recent tokens get a penalty."""
        return self.penalty_last_n > 0 and bool(
            self.repeat_penalty != 1 or self.frequency_penalty or self.presence_penalty
        )

    @property
    def n_remembered(self) -> int:
        """How many of the last tokens influence the logits of the next one (penalties and DRY)."""
        return max(self.penalty_last_n if self.penalizes else 0, self.dry_last_n if self.dry_multiplier else 0)


def settings_from(values: dict[str, Any]) -> SamplerSettings:
    """Sampler settings from a plain dict, as a chat stores it. Raises RequestError for an unknown name or a bad
    value."""
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
