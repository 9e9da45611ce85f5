"""Which tokens go into the next batch. Pure: lanes in, runs out.

Those who write come first, one token each; the rest of the batch is filled with prompts being read, shared out evenly.
While somebody writes, reading gets only as many tokens as keep a step short, so a long read never stalls them.
"""

from collections.abc import Sequence

from engine.backend import TokenRun
from engine.kv.sync import PendingTokens
from engine.lane import Lane, Stage


def schedule(lanes: Sequence[Lane], n_batch: int, chunk: int) -> list[tuple[Lane, TokenRun, PendingTokens]]:
    """The next batch of at most `n_batch` tokens, of which at most `chunk` are prompt tokens."""
    batch: list[tuple[Lane, TokenRun, PendingTokens]] = []
    for lane in lanes:
        if lane.stage is Stage.WRITING:
            batch += [(lane, run, pending) for run, pending in lane.runs(1)]
    reading = [lane for lane in lanes if lane.stage in (Stage.READING, Stage.CLOSING)]
    room = min(chunk, n_batch - len(batch))
    for index, lane in enumerate(reading):
        share = room // (len(reading) - index)
        for run, pending in lane.runs(share):
            batch.append((lane, run, pending))
            room -= len(run.tokens)
    return batch
