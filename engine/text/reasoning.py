"""Hides what a reasoning model thinks before it answers. Pure: text in, visible text out.

Only blocks at the very start of a reply count, so what is hidden is always one run of characters from the beginning,
and `n_hidden` is all that engine/text/detokenizer.py needs to find the tokens that must leave the session. Blanks
behind a block are hidden with it. A reply that ends while it is still thinking has no visible text at all.

When extending: another way to mark thoughts is one more pair in `PAIRS`.
"""

from dataclasses import dataclass

MARKER_PAIRS = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]"}
REASONING_MARKERS = frozenset({*MARKER_PAIRS, *MARKER_PAIRS.values()})


@dataclass(slots=True)
class ReasoningFilter:
    """Filters one reply. `n_hidden`: how many characters from the start of the reply are not to be shown."""

    n_hidden: int = 0
    _held: str = ""
    _closing: str = ""
    _over: bool = False

    @property
    def inside(self) -> bool:
        """Whether the model is thinking now."""
        return bool(self._closing)

    def push(self, text: str) -> str:
        """More of the reply; returns what of it can be shown."""
        if self._over:
            return text
        self._held += text
        while self._closing or self._opens():
            if not self._closes():
                return ""
        bare = self._held.lstrip()
        return "" if any(opening.startswith(bare) for opening in MARKER_PAIRS) else self._release()

    def finish(self) -> str:
        """The reply is over; returns what was held back and turned out to be no thought."""
        if self._closing:
            self._hide(len(self._held))
        return "" if self._over else self._release()

    def _opens(self) -> bool:
        bare = self._held.lstrip()
        for opening, closing in MARKER_PAIRS.items():
            if bare.startswith(opening):
                self._hide(len(self._held) - len(bare) + len(opening))
                self._closing = closing
                return True
        return False

    def _closes(self) -> bool:
        thought, found, _ = self._held.partition(self._closing)
        if not found:
            self._hide(max(0, len(thought) - len(self._closing) + 1))
            return False
        self._hide(len(thought) + len(found))
        self._closing = ""
        return True

    def _release(self) -> str:
        self._over = True
        if self.n_hidden:
            self._hide(len(self._held) - len(self._held.lstrip()))
        shown, self._held = self._held, ""
        return shown

    def _hide(self, n_characters: int) -> None:
        self.n_hidden += n_characters
        self._held = self._held[n_characters:]
