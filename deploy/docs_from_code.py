"""`make docs`: generated parts of the documents: the map of files (docs/map.md) and the settings table
(docs/operators.md).

What it does: replaces the lines between two marks in a page. The map has the first sentence of each module, the table
the fields of `store.settings`; files that are not Python are described in PLAIN. tests/repo_rules/test_papers.py fails
where a page differs from the code.
To add a generated part: its marks in a page (see `renewed`), a line in `main`, and a case in that test.
"""

import ast
import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from store.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
OPERATORS, MAP = ROOT / "docs" / "operators.md", ROOT / "docs" / "map.md"
FOLDERS = ("engine", "store", "worker", "web", "deploy")
PLAIN = {
    "Makefile": "the commands",
    "pyproject.toml": "packages, and the settings of every tool",
    "docker-compose.yml": "the same in containers; the Dockerfiles lie in web/ and worker/",
    "docs/players.md": "for whoever plays: what all the buttons do",
    "docs/operators.md": "for whoever keeps it running: install, people, backup, update, the doctor, limits",
    "docs/developers.md": "for whoever changes it: how to add a kind of turn, a sampler, a backend",
    "docs/security.md": "what is protected from whom, and how",
    "docs/scale.md": "how far it goes on more machines",
    "docs/engine.md": "the engine as a library of its own",
    "docs/benchmarks.md": "what was measured",
    "docs/decisions.md": "what was decided, and why; a page for each part in docs/decisions/",
    "docs/glossary.md": "the words, one meaning each",
    "bench/": "measurements",
    "tests/": "one folder per room; repo_rules/ holds the rules of the repository, browser/ drives Chromium",
    ".ci/run": "what a change has to pass",
}


def main() -> int:
    """Write all generated parts."""
    for path, part, content in ((OPERATORS, "settings", settings_table()), (MAP, "map", file_map(ROOT))):
        path.write_text(renewed(path.read_text(encoding="utf-8"), part, content), encoding="utf-8")
    return 0


def renewed(text: str, name: str, content: str) -> str:
    """A page with the lines between its marks of this name replaced. Raises ValueError where the marks are missing."""
    start, end = f"<!-- {name}: make docs -->", f"<!-- end of {name} -->"
    before, opening, rest = text.partition(start)
    _, closing, after = rest.partition(end)
    if not opening or not closing:
        raise ValueError(f"The page has lost its marks {start} and {end}: put them back around the {name}.")
    return f"{before}{start}\n{content}\n{end}{after}"


def file_map(root: Path) -> str:
    """Markdown tables of all modules, a table for each room, with the first sentence of each module."""
    lines = []
    for folder in FOLDERS:
        modules = [path for path in sorted((root / folder).rglob("*.py")) if _is_listed(path)]
        about = _first_sentence(root / folder / "__init__.py")
        lines += ["", f"**{folder}/** {about}", "", "| file | what it does |", "| --- | --- |"]
        lines += [f"| {path.relative_to(root).as_posix()} | {_first_sentence(path)} |" for path in modules]
    lines += ["", "**And around them**", "", "| file | what it is |", "| --- | --- |"]
    lines += [f"| {name} | {about} |" for name, about in PLAIN.items() if (root / name).exists()]
    return "\n".join(lines[1:])


def settings_table() -> str:
    """A Markdown table of every setting, its default and its meaning."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in ("", PydanticUndefined) else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _is_listed(path: Path) -> bool:
    return path.name != "__init__.py" and "versions" not in path.parts


def _first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, escaped for a table cell."""
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(words.split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".").replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
