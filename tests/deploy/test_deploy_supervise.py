"""Real supervisord, small programs: restarts, fatal configuration, and nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.stack_paths import StackPaths
from deploy.supervise import EXIT_CONFIG, Program, Supervisord
from tests.harness import processes
from tests.harness.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"
)
WRONG = f"import sys; print('The model is no good: choose another.'); sys.exit({EXIT_CONFIG})"
LATER_WRONG = f"import sys, time; time.sleep(1.5); sys.exit({EXIT_CONFIG})"


def program(name, code, settle_s=1, stop_s=1):
    return Program(name, [sys.executable, "-c", code], "all", settle_s, stop_s)


@pytest.fixture
def start(tmp_path):
    started = []

    def _start(*programs):
        paths = StackPaths(tmp_path / "50% of it, with spaces")
        paths.make()
        supervisord = Supervisord(paths)
        started.append(supervisord)
        supervisord.start(programs, dict(os.environ))
        supervisord.start_group("all")
        return supervisord, paths

    yield _start
    for supervisord in started:
        supervisord.stop(5)


def pid_of(supervisord, name):
    infos = supervisord._ask("getAllProcessInfo")
    return next((info["pid"] for info in infos if info["name"] == name and info["statename"] == "RUNNING"), 0)


def group_is_gone(pgid):
    return pgid not in {processes.group(pid) for pid in processes.living()}


def test_what_is_killed_comes_back(start):
    supervisord, _ = start(program("one", SLEEPER))
    first = wait_for(lambda: pid_of(supervisord, "one"))
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: pid_of(supervisord, "one") not in (0, first))


def test_a_clean_exit_that_nobody_asked_for_comes_back_too(start):
    supervisord, _ = start(program("one", SLEEPER))
    first = wait_for(lambda: pid_of(supervisord, "one"))
    os.kill(first, signal.SIGTERM)
    assert wait_for(lambda: pid_of(supervisord, "one") not in (0, first))


@pytest.mark.parametrize("code", [WRONG, LATER_WRONG])
def test_a_wrong_configuration_is_seen_early_and_late(start, code):
    supervisord, _ = start(program("one", code))
    assert wait_for(supervisord.exits)[0] == ("one", EXIT_CONFIG)


def test_the_sentence_of_a_program_is_at_the_end_of_its_log(start):
    _, paths = start(program("one", WRONG))
    wait_for(lambda: paths.tail("one", 1) == ["The model is no good: choose another."])


def test_nothing_is_left_of_a_program_that_will_not_stop(start):
    supervisord, paths = start(program("one", SLEEPER), program("two", STUBBORN))
    pids = [wait_for(lambda name=name: pid_of(supervisord, name)) for name in ("one", "two")]
    supervisord.stop(8)
    assert not supervisord.is_alive()
    assert all(group_is_gone(pid) for pid in pids)
    assert processes.of(paths.data) == []


def test_nothing_is_left_when_supervisord_itself_is_killed(start):
    supervisord, _ = start(program("one", SLEEPER))
    pid = wait_for(lambda: pid_of(supervisord, "one"))
    supervisord.states()
    supervisord._process.kill()
    wait_for(lambda: not supervisord.is_alive())
    supervisord.stop(5)
    assert wait_for(lambda: group_is_gone(pid))


STARTER = """
import os, sys, time
from pathlib import Path
from deploy.stack_paths import StackPaths
from deploy.supervise import Program, Supervisord
paths = StackPaths(Path(sys.argv[1]))
paths.make()
supervisord = Supervisord(paths)
supervisord.start([Program("one", [sys.executable, "-c", sys.argv[2]], "all", 1, 1)], dict(os.environ))
supervisord.start_group("all")
print("up", flush=True)
time.sleep(600)
"""


def test_nothing_is_left_when_whoever_started_supervisord_is_killed(tmp_path):
    command = [sys.executable, "-c", STARTER, str(tmp_path / "data"), SLEEPER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout.readline() == "up\n"
        wait_for(lambda: processes.named(tmp_path / "data", "supervisord"))
        starter.kill()
    wait_for(lambda: not processes.of(tmp_path / "data"))
