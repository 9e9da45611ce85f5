"""`python -m engine [MODEL.gguf]`: chat with any GGUF model on the terminal, with nothing but this room.

    python -m engine                                    the demo model, if its package is installed
    python -m engine model.gguf --plan                  only say what would fit, and how
    python -m engine model.gguf --folder ~/.mira        goes on tomorrow where it ended today, without reading again

Commands while chatting: /retry, /continue, /quit; Ctrl+C stops a reply. What it refuses to know: everything that
engine/chat.py, engine/model/memory_plan.py and engine/model/shift_probe.py decide.
"""

import argparse
import hashlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from engine.chat import Conversation, Exchange, Transcript
from engine.engine import Engine
from engine.errors import EngineError, RequestError
from engine.events import Cancelled, Done, Failed, Reading, Text
from engine.model.hardware import demo_model
from engine.model.loader import load_model, plan_model
from engine.model.memory_plan import KV_VALUE_BYTES, MemoryPlan, PlanRequest
from engine.options import EngineOptions
from engine.sampling import SamplerSettings

PERSONA = "You are Mira, the warm-hearted keeper of a small inn. You answer in a few lively sentences."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m engine", description="Chat with a GGUF model on the terminal.")
    made.add_argument("model", nargs="?", type=Path, help="a GGUF file (default: the demo model)")
    made.add_argument("--persona", default=PERSONA, help="who the character is; read once, never forgotten")
    made.add_argument("--character", default="Mira", help="the character's name")
    made.add_argument("--user", default="You", help="your name")
    made.add_argument("--folder", type=Path, help="where the conversation and its KV blocks are kept between runs")
    made.add_argument("--context", type=int, default=0, metavar="TOKENS", help="tokens of the session (0: what fits)")
    made.add_argument("--reply", type=int, default=300, metavar="TOKENS", help="longest reply")
    made.add_argument("--kv-type", choices=sorted(KV_VALUE_BYTES), help="type of the KV cells (default: what fits)")
    made.add_argument("--gb", type=float, metavar="GIB", help="memory budget (default: 6 for a card, else the RAM)")
    made.add_argument("--gpu-layers", type=int, default=-1, help="layers on the card (-1: all that fit, 0: none)")
    made.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    made.add_argument("--temperature", type=float, default=0.8, help="0 always takes the likeliest token")
    made.add_argument("--seed", type=int, help="the same seed gives the same replies")
    made.add_argument("--plan", action="store_true", help="print the memory plan and stop")
    made.add_argument("--verbose", action="store_true", help="show what llama.cpp says")
    return made


def main(arguments: Sequence[str] | None = None, lines: TextIO | None = None) -> int:
    """The program; `lines` is what the person types. 1 and one sentence when something cannot be done."""
    asked = parser().parse_args(arguments)
    logging.basicConfig(level=logging.DEBUG if asked.verbose else logging.ERROR, format="%(name)s: %(message)s")
    try:
        path = asked.model or demo_model()
        plan = make_plan(asked, path)
        print(plan.describe(), flush=True)
        return 0 if asked.plan else talk(asked, path, plan, lines or sys.stdin)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1


def make_plan(asked: argparse.Namespace, path: Path) -> MemoryPlan:
    """What fits."""
    request = PlanRequest(
        asked.context, 1, asked.gpu_layers, (asked.kv_type,) if asked.kv_type else tuple(KV_VALUE_BYTES)
    )
    probes = asked.folder / "probes.json" if asked.folder else None
    return plan_model(path, request, asked.gb or 6.0, asked.gb or 0.0, probes)


def open_engine(asked: argparse.Namespace, path: Path, plan: MemoryPlan) -> Engine:
    """The model, loaded as planned, behind an engine that runs."""
    folder = asked.folder / "blocks" if asked.folder else None
    options = EngineOptions(context=plan.context, lanes=plan.lanes, folder=folder)
    return Engine(load_model(path, plan, asked.threads), options).start()


def talk(asked: argparse.Namespace, path: Path, plan: MemoryPlan, lines: TextIO) -> int:
    """Conversation until the person has enough."""
    sampling = SamplerSettings(temperature=asked.temperature, seed=asked.seed)
    transcript = Transcript(asked.persona, asked.character, asked.user)
    engine = open_engine(asked, path, plan)
    try:
        chat = Conversation(engine, transcript, _file_of(asked), asked.reply, sampling)
        print(f"\n{asked.character} listens. /retry, /continue, /quit; Ctrl+C stops a reply.")
        for message in chat.messages[-4:]:
            print(f"{asked.user if message.role == 'user' else asked.character}: {message.text}")
        Terminal(chat, lines, asked.user, asked.character).run()
    finally:
        engine.close()
    return 0


def _file_of(asked: argparse.Namespace) -> Path | None:
    """One conversation for each persona and pair of names."""
    if asked.folder is None:
        return None
    who = "\0".join((asked.persona, asked.character, asked.user))
    folder: Path = asked.folder
    return folder / f"chat-{hashlib.sha256(who.encode()).hexdigest()[:12]}.json"


@dataclass(slots=True)
class Terminal:
    """The loop of lines and replies."""

    chat: Conversation
    lines: TextIO
    user: str
    character: str

    def run(self) -> None:
        """Read lines until the end of the input or /quit."""
        while True:
            print(f"\n{self.user}: ", end="", flush=True)
            try:
                line = self.lines.readline()
            except KeyboardInterrupt:
                line = ""
            if not line or line.strip() == "/quit":
                print()
                return
            if line.strip():
                self._answer(line.strip())

    def _answer(self, line: str) -> None:
        commands = {"/retry": self.chat.retry, "/continue": self.chat.continue_reply}
        try:
            if line.startswith("/") and line not in commands:
                raise RequestError(f"{line.split()[0]} is unknown: /retry, /continue, /quit")
            turn = commands[line]() if line in commands else self.chat.send(line)
        except RequestError as error:
            print(f"({error})")
            return
        print(f"{self.character}: ", end="", flush=True)
        try:
            self._show(turn)
        except KeyboardInterrupt:
            turn.cancel()
            self._show(turn)

    def _show(self, turn: Exchange) -> None:
        for event in turn.events():
            if isinstance(event, Text):
                print(event.text, end="", flush=True)
            elif isinstance(event, Reading) and event.total - event.done > 512:
                logging.getLogger(__name__).info("reading %d of %d tokens", event.done, event.total)
            elif isinstance(event, Failed):
                print(f"({event.message})")
            elif isinstance(event, Done | Cancelled):
                stats = event.stats
                print(f"\n({stats.n_evaluated} tokens read, {stats.n_restored} restored, {stats.n_generated} written)")


if __name__ == "__main__":
    sys.exit(main())
