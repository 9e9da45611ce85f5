"""README.md, LICENSE, Dockerfiles and the sources say what is true, and nothing of the machine they were written on."""

import re
import shlex
from pathlib import Path

import click
import pytest
from sources import ROOT, repository_files

from deploy.cli.main import cli
from deploy.docs_from_code import FOLDERS, PLAIN, file_map, renewed, settings_table
from store.settings import Settings

README = (ROOT / "README.md").read_text(encoding="utf-8")
PRIVATE = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+|opt/pypi)/"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a password or token": re.compile(r"\b(?:ghp_\w{30,}|sk-\w{30,}|AKIA[0-9A-Z]{16})\b"),
}


@pytest.mark.parametrize(
    ("page", "part", "content"),
    [("docs/operators.md", "settings", settings_table()), ("docs/map.md", "map", file_map(ROOT))],
)
def test_what_follows_from_the_code_is_up_to_date(page, part, content):
    text = (ROOT / page).read_text(encoding="utf-8")
    wanted, found = renewed(text, part, content).splitlines(), text.splitlines()
    changed = [f"+ {line}" for line in wanted if line not in found]
    changed += [f"- {line}" for line in found if line not in wanted]
    assert not changed, "say `make docs`:\n" + "\n".join(changed)
    assert wanted == found, "say `make docs`: the order has changed"


def test_the_map_names_every_module_and_nothing_else():
    named = set(re.findall(r"^\| ([\w./-]+) \|", file_map(ROOT), re.MULTILINE)) - {"file", "---"}
    assert all((ROOT / name).exists() for name in named)
    modules = {path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    missing = {name for name in modules - named if not name.endswith("__init__.py") and "/versions/" not in name}
    assert not missing


def test_everything_around_the_rooms_is_there():
    assert [name for name in PLAIN if not (ROOT / name).exists()] == []


def test_every_setting_is_in_the_table_with_a_meaning():
    for name, field in Settings.model_fields.items():
        assert f"| `INGLENOOK_{name.upper()}` |" in settings_table()
        assert field.description


def test_the_settings_of_the_readme_exist_and_have_their_defaults():
    rows = re.findall(r"^\| `INGLENOOK_(\w+)` \| (?:`(.*)`)? ?\|", README, re.MULTILINE)
    assert len(rows) == 6
    for name, default in rows:
        assert str(Settings.model_fields[name.lower()].default) == default


def test_every_module_says_what_it_is_for():
    silent = re.findall(r"^\| ([\w./-]+\.py) \|  \|$", file_map(ROOT), re.MULTILINE)
    assert silent == []


def test_links_and_pictures_of_the_readme_exist():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_make_command_in_the_papers_exists():
    rules = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    ci = re.findall(r"^step .* make --no-print-directory (\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert len(ci) == 3
    assert set(ci) | set(re.findall(r"(?:`|^)make (\w[\w-]*)", README, re.MULTILINE)) <= rules


def test_every_inglenook_command_in_the_papers_is_understood():
    """The lines of code that begin with it, and what is said in the middle of a sentence."""
    papers = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = re.findall(r"(?:^|`| )inglenook ([a-z][^`#>\n]*)", "\n".join(_code(path) for path in papers), re.MULTILINE)
    assert len(found) > 12
    for words in (shlex.split(said.split(" < ")[0]) for said in found if "..." not in said):
        command = cli
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        if words:  # in a sentence a command may stand by its name alone
            command.make_context(command.name, words)  # reads the words and does nothing; raises UsageError


def _code(path):
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`[^`\n]+`", text)])


def test_the_licence_is_the_whole_apache_licence():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.split()) > 1500


def test_the_worker_image_pins_the_same_llama_as_the_project():
    pin = re.search(r'"llama-cpp-python==([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    for dockerfile in ("Dockerfile", "Dockerfile.cuda"):
        assert f"ARG LLAMA_CPP_PYTHON={pin}\n" in (ROOT / "worker" / dockerfile).read_text(encoding="utf-8")


def test_the_web_image_has_no_engine():
    dockerfile = (ROOT / "web" / "Dockerfile").read_text(encoding="utf-8")
    assert "[web,postgres]" in dockerfile
    assert not re.search(r"^(?:COPY|RUN).*(?:engine|llama)", dockerfile, re.MULTILINE)


@pytest.mark.parametrize("what", PRIVATE)
def test_nothing_private_is_in_the_repository(what):
    found = []
    for path in repository_files():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_bytes().decode("utf-8", "ignore").splitlines(), start=1):
            if PRIVATE[what].search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert not found, what
