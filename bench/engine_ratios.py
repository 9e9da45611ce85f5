"""What the engine costs beside what it is compared with: ratios within one run, in A B B A order."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llama_cpp as llama
import numpy as np

from bench.engine_story import PROSE, BenchStory
from engine import Engine, EngineOptions
from engine.backend import TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.hardware import demo_model

Row = tuple[str, str, str, str]
N_WRITTEN = 64


def abba(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Medians of both, and the median of the ratios of neighbouring runs (second / first)."""
    one, two, ratios = [], [], []
    for number in range(rounds):
        pair = [first(), second()] if number % 2 == 0 else [second(), first()][::-1]
        one.append(pair[0])
        two.append(pair[1])
        ratios.append(pair[1] / pair[0])
    return statistics.median(one), statistics.median(two), statistics.median(ratios)


def alone(measure: Callable[[], float]) -> float:
    """Measure on a thread of its own, as the engine decodes on one.

    libgomp keeps a pool of threads for each thread that has ever computed; while the main thread has one, too, every
    other thread computes 1.6 times slower (measured). An engine's process has one such thread.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(measure).result()


class Ratios:
    """One backend, many engines on top of it; each engine is closed without closing the model."""

    def __init__(self, folder: Path, rounds: int = 5, model: Path | None = None) -> None:
        self.folder, self.rounds = folder, rounds
        self.backend = LlamaBackend(model or demo_model(), LlamaOptions(n_cells=8192, n_sequences=14))
        self._close, self.backend.close = self.backend.close, lambda: None
        self.rows: list[Row] = []

    def engine(self, **options: object) -> Engine:
        """A fresh engine over empty cells."""
        self.backend.clear()
        return Engine(
            self.backend, EngineOptions(**{"context": 2000, "lanes": 2, "park_after_s": 1e9, **options})
        ).start()

    def row(self, what: str, figure: str, target: str, detail: str) -> None:
        """Note one line of the table, and show that something happens."""
        self.rows.append((what, figure, target, detail))
        print("...", what, figure)

    def run(self) -> list[Row]:
        """Everything."""
        for part in (self.waking, self.eviction, self.bytes_saved, self.one_lane, self.lanes, self.idle):
            part()
        self._close()
        return self.rows

    # -- waking -----------------------------------------------------------------------------------------------------

    def waking(self) -> None:
        engine = self.engine(folder=self.folder / "wake", ram_bytes=1 << 30, park_after_s=0.0)
        story = BenchStory(engine, "long")
        story.fill(1500)
        read = self.turn_seconds(story, "read_s")
        wakes = [self.parked(engine, story) for _ in range(self.rounds)]
        n_tokens = sum(len(segment.tokens) for segment in story.segments)
        engine.close()
        from_disk = [self.restarted(story) for _ in range(self.rounds)]
        detail = f"{n_tokens} tokens, read in {read:.2f} s"
        ram, disk = statistics.median(wakes), statistics.median(from_disk)
        self.row(
            "waking from RAM, times faster than reading",
            f"{read / ram:.0f}x",
            ">= 20x",
            f"{detail}, woken in {ram * 1e3:.1f} ms",
        )
        self.row(
            "waking from disk, times faster than reading",
            f"{read / disk:.0f}x",
            ">= 10x",
            f"woken in {disk * 1e3:.1f} ms",
        )

    def turn_seconds(self, story: BenchStory, field: str) -> float:
        return float(getattr(story.turn(max_tokens=1, keep=False).stats, field))

    def parked(self, engine: Engine, story: BenchStory) -> float:
        BenchStory(engine, "another", n_persona=20).turn(max_tokens=1, keep=False)  # parks all that are idle
        settle(engine)
        assert story.name not in engine.resident()
        started = time.monotonic()
        done = story.turn(max_tokens=1, keep=False)
        assert done.stats.n_restored, "the session was not restored"
        return time.monotonic() - started - done.stats.read_s - done.stats.write_s

    def restarted(self, story: BenchStory) -> float:
        engine = self.engine(folder=self.folder / "wake")
        story.moved_to(engine)
        started = time.monotonic()
        done = story.turn(max_tokens=1, keep=False)
        seconds = time.monotonic() - started - done.stats.read_s - done.stats.write_s
        assert done.stats.n_restored, "the session was not restored"
        engine.close()
        return seconds

    # -- what a turn costs ------------------------------------------------------------------------------------------

    def eviction(self) -> None:
        engine = self.engine()
        story = BenchStory(engine, "evicting")
        story.fill(1400)
        story.turn()

        def turn(n_evicted: int) -> Callable[[], float]:
            def play() -> float:
                while sum(len(segment.tokens) for segment in story.segments) > 1400:
                    story.evict(1)
                story.play(story.request(max_tokens=1, keep=False))  # all of it is read, and the evictions are over
                story.evict(n_evicted)
                story.say(PROSE)
                started = time.monotonic()
                story.turn(max_tokens=24)
                return time.monotonic() - started

            return play

        normal, evicting, ratio = abba(turn(0), turn(4), self.rounds)
        engine.close()
        self.row("eviction turn / normal turn", f"{ratio:.2f}", "<= 1.05", f"{evicting:.2f} s / {normal:.2f} s")

    def bytes_saved(self) -> None:
        per_token = kv_row_bytes(self.backend)
        engine = self.engine(folder=self.folder / "bytes", context=5000, lanes=1)  # enough where tokens are bytes
        story = BenchStory(engine, "bytes")
        story.fill(300)
        story.turn()
        ratios = []
        for _ in range(10):
            settle(engine)
            before, n_before = engine.blocks.bytes_saved, len(story.segments)
            story.say(PROSE)
            story.turn(max_tokens=60)
            settle(engine)
            n_tokens = sum(len(segment.tokens) for segment in story.segments[n_before:])
            ratios.append((engine.blocks.bytes_saved - before) / (n_tokens * per_token))
        engine.close()
        figure = statistics.median(ratios)
        self.row(
            "bytes saved per turn / bytes of its own tokens",
            f"{figure:.3f}",
            "<= 1.05",
            f"{per_token / 1024:.1f} KiB a token",
        )

    # -- the loop ---------------------------------------------------------------------------------------------------

    def one_lane(self) -> None:
        bare, ours, ratio = abba(lambda: alone(self.bare_loop), self.engine_loop, self.rounds)
        detail = f"{N_WRITTEN / ours:.1f} against {N_WRITTEN / bare:.1f} tokens/s"
        self.row("engine loop / bare llama_decode loop, 1 lane", f"{1 / ratio:.3f}", ">= 0.97", detail)

    def bare_loop(self) -> float:
        """llama_decode and the greedy sampler in the shortest loop that Python allows."""
        self.backend.clear()
        context, chain = self.backend._context, llama.llama_sampler_init_greedy()
        prompt = self.backend.tokenize(PROSE * 8, special=False)[:128]
        self.backend.decode([TokenRun(0, 0, prompt, True)])
        token = int(self.backend.logits(0).argmax())
        buffer = (llama.llama_token * 1)()
        started = time.monotonic()
        for _ in range(N_WRITTEN):
            buffer[0] = token
            llama.llama_decode(context, llama.llama_batch_get_one(buffer, 1))
            token = int(llama.llama_sampler_sample(chain, context, -1))
        seconds = time.monotonic() - started
        llama.llama_sampler_free(chain)
        return seconds

    def engine_loop(self) -> float:
        engine = self.engine()
        story = BenchStory(engine, "loop", n_persona=110)
        story.endless = type(story.endless)(temperature=0, repeat_penalty=1.0, logit_bias=story.endless.logit_bias)
        seconds = self.write_seconds([story])
        engine.close()
        return seconds

    def write_seconds(self, stories: list[BenchStory]) -> float:
        """Seconds of writing N_WRITTEN tokens in each story at once, prompts read before."""
        for story in stories:
            story.turn(max_tokens=1, keep=False)
        tickets = [story.engine.submit(story.request(max_tokens=N_WRITTEN, keep=False)) for story in stories]
        ends = [list(ticket.events(timeout_s=60))[-1] for ticket in tickets]
        return max(end.stats.write_s for end in ends)

    def lanes(self) -> None:
        for n_lanes in (2, 4, 8):
            by_hand, ours, ratio = abba(
                lambda n=n_lanes: alone(lambda: self.batch_by_hand(n)),
                lambda n=n_lanes: self.engine_lanes(n),
                self.rounds,
            )
            detail = f"{n_lanes * N_WRITTEN / ours:.1f} against {n_lanes * N_WRITTEN / by_hand:.1f} tokens/s"
            self.row(f"engine / the same batch by hand, {n_lanes} lanes", f"{1 / ratio:.3f}", ">= 0.95", detail)

    def batch_by_hand(self, n_lanes: int) -> float:
        self.backend.clear()
        prompts = [self.backend.tokenize(f"Story {lane}. " + PROSE * 8, special=False)[:128] for lane in range(n_lanes)]
        tokens = []
        for lane, prompt in enumerate(prompts):
            self.backend.decode([TokenRun(lane, 0, prompt, True)])
            tokens.append(int(self.backend.logits(0).argmax()))
        context, chain = self.backend._context, llama.llama_sampler_init_greedy()
        batch = llama.llama_batch_init(n_lanes, 0, 1)
        started = time.monotonic()
        for step in range(N_WRITTEN):
            batch.n_tokens = n_lanes
            for lane in range(n_lanes):
                batch.token[lane], batch.pos[lane], batch.n_seq_id[lane] = tokens[lane], 128 + step, 1
                batch.seq_id[lane][0], batch.logits[lane] = lane, 1
            llama.llama_decode(context, batch)
            tokens = [int(llama.llama_sampler_sample(chain, context, lane)) for lane in range(n_lanes)]
        seconds = time.monotonic() - started
        llama.llama_batch_free(batch)
        llama.llama_sampler_free(chain)
        return seconds

    def engine_lanes(self, n_lanes: int) -> float:
        engine = self.engine(lanes=n_lanes, context=1000)
        stories = [BenchStory(engine, f"lane {lane}", n_persona=110, own=f"Story {lane}. ") for lane in range(n_lanes)]
        seconds = self.write_seconds(stories)
        engine.close()
        return seconds

    # -- idle residents ---------------------------------------------------------------------------------------------

    def idle(self) -> None:
        alone, crowded, ratio = abba(lambda: self.active(0), lambda: self.active(7), self.rounds)
        detail = f"{N_WRITTEN / crowded:.1f} against {N_WRITTEN / alone:.1f} tokens/s"
        self.row("one active user with 7 idle residents / alone", f"{1 / ratio:.3f}", ">= 0.97", detail)

    def active(self, n_idle: int) -> float:
        engine = self.engine(park_after_s=1.0)
        for number in range(n_idle):
            other = BenchStory(engine, f"idle {number}", n_persona=600, own=f"Idle {number}. ")
            other.turn(max_tokens=1)
        story = BenchStory(engine, "active", n_persona=110)
        time.sleep(1.1 if n_idle else 0)
        seconds = self.write_seconds([story])
        engine.close()
        return seconds


def settle(engine: Engine) -> None:
    """Wait until the footer of the last turn has been read, too."""
    while engine.stalled_s():
        time.sleep(0.001)


def kv_row_bytes(backend: LlamaBackend) -> int:
    """Bytes of one cell, K and V, over all layers (f16)."""
    model = backend._model
    heads = llama.llama_model_n_head_kv(model)
    size = llama.llama_model_n_embd(model) // llama.llama_model_n_head(model)
    return int(np.prod([2, 2, llama.llama_model_n_layer(model), heads, size]))
