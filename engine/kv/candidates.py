"""Candidates: the blocks that could spare a turn reading, in the order in which it would take them. Pure.

First what a parked session holds, then the segments that somebody - this session on another branch, or another one with
the same beginning - may have read at the very same point. `RestorePolicy` decides which to take.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.blocks.store import segment_key
from engine.kv.planner import Plan, plan
from engine.kv.session import Held, Session
from engine.segments import TurnRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A block under `key`, of `n_tokens`, wanted at `position`. It saves reading `n_saved` of them."""

    key: bytes
    position: int
    n_tokens: int
    n_saved: int


def make_plan(session: Session, request: TurnRequest, can_drop: bool) -> Plan:
    """Ask the planner."""
    return plan(session.segments(), request.everything(), request.forgotten, request.pinned, can_drop)


def must_rebase(end: int, n_tokens: int, request: TurnRequest, n_context_train: int) -> bool:
    """Whether a session of `n_tokens` that ends at position `end` could grow beyond what the model was trained for."""
    return end + request.n_tokens_at_most() - n_tokens > n_context_train


def candidates(session: Session, request: TurnRequest, n_context_train: int) -> Iterator[Candidate]:
    """For models that can shift: what the turn can use, if it exists; without what is in the session's cells.

    A gap ends what can be used: stop asking there, each key costs a hash over everything before it.
    """
    moves = make_plan(session, request, can_drop=True)
    kept = [session.held[move.held] for move in moves.keep]
    own = [Candidate(h.key, h.position, _length(h), m.n_tokens) for h, m in zip(kept, moves.keep, strict=True)]
    positions, moved = _positions(kept, moves, request, n_context_train)
    if not session.parked:
        shared = any(run.n_owners > 1 for held in kept[request.pinned :] for run in held.runs)
        own = own[request.pinned :] if moved and shared else []
    yield from own
    yield from _found_by_key(session.model_key, kept, positions, moves, request)


def chain(session: Session, request: TurnRequest) -> list[Held]:
    """What a session would hold that had read all of the prompt from the start."""
    held: list[Held] = []
    position = 0
    for segment in request.wanted:
        key = segment_key(session.model_key, ((h.key, h.position) for h in held), position, segment.tokens)
        held.append(Held(segment, position, key))
        position = held[-1].end
    return held


def _positions(kept: Sequence[Held], moves: Plan, request: TurnRequest, n_context_train: int) -> tuple[list[int], bool]:
    """Where the kept segments will be when the turn begins to read, and whether they are moved for it."""
    positions = [held.position for held in kept]
    if not kept:
        return positions, False
    n_tokens = sum(move.n_tokens for move in moves.keep)
    end = positions[-1] + moves.keep[-1].n_tokens
    if must_rebase(end, n_tokens, request, n_context_train):
        for index in range(request.pinned, len(kept)):
            positions[index] = positions[index - 1] + _length(kept[index - 1]) if index else 0
    return positions, positions != [held.position for held in kept]


def _found_by_key(
    model_key: str, kept: Sequence[Held], positions: Sequence[int], moves: Plan, request: TurnRequest
) -> Iterator[Candidate]:
    """Whole segments behind what is kept, as far as they could be taken over; never the reply's own beginning."""
    if moves.keep and moves.keep[-1].n_tokens < _length(kept[-1]):
        return  # its remainder must be read first
    visible = [(held.key, position) for held, position in zip(kept, positions, strict=True)]
    position = positions[-1] + _length(kept[-1]) if kept else 0
    for move in moves.decode:
        if move.start or move.wanted >= len(request.wanted):
            return
        tokens = request.wanted[move.wanted].tokens
        key = segment_key(model_key, visible, position, tokens)
        yield Candidate(key, position, len(tokens), len(tokens))
        visible.append((key, position))
        position += len(tokens)


def _length(held: Held) -> int:
    return len(held.segment.tokens)


def continues_at_end(session: Session, request: TurnRequest) -> bool:
    """For models that cannot shift: whether the turn can go on right where the session ends, in cells."""
    keeps = make_plan(session, request, can_drop=False).keep
    whole = len(keeps) == len(session.held) and all(m.n_tokens == _length(session.held[m.held]) for m in keeps)
    return whole and bool(keeps) and not session.parked
