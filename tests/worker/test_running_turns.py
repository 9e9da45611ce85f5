"""The registry of running turns."""

from worker.running_turns import RunningTurn, RunningTurns, StopReason


def test_a_turn_is_stopped_once_and_the_first_reason_counts():
    calls = []
    turn = RunningTurn("t", "c", 1)
    turn.on_stop(lambda: calls.append("stopped"))
    turn.stop(StopReason.CANCELLED)
    turn.stop(StopReason.DRAINING)
    assert calls == ["stopped"]
    assert turn.reason is StopReason.CANCELLED


def test_a_turn_that_was_stopped_before_it_had_a_ticket_is_stopped_when_it_gets_one():
    calls = []
    turns = RunningTurns()
    turn = RunningTurn("t", "c", 1)
    turns.add(turn)
    turns.stop_all(StopReason.DRAINING)
    turn.on_stop(lambda: calls.append("stopped"))
    assert calls == ["stopped"]
    turns.remove(turn)
    assert turns.all() == ()
