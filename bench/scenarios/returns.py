"""Parts a and a2: a long chat comes back after others have used the card, and after everything was killed."""

import time
from collections.abc import Sequence
from typing import Any

from bench.peers.bare import Bare
from bench.peers.system import Setting, System, Turn
from bench.scenarios.table import BEST, EVERYBODY, OURS, SERVER, Bench, Result, median, spread
from bench.tables import table

CHAT, OTHER, NEW = 1500, 450, 40
BETWEEN = (0, 1, 3, 7, 15, 31)
Seen = dict[str, dict[int, list[Turn]]]
SETTLE_S = 2.0  # what a chat leaves on the disk is written beside its turns

NOT_FLAT = "a return pays the loading of its blocks besides what it reads; a return after nobody else does not"
OVER_BOUND = "beside the decode a turn passes a web socket, two SQL commits, Redis, RQ and the publisher"


def returns(bench: Bench) -> Result:
    """Part a."""
    between = bench.pick(BETWEEN, (0, 1, 7))
    seen: Seen = {}
    cold: dict[str, list[float]] = {}
    for make in bench.line_up(bench.pick(EVERYBODY, BEST)):
        with make() as system:
            print("...", system.name)
            _visit(bench, system, between, seen, cold)
    bound, reread = _bare(bench)
    result = Result(raw={"seen": _raw(seen), "cold": cold, "bound": bound, "reread": reread})
    result.tables.append(_table(seen, between, cold, bound, reread))
    _judge(bench, result, seen, between, median(bound), median(reread))
    return result


def _visit(bench: Bench, system: System, between: Sequence[int], seen: Seen, cold: dict[str, list[float]]) -> None:
    words = bench.words
    chat = system.chat(words.history(0, CHAT))
    others = [system.chat(words.history(100 + n, OTHER)) for n in range(max(between))]
    cold.setdefault(system.name, []).append(chat.send(words.message(1, NEW)).first_s)
    for number, n_others in enumerate(between):
        for other in others[:n_others]:
            other.send(words.message(10 + number, NEW // 2))
        turn = chat.send(words.message(2 + number, NEW))
        seen.setdefault(system.name, {}).setdefault(n_others, []).append(turn)


def _bare(bench: Bench) -> tuple[list[float], list[float]]:
    """Seconds to the first token: with everything old in the cells, and with nothing there."""
    words = bench.words
    old = [*words.persona.tokens, *(token for line in words.history(0, CHAT) for token in line.tokens)]
    new = [*words.line("user", "Ann", words.message(1, NEW)).tokens, *words.header("character", "Mara")]
    with Bare(bench.setting) as bare:
        return bare.first_s(old, new), bare.first_s([], [*old, *new], bench.pick(3, 1))


def _judge(bench: Bench, result: Result, seen: Seen, between: Sequence[int], bound: float, reread: float) -> None:
    ours = {n: median([turn.first_s for turn in turns]) for n, turns in seen[OURS].items()}
    flat, last = max(ours.values()) / ours[0], between[-1]
    result.judge("a", "first token after other chats / after none", f"{flat:.2f}", "<= 1.2", flat <= 1.2, NOT_FLAT)
    over = median(list(ours.values())) / bound
    measured = f"{over:.2f} ({1000 * median(list(ours.values())):.0f} ms / {1000 * bound:.0f} ms)"
    result.judge("a", "first token / the bound", measured, "<= 1.5", over <= 1.5, OVER_BOUND)
    again = max((turn.evaluated or 0) - _new(bench, n) for n, turns in enumerate(seen[OURS].values()) for turn in turns)
    result.judge("a", "old tokens evaluated, worst return", str(max(0, again)), "0", again <= 0, "they were lost")
    for name in seen:
        if name != OURS:
            theirs = median([turn.first_s for turn in seen[name][last]])
            what = f"first token after {last} others, {name} / inglenook"
            result.judge("a", what, f"{theirs / ours[last]:.2f}x", "> 1x", theirs > ours[last], OVER_BOUND)
    result.see("a", "reading all of it again / inglenook", f"{reread / ours[last]:.1f}x")


def _new(bench: Bench, number: int) -> int:
    """Tokens that the return with this number brings."""
    words = bench.words
    message = words.line("user", "Ann", words.message(2 + number, NEW))
    return len(message.tokens) + len(words.header("character", "Mara"))


def _table(
    seen: Seen, between: Sequence[int], cold: dict[str, list[float]], bound: list[float], reread: list[float]
) -> str:
    head = ("first token (prompt tokens evaluated)", *(f"after {n}" for n in between), "first time")
    rows: list[tuple[str, ...]] = []
    for name, returns_of in seen.items():
        cells = [_cell(returns_of[n]) for n in between]
        rows.append((name, *cells, spread(cold[name])))
    blank = [""] * (len(between) - 1)
    rows.append(("bare loop, all in the cells", spread(bound), *blank, ""))
    rows.append(("bare loop, reading all again", spread(reread), *blank, ""))
    return table(head, rows)


def _cell(turns: Sequence[Turn]) -> str:
    return f"{spread([turn.first_s for turn in turns])}; {max(turn.evaluated or 0 for turn in turns)}"


def _raw(seen: Seen) -> dict[str, Any]:
    return {name: {str(n): [turn.raw() for turn in turns] for n, turns in some.items()} for name, some in seen.items()}


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
    setting: Setting = bench.setting
    found: dict[str, list[Turn]] = {}
    for make in bench.line_up((OURS, SERVER), context=setting.context * 3):
        with make() as system:
            print("...", system.name)
            chat = system.chat(bench.words.history(0, 4000))
            others = [system.chat(bench.words.history(100 + n, OTHER)) for n in range(7)]
            for number, n_others in enumerate((0, 0, 7)):
                for other in others[:n_others]:
                    other.send("Good evening.")
                found.setdefault(system.name, []).append(chat.send(bench.words.message(1 + number, NEW)))
    result = Result(raw={name: [turn.raw() for turn in turns] for name, turns in found.items()})
    ours = [turn.first_s for turn in found[OURS]]
    ratio = median(ours[2::3]) / median(ours[1::3])
    result.judge(
        "a", "the same, 4,000 tokens: after 7 others / after none", f"{ratio:.2f}", "<= 1.2", ratio <= 1.2, NOT_FLAT
    )
    theirs = median([turn.first_s for turn in found[SERVER]][2::3]) / median(ours[2::3])
    result.judge(
        "a", "the same, 4,000 tokens: llama-server / inglenook", f"{theirs:.2f}x", "> 1x", theirs > 1, OVER_BOUND
    )
    return result
