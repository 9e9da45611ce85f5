"""The plots of the side-by-side bench, as small PNGs in docs/plots/: what each part has left, and nothing else."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker
from matplotlib.axes import Axes

SHOWN = 50  # turns of part b: enough to see the pattern
FOLDER = Path(__file__).parent.parent / "docs" / "plots"
# One colour per system (Okabe and Ito's, which colour-blind people can tell apart), and a mark of its own.
LOOKS = {
    "inglenook": ("#D55E00", "o"),
    "llama-server": ("#0072B2", "s"),
    "llama-server, defaults": ("#56B4E9", "s"),
    "llama-cpp-python": ("#009E73", "^"),
    "llama-cpp-python, defaults": ("#86C9B1", "^"),
    "llama-batched-bench": ("#555555", "D"),
}


def draw(raw: dict[str, dict[str, Any]]) -> None:
    """Everything that was measured."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for part, name, paint in (
        ("a", "returns", _returns),
        ("b", "full", _full),
        ("c", "kinds", _kinds),
        ("d", "users", _users),
    ):
        if part in raw:
            figure, axes = pyplot.subplots(figsize=(7, 3.8), dpi=110, layout="constrained")
            paint(axes, raw[part])
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.25)
            figure.savefig(FOLDER / f"{name}.png")
            pyplot.close(figure)


def _line(axes: Axes, name: str, x: list[float], y: list[float]) -> None:
    colour, mark = LOOKS[name]
    axes.plot(x, y, color=colour, marker=mark, markersize=5, linewidth=2, label=name)


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _plain_numbers(axes: Axes) -> None:
    """0.3, 1 and 40 instead of powers of ten."""
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def _returns(axes: Axes, raw: dict[str, Any]) -> None:
    bounds = [turn["bound_s"] for seen in raw["seen"].values() for turns in seen.values() for turn in turns]
    for name, seen in raw["seen"].items():
        places = list(range(len(seen)))
        _line(axes, name, places, [_middle([turn["first_s"] for turn in turns]) for turns in seen.values()])
        axes.set_xticks(places, list(seen))
    for value, what in (
        (_middle(bounds), "bare loop, nothing lost"),
        (_middle(raw["reread"]), "reading it all again"),
    ):
        axes.axhline(value, color="#777777", linestyle=":", linewidth=1.2)
        axes.annotate(what, (0.01, value), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color="#555555")
    axes.set(
        yscale="log", xlabel="other chats that used the card in between", ylabel="seconds to the first token (log)"
    )
    _plain_numbers(axes)
    axes.set_title("A chat of 1,500 tokens comes back with 40 new ones", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _full(axes: Axes, raw: dict[str, Any]) -> None:
    for name, whole in raw["walks"].items():
        (colour, mark), walk = LOOKS[name], whole[:SHOWN]
        axes.plot(
            *(range(1, len(walk) + 1), [step["evaluated"] for step in walk]),
            color=colour,
            marker=mark,
            markersize=3,
            linewidth=1.2,
            label=name,
        )
    axes.set(yscale="log", xlabel="turn in a full context", ylabel="prompt tokens evaluated (log)")
    _plain_numbers(axes)
    axes.set_title("What a turn reads when the context is full", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _kinds(axes: Axes, raw: dict[str, Any]) -> None:
    names, width = list(raw["read"]), 0.8 / (len(raw["read"]) + 1)
    bars = {"new tokens": raw["new"], **{name: [turn["evaluated"] for turn in raw["read"][name]] for name in names}}
    for number, (name, values) in enumerate(bars.items()):
        places = [at + number * width for at in range(len(values))]
        colour = LOOKS[name][0] if name in LOOKS else "#bbbbbb"
        axes.bar(places, values, width, color=colour, label=name)
    axes.set_xticks([at + 0.35 for at in range(len(raw["kinds"]))], raw["kinds"], rotation=35, ha="right", fontsize=8)
    axes.set(ylabel="prompt tokens evaluated")
    axes.set_title("What every kind of turn reads", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _users(axes: Axes, raw: dict[str, Any]) -> None:
    for name, speeds in raw["speeds"].items():
        _line(axes, name, list(range(len(speeds))), [_middle(values) for values in speeds.values()])
        axes.set_xticks(range(len(speeds)), list(speeds))
    axes.set(xlabel="users who stream at the same time", ylabel="tokens/s of all together", ylim=(0, None))
    axes.set_title("Several people at once", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
