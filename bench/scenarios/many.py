"""Parts d and e: several people at once, and one person against the bare loop; d1 and e1: the same with a core free."""

import itertools
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bench.peers.bare import Bare
from bench.peers.build import programs
from bench.peers.inglenook import Inglenook
from bench.peers.system import Setting, System, Talker, Turn
from bench.peers.talk import CHAR, USER, Words
from bench.scenarios.table import OURS, SERVER, Bench, Result, median, p95
from bench.tables import table

USERS = (1, 2, 4, 8)
WRITTEN = 96
BATCHED = "llama-batched-bench"
SETTLE_S = 1.0  # what a turn leaves on the disk is written beside it
Speeds = dict[str, dict[int, list[float]]]
_numbers = itertools.count(50)

SHARED = (
    "web, worker, Redis and these clients share the cores with the decode; a machine with a free core or a GPU has them"
)
BETWEEN = "what is left is Python between two decodes (0.2 ms a token), and caches that all processes share"
FREE = "the same, a core free (1 computing thread): "
BUNDLED = "text leaves the worker in bundles, each a call to Redis; a token waits for the next bundle"


def users(bench: Bench) -> Result:
    """Part d. Each speed has a run of llama-batched-bench right behind it, so that a drift of the machine hits both."""
    return _users(bench, USERS, bench.pick(2, 1), "")


def users_with_a_core_free(bench: Bench) -> Result:
    """Part d1: everybody computes on one core, so that the other one has what is not decode."""
    free = replace(bench, setting=replace(bench.setting, threads=1))
    return _users(free, (1, 4), 1, FREE)


def _users(bench: Bench, counts: Sequence[int], rounds: int, what: str) -> Result:
    speeds: Speeds = {OURS: {}, BATCHED: {}, SERVER: {}}
    shares: Speeds = {OURS: {}, SERVER: {}}
    setting = {"lanes": counts[-1], "people": counts[-1], "reply": WRITTEN}
    for make in bench.line_up((OURS, SERVER), **setting):
        with make() as system:
            print("...", system.name)
            for n_users in tuple(counts) * rounds:
                speed, batched = _measure(bench, system, n_users)
                speeds[system.name].setdefault(n_users, []).append(speed)
                speeds[BATCHED].setdefault(n_users, []).append(batched)
                shares[system.name].setdefault(n_users, []).append(speed / batched)
    result = Result(raw={"speeds": speeds, "shares": shares})
    head = (f"{what}tokens/s of all users together", *(f"{n} users" if n > 1 else "1 user" for n in counts))
    rows = [(name, *(f"{median(some[n]):.1f}" for n in counts)) for name, some in speeds.items()]
    result.tables.append(table(head, rows))
    for n_users in counts:
        _judge(result, n_users, what, speeds, shares)
    return result


def _measure(bench: Bench, system: System, n_users: int) -> tuple[float, float]:
    """Tokens per second of new chats, all of one length, and of llama-batched-bench behind a prompt of that length."""
    words = bench.words
    chats = [system.chat((), person) for person in range(n_users)]
    together(chats, [words.message(next(_numbers), 20) for _ in chats])  # no two alike: they share the persona only
    turns = together(chats, ["Go on."] * n_users)
    time.sleep(SETTLE_S)
    return tokens_per_s(turns), _batched(bench, n_users, len(words.persona.tokens) + 20 + WRITTEN + 20)


def together(chats: Sequence[Talker], texts: Sequence[str]) -> list[Turn]:
    """Each says its text, all at the same moment."""
    gate = threading.Barrier(len(chats))

    def say(chat: Talker, text: str) -> Turn:
        gate.wait()
        return chat.send(text)

    with ThreadPoolExecutor(len(chats)) as pool:
        return list(pool.map(say, chats, texts))


def tokens_per_s(turns: Sequence[Turn]) -> float:
    """Of all together, while everybody's text flows: tokens of each in proportion to the characters that came then."""
    began = max(turn.sent_at + turn.pieces[0][0] for turn in turns)
    over = min(turn.sent_at + turn.pieces[-1][0] for turn in turns)
    n_tokens = 0.0
    for turn in turns:
        heard = sum(size for at, size in turn.pieces if began < turn.sent_at + at <= over)
        n_tokens += turn.generated * heard / sum(size for _, size in turn.pieces)
    return n_tokens / (over - began)


def _batched(bench: Bench, n_users: int, n_prompt: int) -> float:
    n_cells = bench.setting.context * USERS[-1]
    return batched_tokens_per_s(programs() / BATCHED, bench.setting, n_users, n_prompt, WRITTEN, n_cells)


def batched_tokens_per_s(
    program: Path, setting: Setting, n_users: int, n_prompt: int, n_written: int, n_cells: int, more: Sequence[str] = ()
) -> float:
    """llama-batched-bench with one KV cache for all, and a prompt that all share, as the persona is."""
    command = [
        *(str(program), "-m", str(setting.model), "-t", str(setting.threads), "-kvu", "-pps", "-fa", "on"),
        *("-c", str(n_cells), "-b", "512", "-ub", "512", "-npp", str(n_prompt), "-ntg", str(n_written)),
        *("-npl", str(n_users), "--output-format", "jsonl", *more),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return float(found[0]["speed_tg"])


def _judge(result: Result, n_users: int, what: str, speeds: Speeds, shares: Speeds) -> None:
    share, theirs = (median(shares[name][n_users]) for name in (OURS, SERVER))
    why, what = BETWEEN if what else SHARED, f"{what}{n_users} at once, of "
    measured = f"{share:.1%} ({median(speeds[OURS][n_users]):.1f} tokens/s)"
    result.judge("d", what + BATCHED, measured, ">= 95%", share >= 0.95, why)
    ratio = share / theirs
    result.judge("d", what + SERVER, f"{ratio:.1%}", ">= 100%", ratio >= 1, why)


def alone(bench: Bench) -> Result:
    """Part e: a new chat each time, and the bare loop behind the same words right after it."""
    return _alone(bench, "")


def alone_with_a_core_free(bench: Bench) -> Result:
    """Part e1: both compute on one core, so that the other one has what is not decode."""
    return _alone(replace(bench, setting=replace(bench.setting, threads=1)), FREE)


def _alone(bench: Bench, what: str) -> Result:
    setting = replace(bench.setting, reply=bench.pick(256, 128), lanes=1)
    speeds: list[tuple[float, float]] = []
    late: list[float] = []
    with tempfile.NamedTemporaryFile("r") as file:
        system = Inglenook(bench.words, setting)
        system.services.entry = ("bench.peers.timed_run", file.name)
        with system, Bare(setting) as bare:
            for number in range(bench.pick(6, 2)):
                text, chat = bench.words.message(number, 20), system.chat(())
                turn = chat.send(text)
                time.sleep(SETTLE_S)
                speeds.append((tokens_per_s([turn]), bare.tokens_per_s(_prompt(bench.words, text), setting.reply)))
                late += lateness(Path(file.name), chat.id, [turn])
    result = Result(raw={"speeds": speeds, "late_ms": late})
    share = median([ours / bound for ours, bound in speeds])
    ours, bound = (median(column) for column in zip(*speeds, strict=True))
    measured = f"{share:.1%} ({ours:.1f} / {bound:.1f} tokens/s)"
    why = BETWEEN if what else SHARED
    result.judge("e", what + "tokens/s, the whole stack / the bare loop", measured, ">= 97%", share >= 0.97, why)
    measured = f"{median(late):.1f} ms (p95 {p95(late):.1f} ms)"
    result.judge("e", what + "from decode to browser", measured, "< 5 ms", median(late) < 5, BUNDLED)
    return result


def _prompt(words: Words, text: str) -> list[int]:
    return [*words.persona.tokens, *words.line("user", USER, text).tokens, *words.header("character", CHAR)]


def lateness(file: Path, chat: str, turns: Sequence[Turn]) -> list[float]:
    """Milliseconds from the engine to the socket's other end, for each piece of text that the engine gave."""
    given = [line.split() for line in file.read_text().splitlines()]
    left = [(float(at), int(size)) for at, session, size in given if session == chat and int(size)]
    late = []
    for turn in turns:
        arrived = [(turn.sent_at + at, size) for at, size in turn.pieces]
        reached, n_heard, n_given = iter(arrived), 0, 0
        at = 0.0
        while n_given < len(turn.text) and left:
            began, size = left.pop(0)
            n_given += size
            while n_heard < n_given:
                at, more = next(reached)
                n_heard += more
            late.append((at - began) * 1000)
    return late
