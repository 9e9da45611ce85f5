"""Races over real sockets and real processes: one turn of many clicks, one winner of two browsers."""

import pytest

from tests.nemesis import people, races
from tests.nemesis.installation import Installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("races"), n_workers=1, echo_delay_ms=0)
    try:
        yield installation.start()
    finally:
        installation.stop()


@pytest.mark.timeout(300)
def test_fifty_identical_sends_make_one_turn(installation):
    assert list(races.same_send(installation, people.sign_up(installation, 1), 50)) == []


@pytest.mark.timeout(300)
def test_two_browsers_on_one_chat_never_interleave(installation):
    assert list(races.two_browsers(installation, people.sign_up(installation, 2), 30)) == []
