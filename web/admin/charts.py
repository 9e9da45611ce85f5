"""Charts as plain SVG: from numbers to coordinates that templates draw. Pure.

Every chart is WIDTH x HEIGHT units and is stretched to its place; colours come from the style sheet. The numbers stand
beside the drawing as text, for screen readers and without colours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600.0, 120.0
HOUR_S = 3600.0
ROUND_TOPS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, HOUR_S)


@dataclass(frozen=True)
class ChartBar:
    """One rectangle of a stacked column; `series` is the index of its number in the column."""

    series: int
    x: float
    y: float
    width: float
    height: float


def axis_top(values: Iterable[float], least: float = 1.0) -> float:
    """The upper end of an axis for these values: 1, 2 or 5 times a power of ten, `least` at least."""
    highest = max((*values, least))
    power = 10.0 ** len(str(int(highest)))
    return next(top for top in (power / 10, power / 5, power / 2, power) if top >= highest)


def axis_top_s(values: Iterable[float]) -> float:
    """The same for seconds: a round duration, such as ten minutes."""
    highest = max((*values, 1.0))
    return next((top for top in ROUND_TOPS_S if top >= highest), axis_top([highest / HOUR_S]) * HOUR_S)


def line(times: Sequence[float], values: Sequence[float], span_s: float, top: float) -> str:
    """The path of a line over the last `span_s` seconds, now at the right; empty for fewer than two points."""
    if len(times) < 2:
        return ""
    now = times[-1]
    points = (
        (WIDTH * (1 - (now - at) / span_s), HEIGHT * (1 - value / top)) for at, value in zip(times, values, strict=True)
    )
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points if x >= 0)


def steps(times: Sequence[float], values: Sequence[float], span_s: float, top: float) -> str:
    """The same as a staircase: each value holds until the next one."""
    doubled_times = [at for at in times for _ in (0, 1)][1:]
    doubled = [value for value in values for _ in (0, 1)][:-1]
    return line(doubled_times, doubled, span_s, top)


def area(path: str) -> str:
    """The closed path of the area under a line."""
    if not path:
        return ""
    left, right = path[1:].split(" ")[0], path.rsplit(" ", 2)[1].lstrip("L")
    return f"{path} L{right} {HEIGHT:.1f} L{left} {HEIGHT:.1f} Z"


def stacks(columns: Sequence[Sequence[float]], top: float, gap: float = 0.25) -> tuple[ChartBar, ...]:
    """Stacked columns, one for each group of numbers; `gap` is the share of a slot between two columns."""
    bars: list[ChartBar] = []
    slot = WIDTH / max(1, len(columns))
    for number, column in enumerate(columns):
        base = HEIGHT
        for series, value in enumerate(column):
            height = HEIGHT * value / top
            base -= height
            if height > 0:
                bars.append(
                    ChartBar(
                        series,
                        round(slot * (number + gap / 2), 1),
                        round(base, 1),
                        round(slot * (1 - gap), 1),
                        round(height, 1),
                    )
                )
    return tuple(bars)


def shares(parts: Sequence[float], whole: float) -> tuple[tuple[float, float], ...]:
    """(begin, length) of each part on a bar of 100 units; never beyond its end."""
    spans, begin = [], 0.0
    for part in parts:
        length = min(100.0 * part / whole if whole > 0 else 0.0, 100.0 - begin)
        spans.append((round(begin, 2), round(length, 2)))
        begin += length
    return tuple(spans)
