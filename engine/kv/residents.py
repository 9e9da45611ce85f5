"""Residents: the sessions that this process knows, and which of them are parked when cells are needed (LRU eviction).

Parking costs nothing but the wake: complete segments have been saved already. Used by the engine's thread.

What it refuses to know: why a turn needs room (scheduler.py), and how cells are freed (cells.py).
To change the order of parking: `park_one`.
"""

from engine.backend import Backend
from engine.kv.cells import Cells
from engine.kv.manifests import Manifests
from engine.kv.session import Session
from engine.segments import TurnRequest


class Residents:
    """Known sessions by name, at most `max_sessions` in memory; a forgotten one still has its manifest and blocks."""

    def __init__(self, cells: Cells, manifests: Manifests, backend: Backend, max_sessions: int) -> None:
        self._cells, self._manifests, self._backend = cells, manifests, backend
        self._max_sessions = max_sessions
        self.sessions: dict[str, Session] = {}

    def get_or_create(self, name: str) -> Session:
        """The session of that name; a new one is `unread` when a manifest says what it holds."""
        session = self.sessions.get(name)
        if session is None:
            session = self.sessions[name] = Session(name, self._backend.model_key)
            session.unread = self._manifests.known(name)
            self._forget_oldest()
        return session

    def in_cells(self) -> frozenset[str]:
        """Names of the sessions that have cells now (any thread), without those that read ahead for others."""
        sessions = list(self.sessions.items())
        return frozenset(name for name, session in sessions if session.sequence is not None and "\0" not in name)

    def make_room(self, session: Session, request: TurnRequest, promised: int) -> bool:
        """Give `session` a sequence, and see that its cells fit beside those `promised` to the turns at work.

        Idle sessions are parked for it, least recently used first. False when even that is not enough, and some turn is
        at work: a turn that is alone fits, whatever the count says of cells that were shared and cut.
        """
        while not (self._fits(session, request, promised) and self._cells.take_sequence(session)):
            if not self.park_one(but=session):
                return not promised and self._cells.take_sequence(session)
        return True

    def park_one(self, but: Session | None = None) -> bool:
        """Park the idle session that was used longest ago; false when there is none."""
        idle = [session for session in self._idle() if session is not but]
        if idle:
            self._cells.release(min(idle, key=lambda session: session.last_used))
        return bool(idle)

    def park_idle(self, not_used_since: float) -> None:
        """Idle cells slow the lanes (attention runs over them, too): park sessions that were not used lately."""
        for session in self._idle():
            if session.last_used <= not_used_since:
                self._cells.release(session)

    def forget(self, session: Session) -> None:
        """Free the cells of a session and know nothing of it any more; its blocks stay."""
        self._cells.forget(session)
        del self.sessions[session.name]

    def _fits(self, session: Session, request: TurnRequest, promised: int) -> bool:
        needed = max(request.n_tokens_at_most(), session.n_tokens)
        busy = sum(other.n_tokens for other in self.sessions.values() if other.busy)
        own = session.n_tokens if session.sequence is not None else 0
        idle_cells = max(0, self._cells.used - busy - own)
        return promised + needed + idle_cells <= self._backend.n_cells

    def _idle(self) -> list[Session]:
        """Sessions in cells that no lane works on."""
        return [session for session in self.sessions.values() if session.sequence is not None and not session.busy]

    def _forget_oldest(self) -> None:
        surplus = len(self.sessions) - self._max_sessions
        if surplus > 0:
            parked = [s for s in self.sessions.values() if s.sequence is None and not s.busy and s.last_used]
            for session in sorted(parked, key=lambda s: s.last_used)[:surplus]:
                del self.sessions[session.name]
