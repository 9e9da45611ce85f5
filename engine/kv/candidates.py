"""Candidates: the blocks that could spare a turn reading (cache lookup), in the order of their use. Pure.

First the segments of a parked session, then segments that any session with the same beginning has read at the very same
point: those are found by their keys. `RestorePolicy` decides how many to take.

What it refuses to know: how fast a tier is (cost_model.py) and how a block gets into cells (cells.py).
To add a kind of candidate: yield it in `find_candidates`, and carry it out in kv/sync.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.backend import Backend
from engine.blocks.store import segment_key
from engine.kv.planner import Keep, Plan
from engine.kv.session import Held, Session
from engine.segments import TurnRequest

TierOf = Callable[[bytes, int], str | None]
"""Where the cells of a key at a position can be had: "cells" (another session's), "ram", "disk" or None."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A block of `n_tokens` in `tier`, wanted at `position` as wanted segment `wanted`; it saves reading `n_saved`.

    `held` is its index among the session's own segments, None for a block that was found by its key.
    """

    tier: str
    key: bytes
    position: int
    n_tokens: int
    n_saved: int
    wanted: int
    held: int | None = None


def must_rebase(end: int, n_tokens: int, request: TurnRequest, n_context_train: int) -> bool:
    """Whether a session of `n_tokens` that ends at position `end` could grow beyond what the model was trained for."""
    return end + request.n_tokens_at_most() - n_tokens > n_context_train


def is_near(end: int, context: int, backend: Backend) -> bool:
    """Whether a session that ends at position `end` may soon have to be read again, because its cells cannot move."""
    return backend.can_drop and not backend.can_move and end + context > backend.n_context_train


def find_candidates(
    session: Session, request: TurnRequest, moves: Plan, n_context_train: int, tier_of: TierOf
) -> list[Candidate]:
    """For models that can shift: the blocks that exist, without what is in the session's own cells.

    A block that is nowhere ends the list: nothing behind it can be used, and each key costs a hash over its prefix.
    """
    own = list(_own(session, moves.keep, tier_of))
    keeps = moves.keep[: len(own)] if session.parked else moves.keep
    kept = [session.held[move.held] for move in keeps]
    positions = _positions(kept, keeps, request, n_context_train)
    if not session.parked:
        own = own[request.pinned :] if _must_move_shared_cells(kept, positions, request.pinned) else []
    if keeps and keeps[-1].n_tokens < len(kept[-1].segment.tokens):
        return own  # the remainder of the last one must be read first
    return own + list(_by_key(session.model_key, kept, positions, request, tier_of))


def chain(session: Session, request: TurnRequest) -> list[Held]:
    """What a session would hold that had read all of the prompt from the start."""
    held: list[Held] = []
    position = 0
    for segment in request.wanted:
        key = segment_key(session.model_key, ((h.key, h.position) for h in held), position, segment.tokens)
        held.append(Held(segment, position, key))
        position = held[-1].end
    return held


def _own(session: Session, keeps: Sequence[Keep], tier_of: TierOf) -> Iterator[Candidate]:
    for move in keeps:
        held = session.held[move.held]
        tier = tier_of(held.key, held.position)
        if tier is None:
            return
        n_tokens = len(held.segment.tokens)
        yield Candidate(tier, held.key, held.position, n_tokens, move.n_tokens, move.wanted, move.held)


def _by_key(
    model_key: str, kept: Sequence[Held], positions: Sequence[int], request: TurnRequest, tier_of: TierOf
) -> Iterator[Candidate]:
    """Whole segments behind what is kept; never the beginning of the reply."""
    visible = [(held.key, position) for held, position in zip(kept, positions, strict=True)]
    position = positions[-1] + len(kept[-1].segment.tokens) if kept else 0
    for index in range(len(kept), len(request.wanted)):
        tokens = request.wanted[index].tokens
        key = segment_key(model_key, visible, position, tokens)
        tier = tier_of(key, position)
        if tier is None:
            return
        yield Candidate(tier, key, position, len(tokens), len(tokens), index)
        visible.append((key, position))
        position += len(tokens)


def _positions(kept: Sequence[Held], keeps: Sequence[Keep], request: TurnRequest, n_context_train: int) -> list[int]:
    """Where the kept segments will be when the turn begins to read: without their holes if the session is rebased."""
    positions = [held.position for held in kept]
    n_tokens = sum(move.n_tokens for move in keeps)
    if kept and must_rebase(positions[-1] + keeps[-1].n_tokens, n_tokens, request, n_context_train):
        for index in range(request.pinned, len(kept)):
            positions[index] = positions[index - 1] + len(kept[index - 1].segment.tokens) if index else 0
    return positions


def _must_move_shared_cells(kept: Sequence[Held], positions: Sequence[int], pinned: int) -> bool:
    """Whether cells that other sessions share would have to move: then they come from blocks instead."""
    moved = any(held.position != position for held, position in zip(kept, positions, strict=True))
    return moved and any(run.n_owners > 1 for held in kept[pinned:] for run in held.runs)
