"""An upgrade by day: every worker and web server is restarted while people write."""

import pytest

from tests.nemesis import rolling


@pytest.mark.timeout(300)
def test_nobody_loses_a_word_when_everything_is_restarted_one_by_one(capsys):
    assert rolling.main(["--rounds", "1", "--workers", "2", "--clients", "3", "--seed", "7"]) == 0
    assert "0 promises broken" in capsys.readouterr().out
