"""Tables for the terminal and for docs/benchmarks.md: the same rows, written once."""

import platform
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def machine() -> str:
    """What these figures were measured on, in words that name no machine."""
    cpu = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpu)
    n_cores = len(re.findall(r"^processor", cpu, re.MULTILINE))
    return f"{n_cores} cores of {model[1] if model else platform.machine()}, no GPU, {date.today()}"


def publish(section: str, text: str) -> None:
    """Put `text` into its section of docs/benchmarks.md, and on the terminal."""
    print(text)
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    page = DOCS.read_text()
    before, rest = page.split(begin)
    _, after = rest.split(end)
    DOCS.write_text(f"{before}{begin}\n{text}\n{end}{after}")
