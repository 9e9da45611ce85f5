"""The rows of a run: each step prints its own as it finds them, a line of JSON each; whoever runs it collects them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_MARK = "::row:: "
HEAD = ("step", "what", "measured", "target", "", "detail")
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `verdict` is met, missed, or nothing where there is no target."""

    step: str
    what: str
    measured: str
    target: str = ""
    verdict: str = ""
    detail: str = ""

    def cells(self) -> tuple[str, ...]:
        """For the table; what would end a cell is taken out."""
        every = (self.step, self.what, self.measured, self.target, self.verdict, self.detail)
        return tuple(" ".join(cell.replace("|", "/").split()) for cell in every)


def judged(step: str, what: str, measured: str, target: str, met: bool, detail: str = "") -> Row:
    """A row with a target."""
    return Row(step, what, measured, target, "met" if met else "missed", detail)


def meets(figure: str, target: str) -> bool:
    """Whether a figure such as 0.97 or 808x holds a target such as `<= 1.05` or `>= 20x`."""
    sign, limit = target.split()
    value, bound = (float(text.rstrip("x%")) for text in (figure, limit))
    return value <= bound if sign == "<=" else value >= bound


def tell(row: Row) -> None:
    """Print a row for whoever runs this step."""
    print(_MARK + json.dumps(asdict(row)), flush=True)


def heard(line: str) -> Row | None:
    """The row that a line of a step's output is; None: it is something else."""
    return Row(**json.loads(line.removeprefix(_MARK))) if line.startswith(_MARK) else None


def missing(step: str, promised: Sequence[str], found: Sequence[Row], why: str) -> list[Row]:
    """A row "not measured" for each thing that a step promises and has not told."""
    told = [row.what for row in found]
    return [Row(step, what, NOT_MEASURED, detail=why) for what in promised if not any(t.startswith(what) for t in told)]


def markdown(rows: Sequence[Row]) -> str:
    """The table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])
