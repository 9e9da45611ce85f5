"""Step: tokens/s of the whole stack (web, Redis, worker with lanes) through its web socket, on the 7B-shaped model,
beside llama-batched-bench of the same build on the same file, one right after the other.
"""

import sys
from pathlib import Path

from bench.gpu.asked import Asked, ask
from bench.gpu.build import BATCHED
from bench.gpu.rows import Row, judged, tell
from bench.peers.inglenook import Inglenook
from bench.peers.system import Setting
from bench.peers.talk import CHAR, USER, Words
from bench.scenarios.many import batched_tokens_per_s, together, tokens_per_s

USERS, TOY_USERS = (1, 2, 4), (2,)
CONTEXT, WRITTEN, TOY_WRITTEN = 2048, 160, 24
TARGET = 0.95
GO_ON = "Go on."


def measure(asked: Asked) -> None:
    """One server for all; for each number of people new chats, then llama-batched-bench."""
    counts, reply = (TOY_USERS, TOY_WRITTEN) if asked.toy else (USERS, WRITTEN)
    lanes = counts[-1]
    setting = Setting(asked.model, CONTEXT, asked.threads, reply, lanes, people=lanes, card_gb=6.0)
    words = Words(asked.model)
    try:
        with Inglenook(words, setting, lanes) as system:
            for n_users in counts:
                tell_speed(asked, system, words, setting, n_users)
    finally:
        words.close()


def tell_speed(asked: Asked, system: Inglenook, words: Words, setting: Setting, n_users: int) -> None:
    """The row of one number of people."""
    said = [words.message(100 * n_users + person, 40) for person in range(n_users)]
    chats = [system.chat((), person) for person in range(n_users)]
    together(chats, said)
    ours = tokens_per_s(together(chats, [GO_ON] * n_users))
    what, program = f"{n_users} at once, the whole stack / {BATCHED}", asked.libraries / BATCHED
    if not program.is_file():
        tell(Row("speed", what, f"{ours:.1f} tokens/s", detail=f"{BATCHED} is not in {asked.libraries}"))
        return
    n_prompt = prompt_tokens(words, said[0], setting.reply)
    theirs = batched(program, setting, n_users, n_prompt, asked.on_card)
    detail = f"{ours:.1f} / {theirs:.1f} tokens/s, {setting.reply} tokens each behind {n_prompt}"
    tell(judged("speed", what, f"{ours / theirs:.1%}", f">= {TARGET:.0%}", ours / theirs >= TARGET, detail))


def batched(program: Path, setting: Setting, n_users: int, n_prompt: int, on_card: bool) -> float:
    """llama-batched-bench with as many cells as the worker has for its lanes."""
    more = ("-ngl", "99") if on_card else ()
    n_cells = setting.context * setting.lanes
    return batched_tokens_per_s(program, setting, n_users, n_prompt, setting.reply, n_cells, more)


def prompt_tokens(words: Words, said: str, n_written: int) -> int:
    """What stands before the second reply of a chat."""
    lines = [words.line("user", USER, text).tokens for text in (said, GO_ON)]
    header = words.header("character", CHAR)
    return len(words.persona.tokens) + sum(map(len, lines)) + 2 * len(header) + n_written


def main() -> int:
    measure(ask(__doc__))
    return 0


if __name__ == "__main__":
    sys.exit(main())
