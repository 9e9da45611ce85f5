"""The main job, end to end: `make run`'s stack with the demo model, two real browsers at the same time."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from two_browsers import play

from tests.harness.stack import Stack


@pytest.mark.browser
@pytest.mark.model
@pytest.mark.timeout(400)
def test_two_people_talk_at_the_same_time(tmp_path, browser):
    shots = Path(os.environ.get("SCREENSHOTS") or tmp_path / "screenshots")
    stack = Stack(tmp_path / "data", max_reply_tokens=160).start(120)  # long enough to be caught in the middle
    try:
        play(browser, stack.address, [stack.first_invitation, stack.invite()], shots)
    finally:
        status = stack.end()
    assert status == 0
    assert {f"{what}-{width}.png" for what in ("writing", "chat") for width in (390, 1280)} <= set(os.listdir(shots))
    with closing(sqlite3.connect(tmp_path / "data" / "inglenook.db")) as db:
        replies = db.execute("select text, model_key from alternatives where model_key is not null").fetchall()
    assert len(replies) >= 2
    assert all(text and "echo" not in key for text, key in replies), "every reply comes from the real model"
