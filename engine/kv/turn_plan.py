"""A turn's plan: what stays in cells (cache hit), what is dropped, what is restored, what is read (prefill).

Immutable. `RestorePolicy.plan` makes it when a turn is admitted, `Prefetch` brings its blocks from disk, `sync` carries
it out. It is made again only when a move fails, or when the session is not as it was.
"""

from dataclasses import dataclass

from engine.kv.candidates import Candidate
from engine.kv.planner import Decode, Drop, Keep, decode_from
from engine.kv.session import Held, Session
from engine.segments import TurnRequest


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """The moves in their order: `keep` and `drop` what is in cells, `restore` blocks, `read` the rest.

    `held` and `parked` are the session's state that the plan was made for. `snapshot` is what a model that cannot shift
    holds when its only candidate is restored. `skipped` are candidates whose text is read, because that is faster.
    `resume`: keys of what resume.py will want besides, where the model's state has a rest.
    """

    held: tuple[Held, ...]
    parked: bool
    read: tuple[Decode, ...]
    keep: tuple[Keep, ...] = ()
    drop: tuple[Drop, ...] = ()
    restore: tuple[Candidate, ...] = ()
    snapshot: tuple[Held, ...] = ()
    skipped: tuple[Candidate, ...] = ()
    resume: tuple[bytes, ...] = ()

    def fits(self, session: Session) -> bool:
        """Whether the session is still as it was when the plan was made."""
        same = len(self.held) == len(session.held) and all(
            planned is held for planned, held in zip(self.held, session.held, strict=True)
        )
        return same and self.parked == session.parked

    def window_end(self, session: Session) -> int:
        """Where reading goes on; the start of the last segment if only a part of it stays: its window may be gone."""
        if self.restore:
            last = self.restore[-1]
            return last.position + (last.n_tokens if last.n_saved == last.n_tokens else 0)
        if not self.keep:
            return 0
        held = session.held[self.keep[-1].held]
        return held.end if self.keep[-1].n_tokens == len(held.segment.tokens) else held.position

    def block_keys(self) -> tuple[bytes, ...]:
        """Keys of the blocks to restore, also of those that other sessions have in cells: these may be parked soon."""
        return (*(candidate.key for candidate in self.restore), *self.resume)


def plan_to_read_everything(session: Session, request: TurnRequest) -> TurnPlan:
    """Keep nothing, restore nothing."""
    return TurnPlan(tuple(session.held), session.parked, decode_from(request.everything(), 0))
