"""Turns: the state machine of one requested piece of work on a chat, every step one SQL transaction.

The public door: callers write `from store import turns` and find every step here.
"""

from store.messages import Reply
from store.turns.begin import TurnCommand, submit
from store.turns.end import NARRATOR, Outcome, cancel, commit, fail, reply_to
from store.turns.lifecycle import (
    Claim,
    Progress,
    assign,
    call_back,
    claim,
    enqueue_next,
    expired,
    get_turn,
    give_back,
    newest_ended,
    next_waiting,
    owners_waiting,
    recently_ended,
    renew,
    request_cancel,
    save_partial,
    set_state,
    unfinished,
)

__all__ = [
    "NARRATOR",
    "Claim",
    "Outcome",
    "Progress",
    "Reply",
    "TurnCommand",
    "assign",
    "call_back",
    "cancel",
    "claim",
    "commit",
    "enqueue_next",
    "expired",
    "fail",
    "get_turn",
    "give_back",
    "newest_ended",
    "next_waiting",
    "owners_waiting",
    "recently_ended",
    "renew",
    "reply_to",
    "request_cancel",
    "save_partial",
    "set_state",
    "submit",
    "unfinished",
]
