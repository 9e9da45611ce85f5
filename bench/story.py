"""`make story`: 60 turns of one story on the demo model with a 512-token context, through store, prompt and engine.

Prints a line per turn: tokens evaluated, tokens kept, messages evicted so far, memory; at the end, tokens evaluated
over new tokens in all, and the first token of turns that evict beside that of their neighbours. Fails when a turn did
not stream, when the persona is not at the front of the session at the end, or when a turn read more than its new
tokens.
`--model gemma --context 1024`: the same on the model of the tests, or on any file.
"""

import argparse
import logging
import resource
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from bench.models import add_model, model_file
from engine import Done, Engine, EngineOptions, Framing, Text, TurnRequest
from engine.backends.llama import LlamaBackend, LlamaOptions
from store import accounts, characters, chats, turns
from store.db import Database
from store.messages import Reply
from store.turns.begin import TurnCommand
from store.views import Story
from worker.prompt.build import plan_part
from worker.prompt.segments import Limits

QUESTIONS = (
    "Good evening! What are you doing tonight?",
    "Tell me more about that, please.",
    "*looks around slowly* What is that over there?",
    "And what happened then?",
    "Do you remember your first night in this place?",
    "I have brought some biscuits. Would you like one?",
)
# A card of the size that a 512-token context is made for; the bundled ones are written for larger ones.
CARD = {
    "name": "Mara",
    "description": "{{char}} keeps a lighthouse. She is fifty-four, dry and kind, and her cat is called Admiral.",
    "scenario": "A storm has closed the harbour. The stove is lit and the great lamp turns above the kitchen.",
    "first_mes": "*She sets a mug before you.* Now then. What brings you out here?",
}


class Player:
    """One person with one chat in a database of their own."""

    def __init__(self, db: Database) -> None:
        self.db = db
        _, token = accounts.create_invite(db, "adult")
        self.user = accounts.sign_up(db, token, "Ann", "no password: nobody signs in here")
        character = characters.list_characters(db, self.user)[0]
        self.chat = chats.create_chat(db, self.user.id, character.id, "Ann")

    def story(self) -> Story:
        story = chats.load_story(self.db, self.chat.id)
        return replace(story, character=replace(story.character, name="Mara", card=CARD))


@dataclass(frozen=True)
class Told:
    """One turn: its result, what was asked for, the pieces of text, and the seconds until the first of them."""

    done: Done
    request: TurnRequest
    n_pieces: int
    first_s: float


def play(player: Player, engine: Engine, framing: Framing, limits: Limits, text: str) -> Told:
    """One turn, from submit to commit."""
    chat = chats.get_chat(player.db, player.user.id, player.chat.id)
    command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", chat.revision, text)
    claim = turns.claim(player.db, turns.begin_turn(player.db, player.user.id, command).turn.id, "bench", 60)
    plan = plan_part(player.story(), claim.turn, claim.turn.kind, framing, limits)
    request = TurnRequest(chat.id, plan.wanted, plan.reply, plan.forgotten, plan.pinned)
    started, times = time.monotonic(), []
    for done in engine.submit(request).events():
        if isinstance(done, Text):
            times.append(time.monotonic() - started)
    assert isinstance(done, Done), done
    reply = Reply(done.text or "...", done.tokens, engine.model_key, done.finish, name=plan.spec.name)
    turns.commit(player.db, claim.turn.id, claim.attempt, reply, dict(plan.window))
    first_s = times[0] if times else time.monotonic() - started
    return Told(done, request, len(times), first_s)


def new_tokens(request: TurnRequest, known: set[str]) -> int:
    """Tokens that no earlier turn of this story has read: the new segments, and the header of the reply."""
    fresh = [segment for segment in request.wanted if segment.name not in known]
    known.update(segment.name for segment in request.wanted)
    assert request.reply is not None
    known.add(request.reply.name)
    return sum(len(segment.tokens) for segment in fresh) + len(request.reply.header)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--context", type=int, default=512)
    add_model(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        model = model_file(options.model, Path(folder))
        return tell(Path(folder), model, options.turns, options.context)


def tell(folder: Path, model: Path, n_turns: int, context: int) -> int:
    db = Database(f"sqlite:///{folder}/story.db")
    db.migrate()
    backend = LlamaBackend(model, LlamaOptions(n_cells=2 * context, n_sequences=4))
    # Small caches, full after a few turns: what still grows then would grow for ever.
    engine = Engine(
        backend,
        EngineOptions(context=context, lanes=1, folder=folder / "blocks", ram_bytes=24 << 20, logits_bytes=4 << 20),
    ).start()
    framing, player = Framing(backend, backend.chat_template), Player(db)
    limits = Limits(context, 80, engine.model_key)
    known: set[str] = set()
    print("turn  evaluated  new  kept  in session  evicted messages  pieces  seconds  max RSS MiB")
    memory, read, first, evictions = [], [], [], [0]
    for number in range(1, n_turns + 1):
        told = play(player, engine, framing, limits, QUESTIONS[number % len(QUESTIONS)])
        new, stats, request = new_tokens(told.request, known), told.done.stats, told.request
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        evictions.append(chats.get_chat(db, player.user.id, player.chat.id).window.get("messages", 0))
        seconds = stats.read_s + stats.write_s
        print(
            f"{number:4}  {stats.n_evaluated:9}  {new:3}  {stats.n_kept:4}  {request.n_tokens_at_most():10}"
            f"  {evictions[-1]:16}  {told.n_pieces:6}  {seconds:7.2f}  {memory[-1]:11}"
        )
        assert told.n_pieces > 1 or stats.n_generated < 3, "the turn did not stream"
        read.append((stats.n_evaluated, new))
        first.append(told.first_s)
    pinned = request.wanted[: request.pinned]
    held = engine.inspect(player.chat.id)[: request.pinned]
    in_front = [each.segment for each in held] == list(pinned)
    in_front &= [each.position for each in held[:1]] == [0] and held[-1].end == sum(len(s.tokens) for s in pinned)
    growth = memory[-1] - memory[n_turns // 3]
    print(f"the persona's tokens still stand at the front of the session: {'yes' if in_front else 'no'}")
    worst = max(evaluated / new for evaluated, new in read)
    evaluated, new = map(sum, zip(*read, strict=True))
    print(
        f"tokens evaluated / new tokens, in all: {evaluated} / {new} = {evaluated / new:.2f}; worst turn: {worst:.2f}"
    )
    print(f"growth of memory in the last two thirds: {growth} MiB")
    print(f"first token, turns that evict / their neighbours: {beside_neighbours(first, evictions)}")
    engine.close()
    db.close()
    return 0 if worst <= 1.0 and in_front else 1


def beside_neighbours(first_s: Sequence[float], evicted: Sequence[int]) -> str:
    """The first token of each turn that evicts over that of the turns beside it that do not, as a median."""
    evicts = [after > before for before, after in pairwise(evicted)]
    evicts[0] = True  # the first turn reads the persona: it is nobody's neighbour
    pairs = [(n, [m for m in (n - 1, n + 1) if 0 < m < len(first_s) and not evicts[m]]) for n in range(1, len(first_s))]
    ratios = [first_s[n] / statistics.mean(first_s[m] for m in near) for n, near in pairs if evicts[n] and near]
    return f"{statistics.median(ratios):.2f} (n={len(ratios)})" if ratios else "nothing was evicted"


if __name__ == "__main__":
    sys.exit(main())
