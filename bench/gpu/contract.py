"""Step: the contract suite of the backends (tests/engine/test_backend_contract.py), on a tiny model on this build."""

import sys
from pathlib import Path

import pytest

from bench.gpu.asked import ask
from bench.gpu.rows import judged, tell
from tests.engine import tiny_models

SUITE = "tests/engine/test_backend_contract.py"
ROOT = Path(__file__).resolve().parents[2]


class Results:
    """A pytest plugin: what passed and what did not, of llama.cpp and of echo."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of a test."""
        if report.when == "call":
            print(report.outcome, report.nodeid, flush=True)  # a device that hangs leaves no time for rows
        if report.when == "call" and report.passed:
            self.passed.append(report.nodeid)
        elif report.failed or report.skipped:
            self.failed.append(report.nodeid)

    def tell(self, of: str) -> None:
        """One row for the tests of one backend."""
        passed, failed = ([name for name in names if of in _parameters(name)] for names in (self.passed, self.failed))
        n_tests = len(passed) + len(failed)
        names = ", ".join(name.partition("::")[2] for name in failed)
        what = f"contract suite, {'llama.cpp on this build' if of == 'llama' else of}"
        tell(judged("contract", what, f"{len(passed)} of {n_tests} passed", "all", bool(passed) and not failed, names))


def _parameters(test: str) -> list[str]:
    return test.partition("[")[2].rstrip("]").split("-")


def main() -> int:
    asked, results = ask(__doc__), Results()
    model = tiny_models.llama(asked.folder / "contract.gguf", n_heads=4, n_kv_heads=2, sharpness=0.3)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "--demo-model", str(model)]
    try:
        pytest.main([*options, str(ROOT / SUITE)], plugins=[results])
    finally:
        for of in ("llama", "echo"):
            results.tell(of)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
