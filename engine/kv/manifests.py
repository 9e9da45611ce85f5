"""Manifests: which segments a session held, kept on disk so that a restart finds the blocks again.

A manifest is sealed like a block. It is only ever a hint: a segment is kept when the transcript still wants the very
same tokens, and its block is loaded only under the key that covers everything it depends on.

To add a field: `write` and `read`, both able to read what older versions wrote (or a new `kind`).
"""

import hashlib
import json
import logging

from engine.blocks import sealed
from engine.blocks.disk_tier import DiskTier
from engine.kv.session import Held, Session
from engine.segments import Segment

log = logging.getLogger(__name__)


class Manifests:
    """Writes and reads the manifests of one model."""

    def __init__(self, model_key: str, disk: DiskTier | None) -> None:
        self._model_key, self._disk = model_key, disk
        self._sessions: dict[str, str] = {}  # of each file that `names` has read

    def write(self, session: Session) -> None:
        """Remember what the session holds (in the background)."""
        if self._disk is None:
            return
        held = [
            [h.segment.name, h.segment.ephemeral, h.position, h.key.hex(), list(h.segment.tokens)] for h in session.held
        ]
        payload = json.dumps(held, separators=(",", ":")).encode()
        header = self._header(session.name)
        self._disk.write(self._name(session.name), lambda: sealed.seal(header, payload), len(payload))

    def names(self) -> frozenset[str]:
        """The sessions that have a manifest (any thread). One that is damaged, or of a damaged name, is left out."""
        files = self._disk.names(f"{self._model_key[:16]}/sessions/") if self._disk else ()
        self._sessions = {file: self._sessions.get(file) or self._session_of(file) for file in files}
        return frozenset(filter(None, self._sessions.values()))

    def delete(self, name: str) -> None:
        """Forget what a session held (any thread)."""
        if self._disk is not None:
            self._disk.delete(self._name(name))

    def _session_of(self, file: str) -> str:
        """The session of a manifest, from its file; empty when it cannot be told."""
        data = self._disk.read(file) if self._disk else None
        try:
            header, _ = sealed.unseal(data or b"", {"kind": "manifest", "model": self._model_key})
        except (sealed.SealError, ValueError):
            return ""
        return str(header.get("session", ""))

    def known(self, name: str) -> bool:
        """Whether there is a manifest of that session."""
        return self._disk is not None and self._disk.has(self._name(name))

    def read(self, name: str) -> list[Held]:
        """What the manifest says that a session holds, on any thread; nothing when there is none to be trusted."""
        data = self._disk.read(self._name(name)) if self._disk else None
        if data is None or self._disk is None:
            return []
        try:
            _, payload = sealed.unseal(data, self._header(name))
            return [
                Held(Segment(segment, tuple(tokens), ephemeral), position, bytes.fromhex(key))
                for segment, ephemeral, position, key, tokens in json.loads(payload)
            ]
        except (sealed.SealError, ValueError) as error:
            log.warning("a session's manifest was not usable (%s): it is read again", error)
            self._disk.quarantine(self._name(name))
            return []

    def _header(self, name: str) -> dict[str, object]:
        return {"kind": "manifest", "model": self._model_key, "session": name}

    def _name(self, name: str) -> str:
        return f"{self._model_key[:16]}/sessions/{hashlib.sha256(name.encode()).hexdigest()[:40]}.json"
