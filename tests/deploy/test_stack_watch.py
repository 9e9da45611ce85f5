"""Waiting for the programs of a stack: how long, and what is said meanwhile."""

import threading

import pytest

from deploy.preflight import DeployError
from deploy.run import WORKER_TIMEOUT_S, StackWatch
from deploy.stack_paths import StackPaths
from engine.model.shift_probe import ShiftProbe


class Programs:
    """Programs that run and do not answer yet."""

    def exits(self):
        return []

    def states(self):
        return {"worker": "RUNNING"}


@pytest.fixture
def watch(tmp_path):
    return StackWatch(Programs(), StackPaths(tmp_path), threading.Event())


def test_the_worker_gets_the_time_that_a_first_start_may_take():
    """A trial of quantized cells, and the model is read from a slow disk: given up sooner, it would never be over."""
    assert ShiftProbe().timeout_s < WORKER_TIMEOUT_S


def test_who_waits_is_told_once_where_to_look(watch, capsys):
    answers = iter([False, False, False, True])
    watch.until(lambda: next(answers), "the worker", limit_s=600.0, patience_s=0.0)
    said = capsys.readouterr().out
    assert said.count("Still waiting for the worker") == 1
    assert "logs" in said


def test_in_the_end_the_wait_is_over(watch):
    with pytest.raises(DeployError, match="No answer from the worker within 0 s"):
        watch.until(lambda: False, "the worker", limit_s=0.0)
