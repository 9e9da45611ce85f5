"""What every kind of turn reads: tokens evaluated over new tokens, on any model."""

from pathlib import Path

from bench.engine_story import BenchStory
from engine import Engine, EngineOptions
from engine.backends.llama import LlamaBackend, LlamaOptions

CONTEXT = 1024
TINY_CONTEXT = 4096  # their tokens are bytes
Row = tuple[str, int, int, str]


def make_engine(folder: Path, model: Path, context: int) -> Engine:
    """A small engine over `folder`: 20 sessions never fit its cells at once."""
    backend = LlamaBackend(model, LlamaOptions(n_cells=3 * context, n_sequences=6))
    return Engine(backend, EngineOptions(context, 2, folder=folder, park_after_s=0.5)).start()


class Reads:
    """Plays the turns and notes what they read."""

    def __init__(self, folder: Path, model: Path, context: int = CONTEXT) -> None:
        self.folder, self.model, self.context = folder, model, context
        self.engine = make_engine(folder, model, context)
        self.story = BenchStory(self.engine, "story")
        self.rows: list[Row] = []

    def note(self, kind: str, new: int, **options: object) -> None:
        """Play one turn that has `new` new tokens besides the header of its reply."""
        request = self.story.request(**options)
        assert request.reply is not None
        header = len(request.reply.header) if new else 0
        done = self.story.play(request)
        n_evaluated, total = done.stats.n_evaluated, new + header
        self.rows.append((kind, n_evaluated, total, f"{n_evaluated / total:.2f}" if total else str(n_evaluated)))

    def say(self, text: str, **options: object) -> int:
        """Add a message; the number of its tokens."""
        return len(self.story.say(text, **options).tokens)

    def run(self) -> list[Row]:
        """All kinds of turns, in one story."""
        for part in (self.sends, self.rewrites, self.asides, self.evictions, self.others, self.restart):
            part()
        self.engine.close()
        return self.rows

    def sends(self) -> None:
        new = self.say("Good evening! Who are you?")
        self.note("first send (persona included)", new + len(self.story.segments[0].tokens))
        self.note("send", self.say("And what do you do all night?"))

    def rewrites(self) -> None:
        self.story.segments.pop()
        self.note("retry (0 new tokens)", 0)
        last = self.story.segments.pop()
        header, footer = self.story.framing.reply_header("character", "Mira"), self.story.framing.footer("character")
        written = last.tokens[len(header) : len(last.tokens) - len(footer)]
        self.note("continue (0 new tokens)", 0, prefix=written)

    def asides(self) -> None:
        narrator = len(self.story.framing.reply_header("narrator", "Narrator"))
        done = self.story.turn(role="narrator", name="Narrator")
        self.rows.append(("narrate", done.stats.n_evaluated, narrator, f"{done.stats.n_evaluated / narrator:.2f}"))
        narration = self.story.segments[-1]
        self.note("send after it", self.say("I sit down by the stove."))
        self.story.turn(role="user", name="Ann", keep=False)
        self.note("suggest, taken back, then send", self.say("I take off my coat."))
        self.story.segments.remove(narration)
        self.story.forgotten.add(narration.name)
        self.note("send with an old narration dropped", self.say("Is that your cat?"))
        lore = self.story.say("The cat is called Admiral.", role="narrator", name="Note", ephemeral=True)
        self.note("lore injected", len(lore.tokens))
        self.story.segments.remove(lore)
        self.note("send with the lore withdrawn", self.say("What a fine name."))

    def evictions(self) -> None:
        self.story.fill(self.context * 3 // 4)
        self.story.turn()
        self.story.evict(6)
        self.note("first send after an eviction", self.say("Where were we?"))

    def others(self) -> None:
        for number in range(20):
            other = BenchStory(self.engine, f"other {number}", own=f"Somebody else, number {number}. ")
            other.say("Hello!")
            other.turn()
        self.note("send after 20 other sessions (RAM)", self.say("I am back."))

    def restart(self) -> None:
        self.engine.close()
        self.engine = make_engine(self.folder, self.model, self.context)
        self.story.moved_to(self.engine)
        self.note("send after a restart (disk)", self.say("Did you sleep well?"))
