"""The short form of `make check-downloads`: a few models from a bad hub, the downloader killed meanwhile."""

from tests.nemesis import downloads


def test_no_file_is_wrong_and_no_byte_is_fetched_twice():
    figures = downloads.check(runs=20, seed=7)
    assert figures.wrong == []
    assert (figures.runs, figures.fetched_again) == (20, 0)
    assert figures.kills > 5
    assert figures.most_lost <= downloads.LOST_WITH_A_PROCESS
