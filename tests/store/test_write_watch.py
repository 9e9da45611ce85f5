"""The watch over write transactions sees what it is there for."""

import pytest

from store.lore.book import read_book
from store.macros import resolve
from tests.harness.write_watch import WriteWatch


@pytest.fixture
def no_work_in_writes() -> None:
    """Not here: these tests do on purpose what no other test may."""


@pytest.mark.parametrize(
    ("work", "found"),
    [
        (lambda: resolve("{{user}}", char="Mara", user="Ada"), "store.macros.resolver.resolve"),
        (lambda: read_book({"entries": []}), "store.lore.book.read_book"),
    ],
)
def test_work_inside_a_write_transaction_is_seen_and_outside_is_not(database, work, found):
    watch = WriteWatch()
    write = watch.session_of
    work()
    with database.reading():
        work()
    assert not watch.found
    with write(database):
        work()
    assert found in watch.found
    del watch.found[:]
    work()
    assert not watch.found
