"""`python -m engine`, as a person uses it; and the example of docs/engine.md, as it is printed there."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models

from engine.__main__ import main
from engine.errors import ModelError
from engine.model.hardware import demo_model, ram_bytes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("models") / "tiny.gguf", head_size=32)


def run(capsys, *arguments, lines=""):
    status = main([*map(str, arguments), "--threads", "1", "--gpu-layers", "0"], io.StringIO(lines))
    return status, *capsys.readouterr()


def test_a_conversation_with_its_commands(capsys, tiny):
    lines = "Hello\n\n/retry\n/continue\n/what\n/quit\nnever read\n"
    status, out, err = run(capsys, tiny, "--reply", "8", "--seed", "1", lines=lines)
    assert (status, err) == (0, "")
    assert len(re.findall(r"\((\d+) tokens read, 0 restored, \d+ written\)", out)) == 3
    assert out.count("(0 tokens read") == 2
    assert "(/what is unknown: /retry, /continue, /quit)" in out
    assert "never read" not in out


def test_the_end_of_the_input_is_an_end_too(capsys, tiny):
    assert run(capsys, tiny, lines="")[0] == 0


def test_it_remembers_in_a_folder(capsys, tiny, tmp_path):
    options = (tiny, "--folder", tmp_path, "--reply", "8", "--temperature", "0", "--user", "Ann")
    run(capsys, *options, lines="My name is Ann.\n")
    _, out, _ = run(capsys, *options, lines="And now?\n")
    assert "Ann: My name is Ann." in out
    assert int(re.search(r"(\d+) restored", out)[1]) > 50
    _, out, _ = run(capsys, *options, "--persona", "You are somebody else.", lines="")
    assert "My name" not in out


def test_the_plan_can_be_had_alone(capsys, tiny):
    status, out, _ = run(capsys, tiny, "--plan", "--context", "1024", "--kv-type", "f16")
    assert status == 0
    assert "1 at once, 1024 tokens each" in out
    assert "listens" not in out


def test_cells_that_would_crash_are_replaced(capsys, tiny, caplog):
    status, out, _ = run(capsys, tiny, "--plan", "--kv-type", "q8_0")
    assert (status, "tokens, f16" in out) == (0, True)
    assert "f16 is used instead" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["none.gguf"], "there is no model file at none.gguf"), (["MODEL", "--gb", "0.1"], "too much")],
)
def test_what_cannot_be_done_is_one_sentence(capsys, tiny, arguments, sentence):
    status, _, err = run(capsys, *[tiny if argument == "MODEL" else argument for argument in arguments])
    assert status == 1
    assert err.startswith("engine: ")
    assert sentence in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("own", "limits", "least"),
    [
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {"memory.max": "1000000\n"}, 1_000_000),
        ("0::/user.slice/run-1.scope\n", {"user.slice/run-1.scope/memory.max": "2000000\n"}, 2_000_000),
        (
            "0::/a.slice/b.service\n",
            {"a.slice/memory.max": "3000000", "a.slice/b.service/memory.max": "max"},
            3_000_000,
        ),
        ("4:memory:/job\n0::/\n", {"memory/job/memory.limit_in_bytes": "4000000\n"}, 4_000_000),
        ("0::/docker/of-the-host\n", {"memory.max": "5000000\n"}, 5_000_000),
        ("rubbish\n", {"memory.max": "6000000\n"}, None),
    ],
)
def test_the_memory_of_a_container_or_of_a_service_counts(tmp_path, own, limits, least):
    """Of a container the limit is at the top, of `systemd-run -p MemoryMax=` in the group of the process."""
    machine = ram_bytes(tmp_path, tmp_path / "none")
    (tmp_path / "own").write_text(own)
    for name, limit in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(limit)
    assert ram_bytes(tmp_path, tmp_path / "own") == (least or machine)


@pytest.mark.model
def test_ctrl_c_stops_a_reply_and_not_the_chat(tmp_path):
    command = [sys.executable, "-m", "engine", "--threads", "1", "--context", "2048", "--temperature", "0"]
    command += ["--reply", "500", "--persona", "You count from one to one thousand and never stop."]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as child:
        child.stdin.write(b"Count from one to one thousand, please, and do not stop.\n")
        child.stdin.flush()
        shown = read_until(child, rb"Mira: .{10}")
        child.send_signal(signal.SIGINT)
        shown += read_until(child, rb"written\)\s+You: ")
        child.stdin.write(b"/quit\n")
        child.stdin.flush()
        assert child.wait(timeout=30) == 0
    assert int(re.search(rb"(\d+) written", shown)[1]) < 500


def read_until(child, pattern):
    seen = b""
    while not re.search(pattern, seen, re.DOTALL):
        piece = os.read(child.stdout.fileno(), 4096)
        assert piece, seen
        seen += piece
    return seen


def on_one_cpu():
    """One compute thread: two that wait for each other are slow where other tests run beside them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.model
def test_the_example_of_the_documentation_runs_as_it_is_printed():
    page = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    command = [sys.executable, "-c", example]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, preexec_fn=on_one_cpu)
    costs = re.findall(r"\((\d+) tokens read, (\d+) were still there\)", said.stdout.decode())
    assert len(costs) == 2
    assert int(costs[0][0]) > 20
    assert int(costs[1][1]) > int(costs[1][0])


def test_the_documentation_names_files_that_exist():
    page = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    named = {name.removeprefix("engine/") for name in re.findall(r"`([\w/]+\.py)`", page)}
    assert named
    assert [name for name in sorted(named) if not (ROOT / "engine" / name).is_file()] == []


def test_without_the_demo_model_it_says_what_to_do():
    with pytest.raises(ModelError, match="give the path of a GGUF file"):
        demo_model("no_such_package")
