"""The outlines of published models, and the plans made from them: true to the published files, and to llama.cpp."""

import re
import subprocess
import sys

import pytest

from bench import published_shapes
from bench.model_outlines import outline
from engine.model.info import read_model_info
from engine.model.memory_plan import MIB
from engine.model.story_size import StorySize

pytestmark = pytest.mark.model


@pytest.mark.parametrize(("name", "n_gb"), [("LLAMA31_8B", 4.92)])
def test_an_outline_is_as_long_as_the_published_file_and_takes_no_disk(tmp_path, name, n_gb):
    path = outline(tmp_path / "m.gguf", getattr(published_shapes, name))
    assert path.stat().st_size / 1e9 == pytest.approx(n_gb, rel=0.01)
    assert path.stat().st_blocks * 512 < 32 * MIB


def test_what_a_chat_of_a_hybrid_leaves_behind(tmp_path):
    """LFM2 2.6B: 8 layers x 8 heads x 64 x (K and V) x 2 bytes a token, and 22 states of 2 x 2048 floats."""
    kept = StorySize.of(read_model_info(outline(tmp_path / "m.gguf", published_shapes.LFM2_26B)), "f16")
    assert (kept.token_bytes, kept.state_bytes) == (16 * 1024, 22 * 2 * 2048 * 4)
    assert kept.in_ram(100) == 100 * kept.token_bytes + 3 * kept.state_bytes
    assert kept.on_disk(100) == 100 * kept.token_bytes + kept.state_bytes


def test_llama_cpp_would_allocate_for_a_published_model_what_is_planned():
    found = subprocess.run(
        [sys.executable, "-m", "bench.allocations", "LFM2"], capture_output=True, text=True, check=True
    )
    rows = re.findall(r"LFM2 2\.6B .*\| ([\d.]+) \| \d+ \| \d+ \| ([\d.]+) \|", found.stdout)
    assert len(rows) == 2
    for kept, computing in rows:
        assert float(kept) == pytest.approx(1, abs=0.001)
        assert 1 <= float(computing) <= 1.5
