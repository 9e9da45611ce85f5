"""Which tokens go into the next batch. Pure: lanes in, runs out.

Those who write come first, one token each; the rest of the batch is filled with prompts being read, shared out evenly.
While somebody writes, reading gets only as many tokens as keep a step short, so a long read never stalls them.
"""

from collections.abc import Sequence

from engine.backend import Run
from engine.lane import Lane, Stage
from engine.sync import Feed


def schedule(lanes: Sequence[Lane], n_batch: int, chunk: int) -> list[tuple[Lane, Run, Feed]]:
    """The next batch of at most `n_batch` tokens, of which at most `chunk` are prompt tokens."""
    batch: list[tuple[Lane, Run, Feed]] = []
    for lane in lanes:
        if lane.stage is Stage.WRITING:
            batch += [(lane, run, feed) for run, feed in lane.runs(1)]
    reading = [lane for lane in lanes if lane.stage in (Stage.READING, Stage.CLOSING)]
    room = min(chunk, n_batch - len(batch))
    for index, lane in enumerate(reading):
        share = room // (len(reading) - index)
        for run, feed in lane.runs(share):
            batch.append((lane, run, feed))
            room -= len(run.tokens)
    return batch


class StepClock:
    """Learns how fast this machine reads, and sizes the chunks of prompts by it."""

    def __init__(self, step_s: float, smallest: int = 16) -> None:
        self._step_s, self._smallest = step_s, smallest
        self._tokens_per_s = 0.0

    def learn(self, n_tokens: int, seconds: float) -> None:
        """A step with `n_tokens` tokens took `seconds`."""
        if n_tokens >= self._smallest and seconds > 0:
            speed = n_tokens / seconds
            self._tokens_per_s = speed if not self._tokens_per_s else 0.7 * self._tokens_per_s + 0.3 * speed

    def chunk(self, n_batch: int, someone_writes: bool) -> int:
        """Prompt tokens for the next step: a quarter of the time when it would hold up others."""
        if not self._tokens_per_s:
            return min(n_batch, 64)
        allowed = self._step_s * (0.25 if someone_writes else 1.0)
        return max(self._smallest, min(n_batch, int(self._tokens_per_s * allowed)))
