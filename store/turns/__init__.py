"""Turns: the state machine of one requested piece of work on a chat, every step one SQL transaction.

The public door: callers write `from store import turns` and find every step here.
"""

from store.messages import Reply
from store.turns.begin import BegunTurn, TurnCommand, begin_turn
from store.turns.end import Outcome, cancel, commit, fail, result_of
from store.turns.kinds import NARRATOR
from store.turns.lifecycle import (
    Claim,
    Progress,
    assign,
    claim,
    enqueue_next,
    expired_leases,
    get_turn,
    give_back,
    newest_ended,
    next_waiting,
    owners_waiting,
    recently_ended,
    renew,
    request_cancel,
    save_partial,
    unfinished,
    unqueue_all,
)

__all__ = [
    "NARRATOR",
    "BegunTurn",
    "Claim",
    "Outcome",
    "Progress",
    "Reply",
    "TurnCommand",
    "assign",
    "begin_turn",
    "cancel",
    "claim",
    "commit",
    "enqueue_next",
    "expired_leases",
    "fail",
    "get_turn",
    "give_back",
    "newest_ended",
    "next_waiting",
    "owners_waiting",
    "recently_ended",
    "renew",
    "request_cancel",
    "result_of",
    "save_partial",
    "unfinished",
    "unqueue_all",
]
