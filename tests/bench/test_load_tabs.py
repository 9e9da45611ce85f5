"""The tabs of `make load` come back as pages do, and a restart is over before they grow patient."""

import itertools
import re
from pathlib import Path

from bench.load_tabs import PAUSES_S

WIRE = Path(__file__).parents[2] / "web/static/js/chat/socket.js"
RESTART_S = 8.0


def test_they_come_back_as_pages_do():
    written = re.search(r"PAUSES_S = \[(.*?)\]", WIRE.read_text())
    assert written
    assert tuple(float(one) for one in written[1].split(",")) == PAUSES_S


def test_while_a_restart_may_last_they_knock_often():
    tried_at = [0.0, *itertools.accumulate(PAUSES_S)]
    assert max(pause for at, pause in zip(tried_at, PAUSES_S, strict=False) if at < RESTART_S) <= 2.0


def test_whoever_stays_away_is_left_alone():
    assert list(PAUSES_S) == sorted(PAUSES_S)
    assert PAUSES_S[-1] >= 15
