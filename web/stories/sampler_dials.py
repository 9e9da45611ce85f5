"""The sampler dials of a chat's setup panel: a slider with a label and a hint for each setting that people can change.

What it refuses to know: what is allowed (store/sampling.py) and how a token is sampled (engine). A dial shows the
useful part of the allowed range; a test compares `usual` with the engine's default. To add a sampler dial: the setting
itself, if it is new (engine/sampling.py, engine/backends/llama_sampler.py, RANGES in store/sampling.py); a row in
DIALS; `make words` and the translations. The template and static/js/chat/setup_panel.js draw every row of DIALS. To add
a preset: PRESETS in store/sampling.py, a row in PRESETS here.
"""

from dataclasses import dataclass

from web.i18n.language import marked


@dataclass(frozen=True)
class SamplerDial:
    """One setting: its name in the store, its label and hint, the range and step of the slider, the engine's
    default."""

    name: str
    label: str
    hint: str
    low: float
    high: float
    step: float
    usual: float


@dataclass(frozen=True)
class SamplerPreset:
    """The label and the hint of a preset of the store."""

    name: str
    label: str
    hint: str


PRESETS = (
    SamplerPreset("balanced", marked("Balanced"), marked("A good start for any story.")),
    SamplerPreset(
        "careful", marked("Careful"), marked("Stays with what is likely: calm, consistent, sometimes plain.")
    ),
    SamplerPreset("lively", marked("Lively"), marked("Freer words, and fewer that come back again and again.")),
    SamplerPreset("surprising", marked("Surprising"), marked("Leaves the beaten path. May lose the thread.")),
)
DIALS = (
    SamplerDial(
        "temperature", marked("Temperature"), marked("Higher is bolder, lower is more predictable."), 0, 2, 0.05, 0.8
    ),
    SamplerDial(
        "min_p", "Min P", marked("Leaves out words that are much less likely than the best one."), 0, 0.5, 0.01, 0.05
    ),
    SamplerDial(
        "top_p", "Top P", marked("Keeps only the likeliest words, up to this share of all."), 0.1, 1, 0.01, 0.95
    ),
    SamplerDial(
        "repeat_penalty",
        marked("Repeat penalty"),
        marked("Above 1, words used lately come back less often."),
        0.8,
        1.5,
        0.01,
        1.1,
    ),
    SamplerDial("top_k", "Top K", marked("Chooses among so many of the likeliest words. 0: among all."), 0, 200, 1, 40),
    SamplerDial(
        "presence_penalty",
        marked("Presence penalty"),
        marked("Makes every word that was used lately less likely, however often it came."),
        -2,
        2,
        0.05,
        0,
    ),
    SamplerDial(
        "frequency_penalty",
        marked("Frequency penalty"),
        marked("Makes a word less likely each time that it comes."),
        -2,
        2,
        0.05,
        0,
    ),
    SamplerDial(
        "penalty_last_n",
        marked("Penalty range"),
        marked("How many tokens back the three penalties look. 0 turns them off."),
        0,
        1024,
        16,
        64,
    ),
    SamplerDial("dry_multiplier", "DRY", marked("Breaks up whole phrases that repeat. 0 is off."), 0, 2, 0.05, 0),
    SamplerDial(
        "dry_allowed_length",
        marked("DRY length"),
        marked("How many tokens in a row may repeat before DRY breaks them up."),
        1,
        20,
        1,
        2,
    ),
    SamplerDial("dry_base", marked("DRY base"), marked("How fast DRY grows with each token more."), 1, 4, 0.05, 1.75),
    SamplerDial(
        "xtc_probability", "XTC", marked("How often the most obvious words are left out. 0 is off."), 0, 1, 0.05, 0
    ),
    SamplerDial(
        "xtc_threshold",
        marked("XTC threshold"),
        marked("XTC leaves out the words that are likelier than this, all but the least likely of them."),
        0,
        0.5,
        0.01,
        0.1,
    ),
)
