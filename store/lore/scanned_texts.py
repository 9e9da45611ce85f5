"""The texts of a chat as lorebook keys are searched in them: one copy of each form, whatever the scan depths. Pure.

How: the texts are joined once, the oldest first, so that the last messages are a suffix: a scan depth is an offset.
What it refuses to know: keys and entries.
"""

from collections.abc import Sequence

from store.lore import patterns

MAX_SCANNED = 200_000  # letters of the newest messages; no key is looked for in what is older


class ScannedTexts:
    """The newest texts of a chat, at most MAX_SCANNED letters, as they are and folded."""

    def __init__(self, newest_first: Sequence[str]) -> None:
        self._texts = _newest(newest_first)
        self._forms: dict[bool | None, tuple[str, list[int]]] = {}

    def plain(self, depth: int) -> str:
        """The last `depth` texts as they are, the oldest first."""
        text, start = self._form(None, depth)
        return text[start:]

    def folded(self, depth: int, case_sensitive: bool) -> tuple[str, int]:
        """All texts as keys are compared with them, and where the last `depth` ones begin."""
        return self._form(case_sensitive, depth)

    def _form(self, case_sensitive: bool | None, depth: int) -> tuple[str, int]:
        if case_sensitive not in self._forms:
            form = (
                self._texts if case_sensitive is None else [patterns.fold(one, case_sensitive) for one in self._texts]
            )
            self._forms[case_sensitive] = "\n".join(form[::-1]), _starts(form)
        text, starts = self._forms[case_sensitive]
        return text, starts[min(max(depth, 0), len(self._texts))]


def _newest(newest_first: Sequence[str]) -> list[str]:
    """As many texts as may be scanned; of the last one its end."""
    texts, left = list[str](), MAX_SCANNED
    for text in newest_first:
        if left <= 0:
            break
        texts.append(text[-left:])
        left -= len(text) + 1
    return texts


def _starts(newest_first: Sequence[str]) -> list[int]:
    """By depth: where the last texts begin in all of them, joined by line ends."""
    total = sum(map(len, newest_first)) + max(0, len(newest_first) - 1)
    starts, at = [total], total + 1
    for text in newest_first:
        at -= len(text) + 1
        starts.append(at)
    return starts
