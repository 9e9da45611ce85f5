"""Streaming detokenizer: turns the tokens of a reply into text, with stop strings and without reasoning. Pure.

A token may end in the middle of a UTF-8 character, a stop string may be spread over tokens, and a reply may begin with
a reasoning block: text whose fate is not clear yet is held back. The leading blanks of a reply belong to its tokens but
are not shown (`trim`). What it refuses to know: vocabularies, sessions.
"""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.text.reasoning import ReasoningFilter


@dataclass(slots=True)
class Detokenizer:
    """The text of one reply as its tokens arrive.

    `push` returns the text that is safe to show, `text` is all text shown so far. A stop string sets `stopped`, and the
    text ends before it. At the end, `kept_tokens` returns the tokens that the session should hold: the first
    `n_tokens_hidden` were reasoning, `n_tokens_kept` is the index after the last complete token before the stop, and
    `remainder` is the text of a cut token that still belongs to the reply.
    """

    stop: tuple[str, ...] = ()
    trim: bool = False
    text: str = ""
    stopped: bool = False
    n_tokens_kept: int = 0
    n_tokens_hidden: int = 0
    remainder: str = ""
    _visible: str = ""  # all of `text`, the blanks it begins with included
    _n_raw: int = 0
    _tokens: list[tuple[int, bool]] = field(
        default_factory=list
    )  # text length and "no half character" after each token
    _held_back: str = ""
    _reasoning: ReasoningFilter = field(default_factory=ReasoningFilter)
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def push(self, piece: bytes) -> str:
        """Add the bytes of one token; returns the text that can be shown now."""
        text = self._decoder.decode(piece)
        self._n_raw += len(text)
        self._tokens.append((self._n_raw, not self._decoder.getstate()[0]))
        return self._show(self._reasoning.push(text))

    def finish(self) -> str:
        """End the reply; returns the text that was held back. An incomplete character is dropped."""
        if self.stopped:
            return ""
        shown = self._show(self._reasoning.finish())
        if not self.stopped:
            shown += self._release(len(self._held_back))
            self._keep_tokens()
        return shown

    def kept_tokens(self, written: Sequence[int], tokenize: Callable[[str], list[int]]) -> list[int]:
        """The tokens of the visible text, out of all `written` ones; the rest of a cut token is tokenized anew.

        Where the reasoning ended inside a token, all of the visible text is tokenized anew.
        """
        hidden = self._reasoning.n_hidden
        if hidden != (self._tokens[self.n_tokens_hidden - 1][0] if self.n_tokens_hidden else 0):
            return tokenize(self._visible) if self._visible else []
        tail = tokenize(self.remainder) if self.remainder else []
        return [*written[self.n_tokens_hidden : self.n_tokens_kept], *tail]

    def _show(self, text: str) -> str:
        self._held_back += text
        positions = [at for at in (self._held_back.find(stop) for stop in self.stop if stop) if at >= 0]
        if positions:
            return self._stop_at(min(positions))
        return self._release(len(self._held_back) - self._possible_stop())

    def _stop_at(self, at: int) -> str:
        self.stopped = True
        shown = self._release(at)
        self._held_back = ""
        self._keep_tokens()
        return shown

    def _release(self, n_characters: int) -> str:
        shown, self._held_back = self._held_back[:n_characters], self._held_back[n_characters:]
        self._visible += shown
        if self.trim and not self.text:
            shown = shown.lstrip()
        self.text += shown
        return shown

    def _possible_stop(self) -> int:
        """Length of the longest end of the held back text that could begin a stop string."""
        longest = 0
        for stop in self.stop:
            for size in range(min(len(stop) - 1, len(self._held_back)), longest, -1):
                if self._held_back.endswith(stop[:size]):
                    longest = size
                    break
        return longest

    def _keep_tokens(self) -> None:
        """Find which tokens were reasoning, which are whole in the visible text, and what remains of the next one."""
        hidden = self._reasoning.n_hidden
        whole_text, end = hidden + len(self._visible), hidden
        self.n_tokens_hidden = sum(length <= hidden for length, _ in self._tokens) if hidden else 0
        for index, (length, whole) in enumerate(self._tokens):
            if length <= whole_text and whole:
                self.n_tokens_kept, end = index + 1, max(hidden, length)
        self.remainder = self._visible[end - hidden :]
