"""Resume points: the points of a session from which reading may go on (rollback to a checkpoint).

With full attention that is everywhere. A sliding window must be whole: every cell that the next token sees must be in
the layers with a window, and llama.cpp lets others overwrite those that were behind it. Recurrent layers need the very
state that belongs to the point: a checkpoint. After a cut, a wake or a restore a session is not `sound` until
`settle` has found such a point, at its end or as near before it as there is one.

What it refuses to know: the disk. What a turn needs from there has been fetched before (restore_policy.py says what).
"""

from collections.abc import Sequence
from enum import Enum

from engine.backend import Backend, Cut
from engine.blocks.store import BlockStore
from engine.kv.cells import Cells
from engine.kv.scratch import checkpoint_key, rest_key
from engine.kv.session import Held, Session
from engine.options import EngineOptions


class Point(Enum):
    """Where checkpoints are kept."""

    PERSONA = "persona"
    """Behind the pinned segments: for every session that begins with them, as long as the tiers have room."""
    REPLY = "reply"
    """Before a reply and before its footer, for retry and continue: in RAM only."""
    TURN = "turn"
    """At the end of a turn, and behind the newest message if nothing that is written then stays."""


def behind_window(ends: Sequence[int], n_window: int) -> int:
    """How many of the first segments, which end at `ends`, the token behind the last one does not see any more."""
    return sum(end <= ends[-1] - n_window + 1 for end in ends) if ends else 0


class Resume:
    """One for all sessions; used by the engine's thread."""

    def __init__(self, backend: Backend, cells: Cells, blocks: BlockStore, options: EngineOptions) -> None:
        self._backend, self._cells, self._blocks, self._options = backend, cells, blocks, options

    def settle(self, session: Session) -> None:
        """Make the session sound: it ends where it did, or at the nearest point before that can be had now."""
        session.complete()
        if not session.sound and session.sequence is not None and self._backend.can_drop:
            if self._backend.cut is Cut.WINDOW:
                self._settle_window(session)
            elif self._backend.cut is Cut.CHECKPOINT:
                self._settle_state(session)
        session.sound = True

    @property
    def keeps_points(self) -> bool:
        """Whether something is kept at points, so that a decode must end there."""
        return self._backend.cut is Cut.CHECKPOINT or not self._backend.can_drop

    def cut_open(self, session: Session, n_tokens: int, point: int) -> int | None:
        """Cut the open segment to its first `n_tokens`, or to the nearest resume point before them.

        `point`: behind so many of its tokens a checkpoint was kept (Point.REPLY). How many tokens of it are left; None
        when the nearest point is before it: then the segment is gone.
        """
        opened, n_held = session.open, len(session.held)
        assert opened is not None
        if n_tokens == len(opened.tokens):
            return n_tokens
        if self.keeps_points and point <= n_tokens:
            n_tokens = point
        if not self._cells.cut(session, n_held + 1, n_tokens):
            return None
        self.settle(session)
        if len(session.held) <= n_held:
            return 0 if len(session.held) == n_held else None
        return len(self._cells.reopen(session, opened.name, opened.ephemeral).tokens)

    def note_point(self, session: Session, point: Point) -> None:
        """Keep a checkpoint here, where the model has a state; what is too old goes."""
        assert session.sound
        if self._backend.cut is Cut.WINDOW and point is Point.TURN:
            self._outdate_windows(session)
        if not self.keeps_points or not self._backend.can_drop:
            return
        key = session.prefix_key() if session.open is not None else session.held[-1].key
        self._cells.scratch.save_checkpoint(session, key, durable=point is not Point.REPLY)
        kept = {Point.TURN: session.checkpoints, Point.REPLY: session.short_checkpoints}.get(point, [])
        if checkpoint_key(key) in kept:
            kept.remove(checkpoint_key(key))
        kept.append(checkpoint_key(key))
        while len(kept) > self._options.checkpoints:
            self._blocks.outdate(kept.pop(0))

    # -- a sliding window -------------------------------------------------------------------------------------------

    def _settle_window(self, session: Session) -> None:
        while not self._is_whole(session):
            first = behind_window([held.end for held in session.held], self._backend.n_window)
            seen = session.held[first:]
            n_at_hand = next((n for n, held in enumerate(seen) if not self._has_both(held)), len(seen))
            if n_at_hand < len(seen):
                self._cells.cut(session, first + n_at_hand)
            elif not self._restore_again(session, first):
                self._cells.cut(session, max(0, len(session.held) - 1))

    def _is_whole(self, session: Session) -> bool:
        if not session.held:
            return True
        start = session.end - self._backend.n_window + 1
        seen = sum(max(0, held.end - max(held.position, start)) for held in session.held)
        return self._cells.scratch.n_window_cells(session, start) == seen

    def _restore_again(self, session: Session, first: int) -> bool:
        """Take the segments from `first` on out of the cells and bring them back with their window."""
        seen = session.held[first:]
        self._cells.cut(session, first)
        for held in seen:
            session.held.append(held)
            if not self._cells.restore(session, held):
                session.held.pop()
                return False
        return self._is_whole(session)

    def _has_both(self, held: Held) -> bool:
        return all(self._blocks.tier(key) == "ram" for key in (held.key, rest_key(held.key)))

    def _outdate_windows(self, session: Session) -> None:
        """What a window held of segments that are far behind it: out of RAM, and the next to go on a full disk."""
        if self._blocks.disk is None:
            return
        behind = session.end - self._options.windows_in_ram * self._backend.n_window
        for held in session.held[session.n_pinned :]:
            if held.end <= behind and self._blocks.peek(rest_key(held.key)) is not None:
                self._blocks.outdate(rest_key(held.key))

    # -- a recurrent state ------------------------------------------------------------------------------------------

    def _settle_state(self, session: Session) -> None:
        for n_held in range(len(session.held), 0, -1):
            key = session.held[n_held - 1].key
            at_hand = self._blocks.tier(checkpoint_key(key)) == "ram"
            if at_hand and self._cells.cut(session, n_held) and self._cells.scratch.load_checkpoint(session, key):
                return
        self._cells.empty(session)
