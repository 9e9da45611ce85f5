"""Emphasis repair: balances the Markdown emphasis (stars) of one paragraph, which models often leave unclosed.

What it does: `repair_emphasis` replaces the stars that open or close emphasis by marks (noncharacters of Unicode),
always in pairs and nested, escapes literal stars, and drops stray ones. An *action that is not closed ends with its
line; one that is only closed.* began with the line, or after the last speech or action. A star between two spaces or
inside a word is literal.
What it refuses to know: Markdown's blocks, speech, HTML. It is pure. static/js/lib/emphasis_repair.js is the same
algorithm: change both together; the browser tests compare them.
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
    """The paragraph with marks (MARKS) in place of the stars that open or close emphasis."""
    repair = _EmphasisRepair()
    text = _FOREIGN.sub("", paragraph)
    offset = 0
    for index, piece in enumerate(_PIECES.split(text)):
        if index % 2 and piece[0] == "*":
            repair.stars(piece, text[offset - 1 : offset] or " ", text[offset + len(piece) : offset + len(piece) + 1])
        else:
            repair.plain(piece, bool(index % 2) and piece[0] not in "`\\")
        offset += len(piece)
    return repair.finish()


class _EmphasisRepair:
    """The repaired paragraph so far: its pieces, and the stack of open marks."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._open: list[tuple[str, int]] = []  # kind, index of the piece that is its opening mark
        self._edge = 0  # where an action began whose first star is missing

    def plain(self, piece: str, edge: bool) -> None:
        """Append text, a quotation mark or a line end; at an `edge` (the last two) an action may begin."""
        self._out.append(piece)
        if edge:
            self._edge = len(self._out)

    def stars(self, run: str, before: str, after: str) -> None:
        """Handle a run of stars; `before` and `after` are its neighbours, `after` empty at the end of the paragraph."""
        loose = before.isspace() and (not after or after.isspace())
        in_word = len(run) == 1 and bool(_IN_WORD.match(before) and _IN_WORD.match(after))
        if len(run) > 3 or ((loose or in_word) and after and not self._open):
            self._literal(run)
        elif loose and not self._open:
            return  # opens an action that has no text yet
        else:
            self._turn(run, opens=bool(after) and not after.isspace(), closes=not before.isspace() or loose)

    def _literal(self, run: str) -> None:
        self._out.append("\\*" * len(run))

    def finish(self) -> str:
        """The repaired paragraph, with everything closed that is still open."""
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
        """Close this kind, and the kinds that were opened inside it and are still open."""
        while any(kind == other for other, _ in self._open):
            self._out.append(CLOSE[self._open.pop()[0]])
        self._edge = len(self._out)

    def _close_at_line_end(self, kind: str, start: int) -> None:
        line_ends = (index for index in range(start, len(self._out)) if self._out[index].endswith("\n"))
        last = next(line_ends, len(self._out) - 1)
        line = self._out[last].removesuffix("\n")
        self._out[last] = line + CLOSE[kind] + self._out[last][len(line) :]

    def _open_at_edge(self, run: str) -> None:
        """A closing star without an opening one: open at the last edge."""
        action = "".join(self._out[self._edge :])
        if action[-1:].isdigit():
            self._literal(run)  # a 5* hotel
        elif _LETTER.search(action) and not self._open:
            space = len(action) - len(action.lstrip())
            self._out[self._edge :] = [action[:space], OPEN[EM] + action[space:] + CLOSE[EM]]
            self._edge = len(self._out)
