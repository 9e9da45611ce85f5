"""The dials show what the engine does and offer what the store allows."""

import pytest

from engine.sampling import SamplerSettings
from store import sampling
from web.stories.sampler_dials import DIALS, PRESETS


@pytest.mark.parametrize("dial", DIALS, ids=lambda dial: dial.name)
def test_a_dial_stands_where_the_engine_does_and_turns_where_the_store_allows(dial):
    assert dial.usual == getattr(SamplerSettings(), dial.name)
    low, high = sampling.RANGES[dial.name]
    assert low <= dial.low <= dial.usual <= dial.high <= high


def test_every_preset_is_shown_and_can_be_shown_by_the_dials():
    assert [one.name for one in PRESETS] == list(sampling.PRESETS)
    dials = {dial.name: dial for dial in DIALS}
    for values in sampling.PRESETS.values():
        for name, value in values.items():
            assert dials[name].low <= value <= dials[name].high
