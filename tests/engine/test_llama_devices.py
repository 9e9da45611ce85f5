"""The cards that llama.cpp can use, as it names them."""

from engine.backends.llama_devices import devices, usable_devices
from engine.backends.llama_loading import has_gpu


def test_a_card_is_named_where_this_build_can_use_one():
    found = devices()
    assert bool(found) is has_gpu()
    assert set(usable_devices()) <= set(found)
    assert bool(usable_devices()) is bool(found)
    for device in found:
        assert device.backend
        assert device.name
        assert 0 < device.free_bytes <= device.total_bytes
