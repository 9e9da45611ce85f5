"""A card that failed makes the next plan smaller; a process that was killed, or failed elsewhere, does not."""

import json
import logging
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine import ComputeError, MemoryShortage, ModelError
from worker.failed_plans import MOST_FAILURES, REMEMBERED_S, FailedPlans

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Plan:
    """As much of a memory plan as is asked for."""

    share: float
    on_gpu: bool = True


def plans_of(folder, subject="model, 6 GB", worker="gpu0"):
    return FailedPlans(folder, worker, subject)


def load(failed, need=0.0, on_gpu=True):
    """The share of the card that was planned with; more than `need` does not fit."""

    def with_llama(plan):
        if plan.share > need:
            raise MemoryShortage(f"no room for {plan.share:.2f}")
        return plan.share

    return failed.load(lambda share: Plan(share, on_gpu), with_llama if need else lambda plan: plan.share)


@pytest.fixture(autouse=True)
def _no_watch_is_left(monkeypatch):
    """pytest's own faulthandler goes on after a test has taken it over."""
    yield
    import faulthandler

    faulthandler.enable(sys.__stderr__)
    log = logging.getLogger("engine.backends.llama")
    for handler in [handler for handler in log.handlers if type(handler) is logging.StreamHandler]:
        log.removeHandler(handler)
        handler.stream.close()


def test_a_card_that_never_failed_is_used_wholly(tmp_path):
    assert load(plans_of(tmp_path)) == 1.0
    assert plans_of(tmp_path).reasons() == []


def test_what_does_not_fit_is_planned_smaller_at_once(tmp_path):
    assert load(plans_of(tmp_path), need=0.8) == pytest.approx((7 / 8) ** 2)
    assert plans_of(tmp_path).reasons() == ["no room for 1.00", "no room for 0.88"]
    assert load(plans_of(tmp_path)) == pytest.approx((7 / 8) ** 2), "the next start begins there"


def test_after_enough_tries_the_shortage_is_told(tmp_path):
    with pytest.raises(MemoryShortage, match=r"no room for 0\.59"):
        load(plans_of(tmp_path), need=0.1)
    assert len(plans_of(tmp_path).reasons()) == MOST_FAILURES


def test_what_cannot_be_planned_is_told_at_once(tmp_path):
    def plan(share):
        raise ModelError("does not fit")

    with pytest.raises(ModelError, match="does not fit"):
        plans_of(tmp_path).load(plan, lambda plan: plan)
    assert plans_of(tmp_path).reasons() == []


def test_failures_never_keep_a_worker_from_starting(tmp_path):
    """Layers that were asked for by number fit into 0.8 of the card and no less: three failures, and that is loaded."""
    for _ in range(3):
        plans_of(tmp_path).record("lost")

    def plan(share):
        if share < 0.7:
            raise ModelError("does not fit")
        return Plan(share)

    assert plans_of(tmp_path).load(plan, lambda plan: plan.share) == (7 / 8) ** 2


def test_the_smallest_plan_is_tried_once(tmp_path):
    tried = []

    def plan(share):
        if share < 1:
            raise ModelError("does not fit")
        return Plan(share)

    def with_llama(plan):
        tried.append(plan.share)
        raise MemoryShortage("no room")

    with pytest.raises(MemoryShortage, match="no room"):
        plans_of(tmp_path).load(plan, with_llama)
    assert tried == [1.0]


def test_where_nothing_can_be_noted_the_worker_works(tmp_path, caplog):
    (tmp_path / "failed_plans").write_text("a full disk refuses the same calls")
    failed = plans_of(tmp_path)
    assert load(failed) == 1.0
    failed.note(ComputeError("could not compute"))
    failed.end()
    assert "failures of the card are not noted" in caplog.text


def test_another_model_or_other_settings_begin_anew_and_so_does_another_week(tmp_path):
    plans_of(tmp_path).record("lost")
    assert plans_of(tmp_path).share() == 7 / 8
    assert plans_of(tmp_path, subject="model, 8 GB").share() == 1.0
    assert plans_of(tmp_path, worker="gpu1").share() == 1.0
    when, _ = json.loads((tmp_path / "failed_plans" / "gpu0.json").read_text())["failures"][0]
    assert plans_of(tmp_path).reasons(now=when + REMEMBERED_S - 1) == ["lost"]
    assert plans_of(tmp_path).reasons(now=when + REMEMBERED_S + 1) == []


@pytest.mark.parametrize("words", [b"", b"\xff\x00", b"{}", b"[1, 2]", b'{"subject": "model, 6 GB", "failures": [1]}'])
def test_a_damaged_note_is_no_failure(tmp_path, words):
    (tmp_path / "failed_plans").mkdir()
    (tmp_path / "failed_plans" / "gpu0.json").write_bytes(words)
    assert load(plans_of(tmp_path)) == 1.0


def test_why_the_engine_died_is_noted_when_it_was_the_card(tmp_path):
    failed = plans_of(tmp_path)
    failed.note(ValueError("a fault of ours"))
    failed.note(None)
    assert failed.reasons() == []
    failed.note(ComputeError("could not compute a batch of 512 tokens"))
    assert failed.reasons() == ["could not compute a batch of 512 tokens"]


DIES = """
import ctypes, logging, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.worker.test_failed_plans import Plan, plans_of
failed = plans_of(Path(sys.argv[2]))
failed.load(lambda share: Plan(share, sys.argv[3] == "card"), lambda plan: None)
logging.getLogger("engine.backends.llama").error("CUDA error: out of memory")
code = compile(sys.argv[5], sys.argv[4], "exec")
exec(code)
"""


def die(folder, how="os.abort()", where="/somewhere/engine/backends/llama.py", on="card"):
    """A worker that ends like that, with that file on top of its stack; its return code."""
    command = [sys.executable, "-c", DIES, str(ROOT), str(folder), on, where, how]
    return subprocess.run(command, stderr=subprocess.DEVNULL, cwd=ROOT, check=False).returncode


def test_an_abort_in_the_backend_is_a_failure_and_says_what_llama_cpp_said(tmp_path, caplog):
    assert die(tmp_path) == -signal.SIGABRT
    assert load(plans_of(tmp_path)) == 7 / 8
    assert plans_of(tmp_path).reasons() == ["Aborted: CUDA error: out of memory"]
    assert "plans have 88 % of its budget" in caplog.text
    assert load(plans_of(tmp_path)) == 7 / 8, "it is noted once"


@pytest.mark.parametrize(
    "ending",
    [
        {"how": "os.kill(os.getpid(), signal.SIGKILL)"},
        {"how": "os.kill(os.getpid(), signal.SIGTERM)"},
        {"how": "os._exit(70)"},
        {"where": "/somewhere/redis/client.py"},
        {"on": "processor"},
    ],
)
def test_other_ends_are_no_fault_of_the_plan(tmp_path, ending):
    assert die(tmp_path, **ending) != 0
    assert load(plans_of(tmp_path)) == 1.0
    assert plans_of(tmp_path).reasons() == []
