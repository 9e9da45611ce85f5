"""What the state of a model costs that has more than cells of full attention: bytes saved in a turn, and waking.

    python -m bench.state_costs --model gemma     (or a file, or tiny-qwen35, tiny-lfm2, tiny-jamba ...)

Prints, for a turn of a story of 1,500 tokens: the cells of its own tokens, what a window holds of them, the checkpoints
of a recurrent state; and how much faster the story wakes from RAM and from disk than it is read.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from bench.engine_ratios import Ratios, settle
from bench.engine_story import PROSE, BenchStory
from bench.models import add_model, model_file
from bench.tables import machine, table
from engine.kv.scratch import checkpoint_key, rest_key

N_TURNS, N_STORY = 5, 1500


class StateCosts(Ratios):
    """The rows of one model."""

    def run(self) -> list[tuple[str, str, str, str]]:
        """Bytes, then waking."""
        self.bytes_of_a_turn()
        self.waking()
        self._close()
        return self.rows

    def bytes_of_a_turn(self) -> None:
        """Bytes that a turn saves, by what they are; the median turn of several."""
        engine = self.engine(folder=self.folder / "bytes", context=4000, ram_bytes=1 << 30)
        story = BenchStory(engine, "bytes")
        story.fill(N_STORY)
        story.turn()
        turns = []
        for _ in range(N_TURNS):
            settle(engine)
            before, n_held = engine.blocks.bytes_saved, len(story.segments)
            story.say(PROSE)
            story.turn(max_tokens=60)
            settle(engine)
            new = engine.inspect(story.name)[n_held:]
            saved = {kind: sum(self._size(engine, of(held.key)) for held in new) for kind, of in KINDS.items()}
            n_tokens = sum(len(held.segment.tokens) for held in new)
            turns.append((engine.blocks.bytes_saved - before, n_tokens, saved))
        engine.close()
        together, n_tokens, saved = sorted(turns, key=lambda turn: turn[0] / turn[1])[N_TURNS // 2]
        detail = f"{n_tokens} tokens; " + ", ".join(f"{kind} {size / 1024:,.0f} KiB" for kind, size in saved.items())
        figure = f"{together / max(1, saved['cells'] + saved['window']):.3f}"
        self.row("bytes saved in a turn / cells of its own tokens", figure, "", detail)

    @staticmethod
    def _size(engine: object, key: bytes) -> int:
        block = engine.blocks.peek(key)  # type: ignore[attr-defined]
        return len(block.payload) if block else 0


KINDS = {"cells": bytes, "window": rest_key, "checkpoint at its end": checkpoint_key}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model(parser)
    named = parser.parse_args().model
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        rows = StateCosts(Path(folder), model=model_file(named, Path(folder))).run()
    print(f"{machine()}; {named or 'SmolLM2-135M'}\n\n{table(('what', 'measured', 'target', 'detail'), rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
