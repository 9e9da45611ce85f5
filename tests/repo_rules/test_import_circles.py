"""No module imports itself in a circle, and the folders inside each room point one way."""

import ast

import pytest
from sources import ROOMS, circles, import_graph, module_name, python_files, tree_of


def folder_graph(room, modules):
    """Folder -> folders that its modules import; without the files at the top of a room, which join the folders."""
    inside = {name: tree for name, tree in modules.items() if name.count(".") > 1}
    graph = {}
    for module, targets in import_graph(inside).items():
        folder = ".".join(module.split(".")[:2])
        graph.setdefault(folder, set()).update(".".join(target.split(".")[:2]) for target in targets)
    return {folder: targets - {folder} for folder, targets in graph.items() if folder.startswith(room)}


def modules_of(*rooms):
    return {module_name(path): tree_of(path) for path in python_files(*rooms)}


def test_no_module_imports_itself_in_a_circle():
    assert circles(import_graph(modules_of(*ROOMS))) == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_folders_of_a_room_point_one_way(room):
    assert circles(folder_graph(room, modules_of(room))) == []


def test_the_walk_sees_a_circle():
    """The test of the test: lazy imports count, and a circle of folders without a circle of modules."""
    files = {
        "web.a.one": "from web.b import two",
        "web.b.two": "def f():\n    import web.b.three",
        "web.b.three": "",
        "web.a.four": "",
        "web.b.five": "from web.a.four import x",
    }
    modules = {name: ast.parse(text) for name, text in files.items()}
    assert circles(import_graph(modules)) == []
    assert circles(folder_graph("web", modules)) == [["web.a", "web.b"]]
    modules["web.b.three"] = ast.parse("from web.a.one import y")
    assert circles(import_graph(modules)) == [["web.a.one", "web.b.three", "web.b.two"]]
