"""Modules stay small, files that the prose names exist, and names that were given up do not come back."""

import ast
import re

from sources import ROOMS, ROOT, prose, python_files, repository_files, tree_of

N_LINES = 300
FILE_NAME = re.compile(r"(?<![\w./*<-])((?:[\w-]+/)*[\w-]+\.(?:py|js))\b(?!\()")
OLD_NAMES = re.compile(  # docs/glossary.md has the words that are used instead
    r"^_?(?:Feed|Desk|Recycled|OwnCpus|Brought|Tale|Spoken|Wording|House|Seats|Attention|OwnRedis|Storyteller|Wire"
    r"|open_desk|make_desk|limbo|untold|reaped|trifle_s|n_worth|passed_over|whole_only|mend|backstage)$"
)


def ends_of(paths):
    """What a path may be called in prose: itself, and each of its ends that begins behind a slash."""
    return {path[start:] for path in paths for start in (0, *(sign.end() for sign in re.finditer("/", path)))}


def unknown_files(texts, ends):
    """The file names in prose that end no known path."""
    return [name for text in texts for name in FILE_NAME.findall(text) if name not in ends]


def defined_names(tree):
    """Names of classes, functions and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno


def test_no_module_of_a_room_is_long():
    long = {
        path.relative_to(ROOT).as_posix(): n
        for path in python_files(*ROOMS)
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > N_LINES
    }
    assert not long, f"more than {N_LINES} lines: cut it where the idea changes"


def test_the_files_that_docstrings_and_comments_name_exist():
    known = ends_of(path.relative_to(ROOT).as_posix() for path in repository_files())
    wrong = [
        f"{path.relative_to(ROOT)}:{line} names {name}"
        for path in python_files(*ROOMS, "tests", "bench")
        for line, text in prose(path)
        for name in unknown_files([text], known)
    ]
    assert wrong == []


def test_old_names_do_not_come_back():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in python_files(*ROOMS, "tests", "bench")
        for name, line in defined_names(tree_of(path))
        if OLD_NAMES.match(name)
    ]
    assert not wrong, "docs/developers.md has the words that are used instead"


def test_the_rules_see_what_is_wrong():
    """The test of the test."""
    known = ends_of({"web/live/hub.py", "web/static/js/chat/socket.js"})
    assert unknown_files(["See live/hub.py, hub.py and chat/socket.js."], known) == []
    assert unknown_files(["See web/hub.py, gone.py."], known) == ["web/hub.py", "gone.py"]
    assert [name for name, _ in defined_names(ast.parse("class Feed:\n    def _open(self): pass"))] == ["Feed", "_open"]
    assert OLD_NAMES.match("Feed")
    assert not OLD_NAMES.match("FeedSomething")


def test_no_two_test_files_have_one_name():
    """pytest imports them by that name alone."""
    names = [path.rpartition("/")[2] for path in map(str, repository_files()) if "/test_" in path]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []
