import pytest

from engine import RequestError, SamplerSettings, settings_from
from engine.sampling import RANGES


@pytest.mark.parametrize(("name", "limits"), RANGES.items())
def test_out_of_range_is_refused_by_name_and_with_the_range(name, limits):
    for value in (limits[0] - 1, limits[1] + 1):
        with pytest.raises(RequestError, match=f"{name} is {value}: it must lie between"):
            settings_from({name: value})
    for value in limits:
        settings_from({name: value})


def test_unknown_settings_are_refused():
    with pytest.raises(RequestError, match="unknown sampler setting 'temprature'"):
        settings_from({"temprature": 1})


def test_defaults_are_valid():
    assert settings_from({}) == SamplerSettings()
