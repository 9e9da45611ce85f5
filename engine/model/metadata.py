"""Metadata values: looks up a model file's values under the prefix of its architecture, checked.

A missing or wrong value is a ModelError of one sentence. What it refuses to know: the file format
(engine/model/gguf.py), and what the values mean (info.py, layers.py).
"""

import re
from pathlib import Path

from engine.errors import ModelError
from engine.model.gguf import Header, Value

_ARCHITECTURE = re.compile(r"[\w.-]{1,64}")
_MOST = 1 << 31


class Metadata:
    """The values of one header. `architecture` is the prefix of most keys."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path, self._header = path, header
        architecture = header.values.get("general.architecture")
        if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
            raise ModelError(f"{path} does not say what kind of model it is: it is no language model, choose another")
        self.architecture = architecture

    def text(self, key: str) -> str:
        """A text under its whole key; empty when absent."""
        value = self._header.values.get(key)
        return value if isinstance(value, str) else ""

    def plain_number(self, key: str, default: int) -> int:
        """A number under its whole key."""
        value = self._header.values.get(key)
        return value if isinstance(value, int) else default

    def length(self, key: str) -> int:
        """The length of a list under its whole key; 0 when absent."""
        return self._header.lengths.get(key, 0)

    def has(self, key: str) -> bool:
        """Whether the architecture's key is there."""
        return f"{self.architecture}.{key}" in self._header.values

    def number(self, key: str, least: int = 0, most: int = _MOST, default: int | None = 0) -> int:
        """One number; of a list its largest. Without a default the key must be there."""
        value = self._header.values.get(f"{self.architecture}.{key}", default)
        if isinstance(value, list):
            value = max((entry for entry in value if isinstance(entry, int)), default=None)
        return self._checked(key, value, least, most)

    def per_layer(self, key: str, n_layers: int, default: int | None) -> tuple[int, ...]:
        """One number per layer, from a list or from one number for all; empty when absent and without a default.

        Truth values count as 1 and 0.
        """
        value = self._header.values.get(f"{self.architecture}.{key}", default)
        if value is None:
            return ()
        if isinstance(value, list):
            if len(value) < n_layers:
                raise self._wrong(key, value)
            return tuple(self._checked(key, entry, 0, _MOST) for entry in value[:n_layers])
        return (self._checked(key, value, 0, _MOST),) * n_layers

    def is_list(self, key: str) -> bool:
        """Whether the architecture's key has a list."""
        return isinstance(self._header.values.get(f"{self.architecture}.{key}"), list)

    def _checked(self, key: str, value: Value, least: int, most: int) -> int:
        if not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(key, value)
        return int(value)

    def _wrong(self, key: str, value: Value) -> ModelError:
        shown = "missing" if value is None else repr(value)[:60]
        return ModelError(
            f"{self._path} is damaged or unknown ({self.architecture}.{key} is {shown}): "
            "download it again or choose another"
        )
