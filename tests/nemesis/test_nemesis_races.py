"""Races over real sockets and real processes: one turn of many clicks, one winner of two browsers."""

import pytest

from tests.nemesis import people, races
from tests.nemesis.house import House


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("races"), n_workers=1, echo_delay_ms=0)
    try:
        yield house.start()
    finally:
        house.stop()


@pytest.mark.timeout(300)
def test_fifty_identical_sends_make_one_turn(house):
    assert list(races.same_send(house, people.sign_up(house, 1), 50)) == []


@pytest.mark.timeout(300)
def test_two_browsers_on_one_chat_never_interleave(house):
    assert list(races.two_browsers(house, people.sign_up(house, 2), 60)) == []
