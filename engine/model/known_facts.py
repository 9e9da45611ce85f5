"""Known facts: what was found out once about model files, in a small JSON file. A damaged one counts as empty."""

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
_SAMPLE_BYTES = 1 << 20


def file_key(path: Path) -> str:
    """A key for a model file: a hash of its size and of samples of its bytes."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for offset in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            file.seek(offset)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """One file of `{key: fact}`; without a path nothing is remembered. `what` names the facts in warnings."""

    path: Path | None
    what: str

    def get(self, key: str) -> Any:
        """The fact, as JSON has it; None where it is not known."""
        return self._read().get(key)

    def all(self) -> dict[str, Any]:
        """Every fact, by its key."""
        return self._read()

    def keep(self, key: str, fact: object) -> None:
        """Add or replace a fact; a failure is only logged."""
        if self.path is None:
            return
        text = json.dumps({**self._read(), key: fact}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(self.path)
        except OSError as error:
            log.warning("%s cannot be kept in %s: %s", self.what, self.path, error)

    def _read(self) -> dict[str, Any]:
        try:
            facts = json.loads(self.path.read_text()) if self.path else {}
            if not isinstance(facts, dict):
                raise ValueError("it is no table")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s in %s cannot be read, they are found out anew: %s", self.what, self.path, error)
            return {}
        return facts
