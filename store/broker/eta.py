"""Estimated waiting time of a queued turn: a Monte Carlo simulation (bootstrap) over the last turns. Pure.

How: the durations of a worker's last turns are the only model. N_FUTURES futures are drawn from them; in each the lanes
become free one after the other, and the median of the waits is the estimate. The mean would be wrong: of several
running turns the first to end counts, and that one is shorter than the mean.
The rest of a running turn is drawn from the last turns that took longer than it has taken so far. One that has
outlasted them all is of a kind that they do not show (a heavy tail): it is taken to last as long again as it has
already; just behind the longest of them, where turns end that write all that they may, less.
"""

import heapq
import random
import statistics
from collections.abc import Sequence

N_FUTURES = 100
OUTLASTED = 4  # seconds of rest for each second by which a turn outlasts all known ones, up to as long as it has taken


def seconds_until_start(
    ahead: int, lanes: int, busy_s: Sequence[float], turn_s: Sequence[float], seed: int = 0
) -> float | None:
    """Median wait in seconds until a turn with `ahead` others before it starts; None when nothing is known.

    `busy_s`: how long each running turn has taken so far. `turn_s`: how long the last turns took.
    """
    if ahead + len(busy_s) < lanes:
        return 0.0
    if not turn_s:
        return None
    draw = random.Random(seed)
    return statistics.median(_one_future(ahead, lanes, busy_s, turn_s, draw) for _ in range(N_FUTURES))


def _one_future(ahead: int, lanes: int, busy_s: Sequence[float], turn_s: Sequence[float], draw: random.Random) -> float:
    free_at = [_rest(seconds, turn_s, draw) for seconds in busy_s[:lanes]]
    free_at += [0.0] * (lanes - len(free_at))
    heapq.heapify(free_at)
    for _ in range(ahead):
        heapq.heapreplace(free_at, free_at[0] + draw.choice(turn_s))
    return free_at[0]


def _rest(seconds: float, turn_s: Sequence[float], draw: random.Random) -> float:
    longer = [known - seconds for known in turn_s if known > seconds]
    if longer:
        return draw.choice(longer)
    return min(seconds, 0.1 * statistics.fmean(turn_s) + OUTLASTED * (seconds - max(turn_s)))
