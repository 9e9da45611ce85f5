"""Reasoning filter: hides the reasoning block at the start of a reply. Pure: text in, visible text out.

Only blocks at the very start of a reply count. So the hidden part is always a prefix, and `n_hidden` is all that
engine/text/detokenizer.py needs to find the tokens that must leave the session. Blanks after a block are hidden with
it. A reply that ends inside a block has no visible text.

To add another pair of markers: an entry in MARKER_PAIRS, cases in tests/engine/test_reasoning.py, and `_REASONING` in
engine/text/chat_template.py if templates write the block.
"""

from dataclasses import dataclass

MARKER_PAIRS = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]", "<|channel>": "<channel|>"}
REASONING_MARKERS = frozenset({*MARKER_PAIRS, *MARKER_PAIRS.values()})


@dataclass(slots=True)
class ReasoningFilter:
    """Filters one reply. `n_hidden`: the number of hidden characters at its start."""

    n_hidden: int = 0
    _held: str = ""
    _closing: str = ""
    _passes_through: bool = False

    def push(self, text: str) -> str:
        """Add text of the reply; returns the text that can be shown now."""
        if self._passes_through:
            return text
        self._held += text
        while self._closing or self._opens():
            if not self._closes():
                return ""
        bare = self._held.lstrip()
        return "" if any(opening.startswith(bare) for opening in MARKER_PAIRS) else self._release()

    def finish(self) -> str:
        """End the reply; returns the held back text that turned out to be no reasoning."""
        if self._closing:
            self._hide(len(self._held))
        return "" if self._passes_through else self._release()

    def _opens(self) -> bool:
        bare = self._held.lstrip()
        for opening, closing in MARKER_PAIRS.items():
            if bare.startswith(opening):
                self._hide(len(self._held) - len(bare) + len(opening))
                self._closing = closing
                return True
        return False

    def _closes(self) -> bool:
        reasoning, closing, _ = self._held.partition(self._closing)
        if not closing:
            self._hide(max(0, len(reasoning) - len(self._closing) + 1))
            return False
        self._hide(len(reasoning) + len(closing))
        self._closing = ""
        return True

    def _release(self) -> str:
        self._passes_through = True
        if self.n_hidden:
            self._hide(len(self._held) - len(self._held.lstrip()))
        shown, self._held = self._held, ""
        return shown

    def _hide(self, n_characters: int) -> None:
        self.n_hidden += n_characters
        self._held = self._held[n_characters:]
