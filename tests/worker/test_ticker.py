"""The ticker."""

from worker_lane_jobs import wait_until

from worker.ticker import Ticker


def test_a_ticker_goes_on_after_errors_and_says_so_once(caplog):
    ticks = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) in (2, 3, 4):
            raise ValueError("a bad day")

    ticker = Ticker("test", 0.001, tick)
    with caplog.at_level("INFO", logger="worker.ticker"):
        ticker.start()
        wait_until(lambda: len(ticks) > 6)
        ticker.stop()
    assert not ticker.is_alive()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["test failed, trying on: ValueError: a bad day", "test works again"]


def test_a_ticker_ends_at_once_however_long_its_interval():
    ticker = Ticker("test", 3600, lambda: None)
    ticker.start()
    ticker.stop()
    assert not ticker.is_alive()
