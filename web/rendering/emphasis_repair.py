"""Puts the stars of one paragraph right, as a kind reader would: models close *actions* badly.

What it does: `mend` replaces the stars that mean something by marks (characters that no text has), always in pairs and
always nested, escapes those that are only stars, and drops those that mean nothing. An *action that is not closed ends
with its line; one that is only closed.* began with the line, or after the last speech or action. A star between two
spaces or inside a word is a star.
What it refuses to know: Markdown's blocks, speech, HTML. It is pure, and `mend` in static/js/lib/emphasis_repair.js is
the same, word for word: change both together; the browser tests hold them to each other.
"""

import re
from typing import Literal

EM, STRONG = "em", "strong"
OPEN = {EM: "\ufdd0", STRONG: "\ufdd2"}
CLOSE = {EM: "\ufdd1", STRONG: "\ufdd3"}
MARKS: dict[str, tuple[str, Literal[-1, 1]]] = {
    OPEN[EM]: (EM, 1),
    CLOSE[EM]: (EM, -1),
    OPEN[STRONG]: (STRONG, 1),
    CLOSE[STRONG]: (STRONG, -1),
}

_FOREIGN = re.compile("[\ufdd0-\ufdd3]")
_PIECES = re.compile(r'(`+[^`]+`+|\\.|\*+|\n|["“”「」『』«»])')
_LETTER = re.compile(r"[^\W_]")
_IN_WORD = re.compile(r"[0-9A-Za-z]")


def repair_emphasis(paragraph: str) -> str:
    """The paragraph with marks in the place of stars."""
    mender = _EmphasisRepair()
    text = _FOREIGN.sub("", paragraph)
    at = 0
    for index, piece in enumerate(_PIECES.split(text)):
        if index % 2 and piece[0] == "*":
            mender.stars(piece, text[at - 1 : at] or " ", text[at + len(piece) : at + len(piece) + 1])
        else:
            mender.plain(piece, bool(index % 2) and piece[0] not in "`\\")
        at += len(piece)
    return mender.finish()


class _EmphasisRepair:
    """The paragraph so far: its pieces, and which marks are open."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._open: list[tuple[str, int]] = []  # kind, index of the piece that is its opening mark
        self._edge = 0  # where an action began whose first star is missing

    def plain(self, piece: str, edge: bool) -> None:
        """Text, a quotation mark or the end of a line; the last two are an edge."""
        self._out.append(piece)
        if edge:
            self._edge = len(self._out)

    def stars(self, run: str, before: str, after: str) -> None:
        """One to three stars in a row; `after` is empty at the end of the paragraph."""
        loose = before.isspace() and (not after or after.isspace())
        in_word = len(run) == 1 and bool(_IN_WORD.match(before) and _IN_WORD.match(after))
        if len(run) > 3 or ((loose or in_word) and after and not self._open):
            self._literal(run)
        elif loose and not self._open:
            return  # begins an action of which nothing has come
        else:
            self._turn(run, opens=bool(after) and not after.isspace(), closes=not before.isspace() or loose)

    def _literal(self, run: str) -> None:
        self._out.append("\\*" * len(run))

    def finish(self) -> str:
        """Everything, with what is still open closed."""
        while self._open:
            self._close_at_line_end(*self._open.pop())
        return "".join(self._out)

    def _turn(self, run: str, opens: bool, closes: bool) -> None:
        kinds = {1: [EM], 2: [STRONG], 3: [STRONG, EM]}[len(run)]
        held = [kind for kind, _ in self._open if kind in kinds]
        if held and closes:
            for kind in held:
                self._close(kind)
            return
        while held and any(kind in held for kind, _ in self._open):
            self._close_at_line_end(*self._open.pop())
        if opens:
            for kind in kinds:
                self._open.append((kind, len(self._out)))
                self._out.append(OPEN[kind])
        elif kinds == [EM]:
            self._open_at_edge(run)

    def _close(self, kind: str) -> None:
        """Close this kind; what was opened inside of it and is still open ends here too."""
        while any(kind == other for other, _ in self._open):
            self._out.append(CLOSE[self._open.pop()[0]])
        self._edge = len(self._out)

    def _close_at_line_end(self, kind: str, start: int) -> None:
        line_ends = (index for index in range(start, len(self._out)) if self._out[index].endswith("\n"))
        place = next(line_ends, len(self._out) - 1)
        words = self._out[place].removesuffix("\n")
        self._out[place] = words + CLOSE[kind] + self._out[place][len(words) :]

    def _open_at_edge(self, run: str) -> None:
        """A closing star without an opening one."""
        action = "".join(self._out[self._edge :])
        if action[-1:].isdigit():
            self._literal(run)  # a 5* hotel
        elif _LETTER.search(action) and not self._open:
            space = len(action) - len(action.lstrip())
            self._out[self._edge :] = [action[:space], OPEN[EM] + action[space:] + CLOSE[EM]]
            self._edge = len(self._out)
