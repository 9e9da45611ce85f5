"""Fixtures of the store's tests: every write transaction is watched."""

from collections.abc import Iterator

import pytest

from store.db import Database
from tests.harness.write_watch import WriteWatch


@pytest.fixture(autouse=True)
def no_work_in_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may let a write transaction do what grows with input: everybody else waits for it."""
    watch = WriteWatch()
    monkeypatch.setattr(Database, "session", watch.session_of)
    yield
    assert not watch.found, f"done while a write transaction was open: {sorted(set(watch.found))}"
