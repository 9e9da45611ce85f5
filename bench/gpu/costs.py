"""Step: waking, eviction and saving on the 7B-shaped model, as ratios (bench/engine_ratios.py)."""

import sys
import tempfile
from pathlib import Path

from bench.engine_ratios import Ratios
from bench.gpu.asked import ask
from bench.gpu.rows import judged, meets, tell

ROUNDS, TOY_ROUNDS = 3, 1


class CardCosts(Ratios):
    """The three ratios that a card changes; each row is told at once."""

    def row(self, what: str, figure: str, target: str, detail: str) -> None:
        """Note a row, and tell it."""
        self.rows.append((what, figure, target, detail))
        tell(judged("costs", what, figure, target, meets(figure, target), detail))

    def run(self) -> list[tuple[str, str, str, str]]:
        """All of them."""
        for part in (self.waking, self.eviction, self.bytes_saved):
            part()
        self._close()
        return self.rows


def main() -> int:
    asked = ask(__doc__)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        CardCosts(Path(folder), TOY_ROUNDS if asked.toy else ROUNDS, asked.model).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
