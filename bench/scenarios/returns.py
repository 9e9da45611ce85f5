"""Parts a and a2: a long chat comes back after others have used the card, and after everything was killed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.peers.bare import Bare
from bench.peers.system import Setting, System, Talker, Turn
from bench.peers.talk import CHAR, USER
from bench.scenarios.table import BEST, EVERYBODY, OURS, SERVER, Bench, Result, median, spread
from bench.tables import table

CHAT, LONG, OTHER, NEW = 1500, 4000, 450, 40
BETWEEN = (0, 1, 3, 7, 15, 31)
REST_S = 0.5  # a server has done with the turn before
SETTLE_S = 2.0  # what a chat leaves on the disk is written beside its turns

NOT_FLAT = "a return pays the loading of its blocks besides what it reads; a return after nobody else does not"
OVER_BOUND = "beside the decode a turn passes a web socket, three SQL transactions, Redis, RQ and the publisher"


@dataclass(frozen=True)
class Return:
    """A turn of a chat that came back, and the first token of a bare loop just before it."""

    turn: Turn
    bound_s: float

    @property
    def over(self) -> float:
        """First token, in first tokens of the bare loop: what is left of it when the machine's pace has changed."""
        return self.turn.first_s / self.bound_s

    def raw(self) -> dict[str, Any]:
        """For the file of raw results."""
        return {**self.turn.raw(), "bound_s": self.bound_s}


Seen = dict[str, dict[int, list[Return]]]


class Bound:
    """A bare loop that holds the chat in its cells. Use as a context manager."""

    def __init__(self, bench: Bench, setting: Setting, n_tokens: int) -> None:
        words = bench.words
        self.old = [*words.persona.tokens, *(token for line in words.history(0, n_tokens) for token in line.tokens)]
        self.new = [*words.line("user", USER, words.message(1, NEW)).tokens, *words.header("character", CHAR)]
        self.bare = Bare(setting)

    def __enter__(self) -> "Bound":
        self.bare.__enter__()
        self.bare.hold(self.old)
        return self

    def __exit__(self, *_error: object) -> None:
        self.bare.__exit__()

    def reread(self, times: int) -> list[float]:
        """Seconds to the first token when nothing is held."""
        self.bare.hold([])
        return self.bare.first_s([*self.old, *self.new], times)

    def beside(self, chat: Talker, text: str) -> Return:
        """A turn, with the bound measured while the server rests."""
        time.sleep(REST_S)
        bound = median(self.bare.first_s(self.new, 3))
        return Return(chat.send(text), bound)


def returns(bench: Bench) -> Result:
    """Part a."""
    between = bench.pick(BETWEEN, (0, 1, 7))
    seen: Seen = {}
    cold: dict[str, list[float]] = {}
    with Bound(bench, bench.setting, CHAT) as bound:
        for make in bench.line_up(bench.pick(EVERYBODY, BEST)):
            with make() as system:
                print("...", system.name)
                _visit(bench, bound, system, between, seen, cold)
        reread = bound.reread(bench.pick(3, 1))
    result = Result(raw={"seen": _raw(seen), "cold": cold, "reread": reread})
    result.tables.append(_table(seen, between, cold, reread))
    _judge(bench, result, seen, between, median(reread))
    return result


def _visit(
    bench: Bench, bound: Bound, system: System, between: Sequence[int], seen: Seen, cold: dict[str, list[float]]
) -> None:
    words = bench.words
    chat = system.chat(words.history(0, CHAT))
    others = [system.chat(words.history(100 + n, OTHER)) for n in range(max(between))]
    cold.setdefault(system.name, []).append(chat.send(words.message(1, NEW)).first_s)
    for number, n_others in enumerate(between):
        for other in others[:n_others]:
            other.send(words.message(10 + number, NEW // 2))
        back = bound.beside(chat, words.message(2 + number, NEW))
        seen.setdefault(system.name, {}).setdefault(n_others, []).append(back)


def _judge(bench: Bench, result: Result, seen: Seen, between: Sequence[int], reread: float) -> None:
    over = {
        name: {n: median([back.over for back in backs]) for n, backs in some.items()} for name, some in seen.items()
    }
    ours, last = over[OURS], between[-1]
    flat = max(ours.values()) / ours[0]
    result.judge("a", "first token after other chats / after none", f"{flat:.2f}", "<= 1.2", flat <= 1.2, NOT_FLAT)
    backs = [back for some in seen[OURS].values() for back in some]
    over_bound = median([back.over for back in backs])
    first, bound = (median(values) for values in ([b.turn.first_s for b in backs], [b.bound_s for b in backs]))
    measured = f"{over_bound:.2f} ({1000 * first:.0f} ms / {1000 * bound:.0f} ms)"
    result.judge("a", "first token / the bound", measured, "<= 1.5", over_bound <= 1.5, OVER_BOUND)
    again = max(
        (back.turn.evaluated or 0) - _new(bench, n) for n, some in enumerate(seen[OURS].values()) for back in some
    )
    result.judge("a", "old tokens evaluated, worst return", str(max(0, again)), "0", again <= 0, "they were lost")
    for name in seen:
        if name != OURS:
            ratio = over[name][last] / ours[last]
            what = f"first token after {last} others, {name} / inglenook"
            result.judge("a", what, f"{ratio:.2f}x", "> 1x", ratio > 1, OVER_BOUND)
    latest = median([back.turn.first_s for back in seen[OURS][last]])
    result.see("a", "reading all of it again / inglenook", f"{reread / latest:.1f}x")


def _new(bench: Bench, number: int) -> int:
    """Tokens that the return with this number brings."""
    words = bench.words
    message = words.line("user", "Ann", words.message(2 + number, NEW))
    return len(message.tokens) + len(words.header("character", "Mara"))


def _table(seen: Seen, between: Sequence[int], cold: dict[str, list[float]], reread: list[float]) -> str:
    head = ("first token (prompt tokens evaluated)", *(f"after {n}" for n in between), "first time")
    rows: list[tuple[str, ...]] = []
    for name, returns_of in seen.items():
        cells = [_cell([back.turn for back in returns_of[n]]) for n in between]
        rows.append((name, *cells, spread(cold[name])))
    blank = [""] * (len(between) - 1)
    bounds = [back.bound_s for some in seen.values() for backs in some.values() for back in backs]
    rows.append(("bare loop, all in the cells", spread(bounds), *blank, ""))
    rows.append(("bare loop, reading all again", spread(reread), *blank, ""))
    return table(head, rows)


def _cell(turns: Sequence[Turn]) -> str:
    return f"{spread([turn.first_s for turn in turns])}; {max(turn.evaluated or 0 for turn in turns)}"


def _raw(seen: Seen) -> dict[str, Any]:
    return {name: {str(n): [back.raw() for back in backs] for n, backs in some.items()} for name, some in seen.items()}


def killed(bench: Bench) -> Result:
    """Part a2: the same chat after kill -9 of everything."""
    first: dict[str, list[tuple[Turn, Turn]]] = {}
    for make in bench.line_up(BEST):
        with make() as system:
            print("...", system.name)
            chat = system.chat(bench.words.history(0, CHAT))
            cold = chat.send(bench.words.message(1, NEW))
            time.sleep(SETTLE_S)
            system.restart()
            first.setdefault(system.name, []).append((cold, chat.send(bench.words.message(2, NEW))))
    result = Result(raw={name: [[one.raw() for one in pair] for pair in pairs] for name, pairs in first.items()})
    rows = [
        (
            name,
            spread([cold.first_s for cold, _ in pairs]),
            spread([after.first_s for _, after in pairs]),
            _cell([after for _, after in pairs]).rpartition("; ")[2],
        )
        for name, pairs in first.items()
    ]
    result.tables.append(table(("after kill -9 of everything", "first time", "after it", "tokens evaluated"), rows))
    faster = median([cold.first_s / after.first_s for cold, after in first[OURS]])
    why = "the new message is read in either case and is most of what is left"
    result.judge("a'", "after kill -9, times faster than re-reading", f"{faster:.1f}x", ">= 10x", faster >= 10, why)
    for name in (name for name in first if name != OURS):
        again = median([cold.first_s / after.first_s for cold, after in first[name]])
        result.see("a'", f"the same, {name}", f"{again:.1f}x (reads {first[name][0][1].evaluated} tokens again)")
    return result


def long_returns(bench: Bench) -> Result:
    """Part a4k: a chat of 4,000 tokens in a longer context."""
    context = bench.setting.context * 3
    seen: Seen = {}
    with Bound(bench, replace(bench.setting, context=context), LONG) as bound:
        for make in bench.line_up((OURS, SERVER), context=context):
            with make() as system:
                print("...", system.name)
                _long_visit(bench, bound, system, seen.setdefault(system.name, {}))
    result = Result(raw=_raw(seen))
    ours, theirs = ({n: median([back.over for back in seen[name][n]]) for n in (0, 7)} for name in (OURS, SERVER))
    flat, over, ratio = ours[7] / ours[0], ours[7], theirs[7] / ours[7]
    what = "the same, 4,000 tokens: "
    result.judge("a", what + "after 7 others / after none", f"{flat:.2f}", "<= 1.2", flat <= 1.2, NOT_FLAT)
    result.judge("a", what + "first token / the bound", f"{over:.2f}", "<= 1.5", over <= 1.5, OVER_BOUND)
    result.judge("a", what + "llama-server / inglenook", f"{ratio:.2f}x", "> 1x", ratio > 1, OVER_BOUND)
    return result


def _long_visit(bench: Bench, bound: Bound, system: System, seen: dict[int, list[Return]]) -> None:
    words = bench.words
    chat = system.chat(words.history(0, LONG))
    others = [system.chat(words.history(100 + n, OTHER)) for n in range(7)]
    chat.send(words.message(1, NEW))
    for number, n_others in enumerate((0, 7, 0, 7)):
        for other in others[:n_others]:
            other.send(words.message(10 + number, NEW // 2))
        seen.setdefault(n_others, []).append(bound.beside(chat, words.message(2 + number, NEW)))
