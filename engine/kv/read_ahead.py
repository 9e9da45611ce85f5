"""Reading ahead: a session whose cells cannot move is read again at low positions before it runs out of positions.

Models with M-RoPE refuse to shift cells (engine.backend.Backend.can_move). Near the trained context such a session
must be read again from its start. Here that happens in an idle moment, on a second sequence, as a turn of its own that
keeps nothing but blocks: the session's next turn finds them by their keys (candidates.py). It makes way for any other
turn, so nobody waits.

What it refuses to know: when the engine is idle (engine.py).
"""

from engine.backend import Backend
from engine.blocks.store import BlockStore
from engine.kv.candidates import chain, is_near
from engine.kv.residents import Residents
from engine.kv.session import Session
from engine.segments import TurnRequest

SUFFIX = "\0ahead"
"""Behind a session's name: the session that reads for it."""


class ReadAhead:
    """One for all sessions; used by the engine's thread. `context`: tokens that a session can hold."""

    def __init__(self, backend: Backend, residents: Residents, blocks: BlockStore, context: int) -> None:
        self._backend, self._residents, self._blocks, self._context = backend, residents, blocks, context
        self._asked: set[bytes] = set()
        self._newest = b""
        self.possible = backend.can_drop and not backend.can_move

    def next_request(self) -> TurnRequest | None:
        """What to read now: the session that is nearest to the trained context, unless its blocks are there already."""
        near = [session for session in self._residents.sessions.values() if self._is_near(session)]
        for session in sorted(near, key=lambda session: -session.end):
            request = TurnRequest(session.name + SUFFIX, session.segments())
            key = chain(session, request)[-1].key
            if key not in self._asked and self._blocks.tier(key) is None:
                self._asked.add(key)
                self._newest = key
                return request
        return None

    def is_for(self, request: TurnRequest) -> bool:
        """Whether a turn reads ahead."""
        return request.session.endswith(SUFFIX)

    def break_off(self) -> None:
        """The turn that reads ahead makes way for another one; what it has not read is asked for again."""
        self._asked.discard(self._newest)

    def finish(self, session: Session) -> bool:
        """Let go of a session that has read ahead; false for any other."""
        if not session.name.endswith(SUFFIX):
            return False
        self._residents.forget(session)
        return True

    def _is_near(self, session: Session) -> bool:
        idle = bool(session.held) and not session.busy and not session.name.endswith(SUFFIX)
        has_holes = session.end > session.n_tokens
        return idle and has_holes and is_near(session.end, self._context, self._backend)
