"""The repository's sources for its rules: tracked files, the graph of imports, the words of docstrings and comments."""

import ast
import io
import subprocess
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("engine", "store", "worker", "web", "deploy")


def repository_files():
    """What a clone would have: tracked files, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def python_files(*folders):
    """The Python files below these folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree_of(path):
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path, root=ROOT):
    """`store.turns.begin` for store/turns/begin.py, `store.turns` for its `__init__`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree):
    """(module, name, line) of every import, lazy ones too; the name is None for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module, alias.name, node.lineno) for alias in node.names)


def import_graph(files):
    """module -> the modules that it imports, of `{module: syntax tree}`."""
    graph = {}
    for module, tree in files.items():
        wanted = {
            f"{source}.{name}" if f"{source}.{name}" in files else source for source, name, _ in imported_names(tree)
        }
        graph[module] = (wanted & set(files)) - {module}
    return graph


def circles(graph):
    """The circles of a graph: sorted lists of nodes that reach each other."""
    reach = {node: _reached(graph, node) for node in graph}
    together = {
        tuple(sorted(other for other in reach[node] if node in reach.get(other, ())))
        for node in graph
        if node in reach[node]
    }
    return sorted(list(circle) for circle in together)


def _reached(graph, start):
    seen, left = set(), list(graph.get(start, ()))
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left.extend(graph.get(node, ()))
    return seen


def prose(path):
    """(line, text) of every docstring and comment of a Python file."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(tree_of(path)):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and (text := ast.get_docstring(node, clean=False)):
            yield node.body[0].lineno, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
