"""From tokens to text: whole characters only, and never a half-shown stop string.

A token may end in the middle of a UTF-8 character, and a stop string may be spread over tokens; both are held back
until it is clear what they are.
"""

import codecs
from dataclasses import dataclass, field


@dataclass(slots=True)
class ReplyText:
    """The text of one reply as its tokens arrive.

    `push` returns the text that is safe to show. When a stop string appears, `stopped` is set, the text ends before it
    and `n_tokens_kept` says how many whole tokens lie before it; `remainder` is the text of the cut token that still
    belongs to the reply.
    """

    stop: tuple[str, ...] = ()
    text: str = ""
    stopped: bool = False
    n_tokens_kept: int = 0
    remainder: str = ""
    _tokens: list[tuple[int, bool]] = field(
        default_factory=list
    )  # text length and "no half character" after each token
    _held_back: str = ""
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def push(self, piece: bytes) -> str:
        """Add the bytes of one token; the text that can be shown now."""
        self._held_back += self._decoder.decode(piece)
        whole = not self._decoder.getstate()[0]
        self._tokens.append((len(self.text) + len(self._held_back), whole))
        found = [at for at in (self._held_back.find(stop) for stop in self.stop if stop) if at >= 0]
        if found:
            return self._stop_at(min(found))
        return self._release(len(self._held_back) - self._possible_stop())

    def finish(self) -> str:
        """The reply is over without a stop string: what was held back belongs to it; half a character does not."""
        if self.stopped:
            return ""
        shown = self._release(len(self._held_back))
        self._keep_tokens()
        return shown

    def _stop_at(self, at: int) -> str:
        self.stopped = True
        shown = self._release(at)
        self._held_back = ""
        self._keep_tokens()
        return shown

    def _release(self, n_characters: int) -> str:
        shown, self._held_back = self._held_back[:n_characters], self._held_back[n_characters:]
        self.text += shown
        return shown

    def _possible_stop(self) -> int:
        """Length of the longest tail that could be the beginning of a stop string."""
        longest = 0
        for stop in self.stop:
            for size in range(min(len(stop) - 1, len(self._held_back)), longest, -1):
                if self._held_back.endswith(stop[:size]):
                    longest = size
                    break
        return longest

    def _keep_tokens(self) -> None:
        end = 0
        for index, (length, whole) in enumerate(self._tokens):
            if length <= len(self.text) and whole:
                self.n_tokens_kept, end = index + 1, length
        self.remainder = self.text[end:]
