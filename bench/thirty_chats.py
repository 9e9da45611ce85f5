"""`make bench-chats`: thirty chats of 2,000 tokens in turns, on cells of a 3B model: what is read again.

With the budgets of a PC that has 11 GiB of RAM and 200 GiB of disk free (engine/model/budgets.py), and with those that
were the defaults before (512 MB, 4 GB). Everything is an eighth, so that a processor can read it: the model's cells
(Llama 3.2 3B has 28 layers x 8 heads x 128, this one 7 x 4 x 128, random weights) and both budgets. Writes
docs/benchmarks.md.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.engine_story import BenchStory
from bench.tables import publish, table
from engine import Engine, EngineOptions
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.budgets import FreeBytes, disk_tier_budget, ram_tier_budget
from engine.model.info import read_model_info
from engine.model.memory_plan import GIB, MIB, MemoryPlan
from engine.model.plan_search import PlanRequest, plan_memory
from engine.model.story_size import StorySize
from tests.engine.tiny_maker import CHATML, SPECIALS, Maker

N_CHATS, N_TOKENS, N_ROUNDS, PART = 30, 2000, 2, 8
PC = FreeBytes(ram=11 * GIB, disk=200 * GIB, card=int(5.7 * GIB))
N_LAYERS, N_HEADS, HEAD_SIZE, WIDTH = 7, 4, 128, 256


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of the rounds after the first, in which every chat comes back."""

    n_new: int
    n_again: int
    from_ram: int
    from_disk: int


def make_model(path: Path) -> Path:
    """A llama with an eighth of the cells of a 3B model."""
    maker = Maker(path, "llama", seed=0)
    n_vocab = maker.vocabulary(CHATML, 0, SPECIALS)
    maker.sizes(N_LAYERS, WIDTH, WIDTH, 8192)
    maker.heads(N_HEADS, N_HEADS, HEAD_SIZE)
    maker.writer.add_rope_dimension_count(HEAD_SIZE)
    maker.outside(WIDTH, n_vocab)
    for index in range(N_LAYERS):
        layer = f"blk.{index}."
        maker.ones(layer + "attn_norm.weight", WIDTH)
        maker.attention(layer, WIDTH, N_HEADS, N_HEADS, HEAD_SIZE)
        maker.feed_forward(layer, WIDTH, WIDTH)
    return maker.write()


def play(model: Path, folder: Path, plan: MemoryPlan, ram_bytes: int, disk_bytes: int) -> Counted:
    """Every chat is read once; then all come back, one after the other, N_ROUNDS times."""
    options = LlamaOptions(plan.n_cells, plan.n_sequences, plan.n_batch, n_threads=1, kv_type=plan.kv_type)
    engine = Engine(
        LlamaBackend(model, options),
        EngineOptions(plan.context, plan.lanes, ram_bytes, disk_bytes, folder=folder, park_after_s=0.5),
    ).start()
    chats = [BenchStory(engine, f"chat {number}", own=f"This is chat {number}. ") for number in range(N_CHATS)]
    for chat in chats:
        chat.fill(N_TOKENS)
        chat.turn()
    before = engine.stats()
    n_new = n_read = 0
    for chat in chats * N_ROUNDS:
        said = chat.say("And then?")
        request = chat.request()
        assert request.reply is not None
        n_new += len(said.tokens) + len(request.reply.header)
        n_read += chat.play(request).stats.n_evaluated
    after = engine.stats()
    engine.close()
    n_fetched = after.n_fetched - before.n_fetched
    return Counted(n_new, n_read - n_new, after.n_restored - before.n_restored - n_fetched, n_fetched)


def rows(folder: Path) -> Iterator[list[str]]:
    """One row for each pair of budgets."""
    model = make_model(folder / "model.gguf")
    info = read_model_info(model)
    plan = plan_memory(info, PC.card, PlanRequest(context=2560, lanes=1))
    story = StorySize.of(info, plan.kv_type).in_ram(N_TOKENS)
    budgets = {"before": (512 * MIB, 4 * GIB), "now": (ram_tier_budget(PC, plan), disk_tier_budget(PC))}
    for name, (ram_bytes, disk_bytes) in budgets.items():
        counted = play(model, folder / name, plan, ram_bytes // PART, disk_bytes // PART)
        yield [
            f"{name}: {ram_bytes / GIB:.1f} GiB of RAM, {disk_bytes / GIB:.0f} GiB of disk",
            f"{ram_bytes // PART // story} + {disk_bytes // PART // story}",
            f"{counted.n_new:,}",
            f"**{counted.n_again:,}**",
            f"{counted.from_ram:,} + {counted.from_disk:,}",
        ]


def main() -> None:
    """Play both, write the table."""
    head = ("budgets", "chats of 2,000 tokens that fit", "new tokens", "read again", "blocks from RAM + disk")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        publish("chats", table(head, list(rows(Path(folder)))))


if __name__ == "__main__":
    main()
