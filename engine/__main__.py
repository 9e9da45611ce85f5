"""`python -m engine [MODEL.gguf]`: chat with any GGUF model on the terminal, using only engine/.

    python -m engine                                    the demo model, if its package is installed
    python -m engine model.gguf --plan                  only say what would fit, and how
    python -m engine model.gguf --folder ~/.mira        keeps the conversation and its KV blocks for the next start

Commands while chatting: /retry, /continue, /quit; Ctrl+C stops a reply. What it refuses to know: how a conversation is
kept (engine/chat.py) and what fits into the memory (engine/model/).
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
from engine.model.budgets import FreeBytes, free_for_engine, model_budget
from engine.model.hardware import demo_model, free_ram_bytes, ram_bytes
from engine.model.loader import cards, load_model, plan_model
from engine.model.memory_plan import GIB, KV_VALUE_BYTES, MemoryPlan
from engine.model.plan_search import PlanRequest
from engine.options import EngineOptions
from engine.sampling import SamplerSettings

PERSONA = "You are Mira, the warm-hearted keeper of a small inn. You answer in a few lively sentences."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(prog="python -m engine", description="Chat with a GGUF model on the terminal.")
    options.add_argument("model", nargs="?", type=Path, help="a GGUF file (default: the demo model)")
    options.add_argument("--persona", default=PERSONA, help="who the character is; read once, never forgotten")
    options.add_argument("--character", default="Mira", help="the character's name")
    options.add_argument("--user", default="You", help="your name")
    options.add_argument("--folder", type=Path, help="where the conversation and its KV blocks are kept between runs")
    options.add_argument(
        "--context", type=int, default=0, metavar="TOKENS", help="tokens of the session (0: what fits)"
    )
    options.add_argument("--reply", type=int, default=300, metavar="TOKENS", help="longest reply")
    options.add_argument("--kv-type", choices=sorted(KV_VALUE_BYTES), help="type of the KV cells (default: what fits)")
    options.add_argument("--gb", type=float, metavar="GIB", help="memory budget (default: what is free)")
    options.add_argument("--gpu-layers", type=int, default=-1, help="layers on the card (-1: all that fit, 0: none)")
    options.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    options.add_argument("--temperature", type=float, default=0.8, help="0 always takes the likeliest token")
    options.add_argument("--seed", type=int, help="the same seed gives the same replies")
    options.add_argument("--plan", action="store_true", help="print the memory plan and stop")
    options.add_argument("--verbose", action="store_true", help="show what llama.cpp says")
    return options


def main(command_line: Sequence[str] | None = None, lines: TextIO | None = None) -> int:
    """Run the program; `lines` replaces standard input. Exit status 1, and one sentence, after an EngineError."""
    arguments = parser().parse_args(command_line)
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.ERROR, format="%(name)s: %(message)s")
    try:
        path = arguments.model or demo_model()
        plan = make_plan(arguments, path)
        print(plan.describe(), flush=True)
        return 0 if arguments.plan else talk(arguments, path, plan, lines or sys.stdin)
    except EngineError as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1


def make_plan(arguments: argparse.Namespace, path: Path) -> MemoryPlan:
    """The memory plan for the arguments."""
    kv_types = (arguments.kv_type,) if arguments.kv_type else tuple(KV_VALUE_BYTES)
    device = next(iter(cards()), None) if arguments.gpu_layers else None
    request = PlanRequest(arguments.context, 1, arguments.gpu_layers if device else 0, kv_types)
    ram = free_for_engine(free_ram_bytes(), ram_bytes())
    free = FreeBytes(ram, 0, device.free_bytes, device.shares_ram) if device else FreeBytes(ram, 0)
    budget_bytes = int((arguments.gb or 0) * GIB) or model_budget(free)
    return plan_model(path, request, budget_bytes, arguments.folder)


def open_engine(arguments: argparse.Namespace, path: Path, plan: MemoryPlan) -> Engine:
    """An engine, started, on the model loaded as planned."""
    folder = arguments.folder / "blocks" if arguments.folder else None
    options = EngineOptions(context=plan.context, lanes=plan.lanes, folder=folder)
    return Engine(load_model(path, plan, arguments.threads), options).start()


def talk(arguments: argparse.Namespace, path: Path, plan: MemoryPlan, lines: TextIO) -> int:
    """Chat until /quit or the end of the input."""
    sampling = SamplerSettings(temperature=arguments.temperature, seed=arguments.seed)
    transcript = Transcript(arguments.persona, arguments.character, arguments.user)
    engine = open_engine(arguments, path, plan)
    try:
        conversation = Conversation(engine, transcript, _file_of(arguments), arguments.reply, sampling)
        print(f"\n{arguments.character} listens. /retry, /continue, /quit; Ctrl+C stops a reply.")
        for message in conversation.messages[-4:]:
            print(f"{arguments.user if message.role == 'user' else arguments.character}: {message.text}")
        Terminal(conversation, lines, arguments.user, arguments.character).run()
    finally:
        engine.close()
    return 0


def _file_of(arguments: argparse.Namespace) -> Path | None:
    """The file of the conversation: one for each persona and pair of names. None without a folder."""
    if arguments.folder is None:
        return None
    identity = "\0".join((arguments.persona, arguments.character, arguments.user))
    folder: Path = arguments.folder
    return folder / f"chat-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.json"


@dataclass(slots=True)
class Terminal:
    """The read-reply loop."""

    conversation: Conversation
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
        commands = {"/retry": self.conversation.retry, "/continue": self.conversation.continue_reply}
        try:
            if line.startswith("/") and line not in commands:
                raise RequestError(f"{line.split()[0]} is unknown: /retry, /continue, /quit")
            exchange = commands[line]() if line in commands else self.conversation.send(line)
        except RequestError as error:
            print(f"({error})")
            return
        print(f"{self.character}: ", end="", flush=True)
        try:
            self._show(exchange)
        except KeyboardInterrupt:
            exchange.cancel()
            self._show(exchange)

    def _show(self, exchange: Exchange) -> None:
        for event in exchange.events():
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
