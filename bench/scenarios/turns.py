"""Parts b, b4k and c: turns in a context that is full, and every kind of turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.peers.bare import Bare
from bench.peers.system import Setting, System, Talker, Turn
from bench.peers.talk import CHAR, LORE, LORE_WORD, NARRATOR, USER, Words, asked
from bench.scenarios.table import BEST, EVERYBODY, OURS, Bench, Result, median, p95, spread
from bench.tables import table

FULL, NEW = 1900, 40
LONG, LONG_FULL, LONG_REPLY = 4096, 3900, 64  # longer replies: six evictions in sixty turns

SHIFTED = "an overflow turn also removes the cells of what leaves; nothing is read again"
OF_THE_NEW = (
    "what is left of an overflow turn is the reading of its own new tokens, which a window is only so many times"
)


@dataclass(frozen=True)
class Step:
    """One turn of the long walk."""

    turn: Turn
    overflow: bool


def full(bench: Bench) -> Result:
    """Part b."""
    walks: dict[str, list[Step]] = {}
    for make in bench.line_up(BEST, similarity=0.1):
        with make() as system:
            print("...", system.name)
            n_turns = bench.pick(200, 30) // (1 if system.name == OURS or bench.quick else 4)
            n_turns = n_turns // 2 if system.name == OURS and not bench.quick else n_turns  # there and back: 200
            walks.setdefault(system.name, []).extend(_walk(bench, system, n_turns))
    reread, bound = _reread(bench, bench.setting)
    result = Result(raw={"walks": {name: [_raw(step) for step in walk] for name, walk in walks.items()}})
    result.raw |= {"reread": reread, "bound": bound}
    result.tables.append(_walk_table(walks))
    _judge_walks(result, walks, median(reread))
    result.see("b", "the same for a bare loop that reads the new tokens and nothing else", _times(reread, bound))
    return result


def long_full(bench: Bench) -> Result:
    """Part b4k: the same in a longer context, inglenook and the bare loop alone."""
    setting = replace(bench.setting, context=LONG)
    with bench.line_up((OURS,), context=LONG, reply=LONG_REPLY)[0]() as system:
        print("...", system.name)
        walk = _walk(bench, system, bench.pick(60, 12), LONG_FULL)
    reread, bound = _reread(bench, setting)
    result = Result(raw={"walk": [_raw(step) for step in walk], "reread": reread, "bound": bound})
    what = f"the same, a context of {LONG:,}: "
    _judge_ours(result, walk, median(reread), what)
    result.see("b", what + "a bare loop that reads the new tokens and nothing else", _times(reread, bound))
    return result


def _times(reread: Sequence[float], bound: Sequence[float]) -> str:
    return f"{median(reread) / median(bound):.1f}x ({1000 * median(bound):.0f} ms)"


def _walk(bench: Bench, system: System, n_turns: int, n_tokens: int = FULL) -> list[Step]:
    chat, steps = system.chat(bench.words.history(0, n_tokens)), []
    chat.send(bench.words.message(1, NEW))
    before = chat.n_forgotten()
    for number in range(n_turns):
        turn = chat.send(bench.words.message(2 + number, NEW))
        now = chat.n_forgotten()
        steps.append(Step(turn, now != before))
        before = now
    return steps


def _reread(bench: Bench, setting: Setting) -> tuple[list[float], list[float]]:
    """Seconds to the first token: what an eviction leaves is read, and only a new message behind it."""
    words = bench.words
    lines = words.history(0, setting.context * 3 // 4)
    old = [*words.persona.tokens, *(token for line in lines for token in line.tokens)]
    header = words.header("character", CHAR)
    with Bare(setting) as bare:
        reread = bare.first_s([*old, *header], bench.pick(3, 1))
        bare.hold(old)
        return reread, bare.first_s([*words.line("user", USER, words.message(1, NEW)).tokens, *header], 5)


def beside_neighbours(walk: Sequence[Step]) -> list[float]:
    """Each overflow turn's time over the mean of the turn before and the turn after it."""
    ratios = []
    for before, step, after in zip(walk, walk[1:], walk[2:], strict=False):
        if step.overflow and not before.overflow and not after.overflow:
            ratios.append(2 * step.turn.total_s / (before.turn.total_s + after.turn.total_s))
    return ratios


def _judge_walks(result: Result, walks: dict[str, list[Step]], reread: float) -> None:
    for name, walk in walks.items():
        if name == OURS:
            _judge_ours(result, walk, reread)
            continue
        ratios = beside_neighbours(walk)
        measured = f"{median(ratios):.2f}" if ratios else "no overflow came"
        result.see("b", f"overflow turn / its neighbours, {name}", measured)


def _judge_ours(result: Result, walk: Sequence[Step], reread: float, what: str = "") -> None:
    ratios, evicting = beside_neighbours(walk), [step.turn.first_s for step in walk if step.overflow]
    if not ratios:
        result.see("b", what + f"overflow turn / its neighbours, {OURS}", "no overflow came")
        return
    ratio, faster = median(ratios), reread / median(evicting)
    named = what + f"overflow turn / its neighbours, {OURS}"
    result.judge("b", named, f"{ratio:.2f} (n={len(ratios)})", "<= 1.05", ratio <= 1.05, SHIFTED)
    measured = f"{faster:.1f}x ({1000 * median(evicting):.0f} ms / {1000 * reread:.0f} ms)"
    named = what + "reading the window again / first token of an overflow turn"
    result.judge("b", named, measured, ">= 20x", faster >= 20, OF_THE_NEW)


def _walk_table(walks: dict[str, list[Step]]) -> str:
    head = ("full context", "turns", "first token, median", "p95", "overflow turn", "tokens evaluated then", "else")
    rows = []
    for name, walk in walks.items():
        normal, evicting = ([step.turn for step in walk if step.overflow is over] for over in (False, True))
        first = [step.turn.first_s for step in walk]
        rows.append(
            (
                *(name, len(walk), f"{1000 * median(first):.0f} ms", f"{1000 * p95(first):.0f} ms"),
                spread([turn.first_s for turn in evicting]) if evicting else "none",
                *(_evaluated(turns) for turns in (evicting, normal)),
            )
        )
    return table(head, rows)


def _evaluated(turns: Sequence[Turn]) -> str:
    return f"{median([turn.evaluated or 0 for turn in turns]):.0f}" if turns else "-"


def _raw(step: Step) -> dict[str, Any]:
    return {**step.turn.raw(), "overflow": step.overflow}


def kinds(bench: Bench) -> Result:
    """Part c: the same ten turns for everybody; how many tokens each of them reads."""
    read: dict[str, list[Turn]] = {}
    for make in bench.line_up(bench.pick(EVERYBODY, BEST)):
        with make() as system:
            print("...", system.name)
            chat = system.chat(bench.words.history(0, 1000))
            chat.send(bench.words.message(1, NEW))
            played = [_play(chat, kind, text) for kind, text in _script(bench.words)]
            read.setdefault(system.name, played)
    kinds_of = [kind for kind, _ in _script(bench.words)]
    new = [new_tokens(bench.words, kind, text) for kind, text in _script(bench.words)]
    result = Result(raw={"kinds": kinds_of, "new": new, "read": {n: [t.raw() for t in ts] for n, ts in read.items()}})
    rows = [
        (kind, new[at], *(f"{turns[at].evaluated} in {1000 * turns[at].first_s:.0f} ms" for turns in read.values()))
        for at, kind in enumerate(kinds_of)
    ]
    result.tables.append(table(("tokens evaluated, first token", "new", *read), rows))
    ours, least = sum(turn.evaluated or 0 for turn in read[OURS]), sum(new)
    result.judge(
        "c", "tokens evaluated, ten turns / new tokens", f"{ours} / {least}", "<= 1", ours <= least, "see the table"
    )
    for name in (name for name in read if name != OURS):
        result.see("c", f"the same, {name}", f"{sum(turn.evaluated or 0 for turn in read[name])} / {least}")
    return result


def _script(words: Words) -> list[tuple[str, str]]:
    say = [words.message(50 + n, NEW) for n in range(6)]
    return [
        *(
            ("send", say[0]),
            ("retry", ""),
            ("edit the last message", say[1]),
            ("narrate", ""),
            ("send after it", say[2]),
        ),
        *(("suggest, thrown away", ""), ("send after it", say[3]), ("lore comes in", f"Is the {LORE_WORD} here?")),
        *(("lore goes out", say[4]), ("send", say[5])),
    ]


def _play(chat: Talker, kind: str, text: str) -> Turn:
    if kind.startswith("edit"):
        return chat.edit(text)
    if text:
        return chat.send(text)
    return {"retry": chat.retry, "narrate": chat.narrate}.get(kind, chat.suggest)()


def new_tokens(words: Words, kind: str, text: str) -> int:
    """What a turn cannot do without reading: its message, its note, the header of its reply."""
    if kind == "retry":
        return 0
    message = len(words.line("user", USER, text).tokens) if text else 0
    if LORE_WORD in text:
        message += len(words.line("note", "", LORE).tokens)
    if kind == "narrate":
        return len(words.line("note", "", asked(kind)).tokens) + len(words.header("narrator", NARRATOR))
    if kind.startswith("suggest"):
        return len(words.line("note", "", asked("suggest")).tokens) + len(words.header("user", USER))
    return message + len(words.header("character", CHAR))
