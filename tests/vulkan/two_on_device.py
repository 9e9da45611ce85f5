"""Two browsers, and a worker with every layer on the device (run by `python -m tests.vulkan`, not collected by itself).

As tests/browser/test_two_browsers.py, with short replies: in software a token takes a second.
"""

import pytest

from tests.browser import two_browsers
from tests.harness.stack import Stack

SLOW = {"max_reply_tokens": 24, "stall_limit_s": 900, "context": 2048}


@pytest.mark.browser
@pytest.mark.model
@pytest.mark.timeout(3600)
def test_two_people_talk_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr(two_browsers, "REPLY_MS", 1_200_000)
    stack = Stack(tmp_path / "data", **SLOW).start(200)
    try:
        with two_browsers.chromium() as browser:
            two_browsers.play(browser, stack.address, [stack.first_invitation, stack.invite()], tmp_path / "shots")
    finally:
        status = stack.end()
    assert status == 0
