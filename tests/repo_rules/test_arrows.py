"""web -> store <- worker -> engine, and no other arrow; each room keeps away from what is not its business."""

import ast
import subprocess
import sys

import pytest
from sources import ROOT, python_files, tree_of

ARROWS = {
    "engine": set(),
    "store": set(),
    "worker": {"store", "engine"},
    "web": {"store"},
    "deploy": {"store"},
}
LIBRARIES_OF_OTHERS = {
    "engine": {"redis", "rq", "flask", "sqlalchemy", "alembic", "pydantic_settings"},
    "store": {"llama_cpp", "flask"},
    "worker": {"llama_cpp", "flask", "sqlalchemy"},
    "web": {"llama_cpp", "rq"},
    "deploy": {"llama_cpp", "flask", "sqlalchemy", "rq"},
}


def imported(path):
    """The top names of every import of a file, wherever it stands, lazy ones too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], node.lineno


def reads_environment(path):
    """Lines that read environment variables. `os.environ.setdefault(...)`, a word to a C library, is no reading."""
    nodes = list(ast.walk(tree_of(path)))
    told = {node.value for node in nodes if isinstance(node, ast.Attribute) and node.attr == "setdefault"}
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"} and node not in told:
            yield node.lineno


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_imports_only_what_its_arrows_allow(room):
    forbidden = (set(ARROWS) - ARROWS[room] - {room}) | LIBRARIES_OF_OTHERS[room]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in python_files(room)
        for name, line in imported(path)
        if name in forbidden
    ]
    assert not wrong, f"{room}/ may import of the rooms only {sorted(ARROWS[room])}"


@pytest.mark.parametrize("room", ["engine", "store", "worker", "web"])
def test_only_the_settings_read_the_environment(room):
    allowed = {ROOT / "store" / "settings.py"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files(room)
        if path not in allowed
        for line in reads_environment(path)
    ]
    assert not wrong, "settings come from store.settings.load_settings, and from nowhere else"


def test_importing_web_does_not_load_the_engine():
    loaded = subprocess.run(
        [sys.executable, "-c", "import web.app, sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert {"llama_cpp", "engine", "worker"}.isdisjoint(loaded)
    assert "store" in loaded, "web is there at all"


def test_the_walk_sees_a_wrong_arrow(tmp_path):
    """The test of the test: imports inside functions and dotted ones count."""
    file = tmp_path / "wrong.py"
    file.write_text("def f():\n    import engine.kv.planner\n    from llama_cpp import x\n", encoding="utf-8")
    assert [name for name, _ in imported(file)] == ["engine", "llama_cpp"]
