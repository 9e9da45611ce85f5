"""The buffer pool reuses the memory of evicted blocks, and never while an object refers to it."""

import random
import threading

import numpy as np
import pytest
import tiny_models
from engine_stories import Story
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, EngineOptions
from engine.backend import TokenRun
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.blocks.buffers import LARGE_BYTES, BufferPool
from engine.blocks.disk_tier import DiskTier
from engine.blocks.store import Block, BlockStore
from tests.harness.soak import n_examples

PAGE = 4096
LARGE = PAGE // 2


@pytest.fixture
def disk(tmp_path):
    tier = DiskTier(tmp_path, 64 * PAGE)
    yield tier
    tier.close()


@pytest.fixture
def stuck(disk):
    """A disk whose thread does nothing until the event is set."""
    gate = threading.Event()
    disk.write("gate", lambda: bytes([gate.wait()]), 1)
    yield gate
    gate.set()


def address(payload):
    return np.frombuffer(payload, np.uint8).ctypes.data


def pattern(number, n_bytes):
    return bytes([number % 251]) * n_bytes


def saved(store, number, n_bytes=PAGE):
    """A block, as the engine saves one: into memory of the store."""
    memory = store.allocate(n_bytes)
    memory[:] = pattern(number, n_bytes)
    block = Block(number.to_bytes(32, "big"), number, 1, memory)
    store.put(block)
    return block


def fresh(ram_bytes, disk=None):
    return BlockStore("m" * 64, ram_bytes, disk, BufferPool(LARGE))


def test_the_next_block_lies_where_one_has_left():
    store = fresh(3 * PAGE)
    places = [address(saved(store, number).payload) for number in range(9)]
    assert len(set(places)) == 3
    assert store.ram_used == 3 * PAGE


def test_another_size_is_no_reason_for_new_memory():
    store = fresh(64 * PAGE)
    block = saved(store, 1, 40 * PAGE)
    mapping = block.payload.obj
    del block
    for number, n_bytes in ((2, 60 * PAGE + 7), (3, 33 * PAGE), (4, 64 * PAGE)):
        assert saved(store, number, n_bytes).payload.obj is mapping
        assert store.get(number.to_bytes(32, "big")).payload == pattern(number, n_bytes)


def test_small_blocks_are_left_to_malloc():
    store = fresh(3 * PAGE)
    assert isinstance(saved(store, 1, LARGE).payload.obj, np.ndarray)


@pytest.mark.parametrize(
    "refer", [lambda memory: memory[5:], np.frombuffer, memoryview, lambda memory: memory.cast("I")]
)
def test_bytes_that_are_still_referred_to_stay_as_they_are(refer):
    store = fresh(PAGE)
    kept = refer(saved(store, 1).payload)
    before = bytes(kept)
    for number in range(2, 6):
        saved(store, number)
    assert bytes(kept) == before


def test_what_waits_for_the_disk_stays_as_it_is(disk, stuck):
    store = fresh(2 * PAGE, disk)
    places = [address(saved(store, number).payload) for number in range(8)]
    assert len(set(places)) == 8, "nothing is written yet"
    stuck.set()
    assert disk.flush()
    found = store.fetch([number.to_bytes(32, "big") for number in range(8)])
    assert [block.payload for block in found.blocks] == [pattern(number, PAGE) for number in range(8)]


def test_what_has_been_written_is_held_no_longer(disk):
    store = fresh(2 * PAGE, disk)
    mapping = saved(store, 1).payload.obj
    assert disk.flush()
    store.discard((1).to_bytes(32, "big"))
    mapping.resize(PAGE)  # a BufferError otherwise


def test_what_is_held_for_a_session_stays_as_it_is():
    store = fresh(2 * PAGE)
    saved(store, 1)
    store.hold("chat", [(1).to_bytes(32, "big")])
    for number in range(2, 8):
        saved(store, number)
    assert store.get((1).to_bytes(32, "big")).payload == pattern(1, PAGE)
    store.unstage("chat")
    assert store.get((1).to_bytes(32, "big")).payload == pattern(1, PAGE)


def test_blocks_and_spare_memory_are_within_the_budget():
    buffers = BufferPool(LARGE)
    store = BlockStore("m" * 64, 10 * PAGE, None, buffers)
    for number, n_pages in enumerate((3, 3, 3, 9, 1, 1, 1, 10, 2, 11, 4)):
        saved(store, number, n_pages * PAGE)
        assert store.ram_used + buffers.unused_bytes <= 10 * PAGE


SIZES = (3 * PAGE, 5 * PAGE - 7)
ACTS = st.tuples(
    st.sampled_from(["save", "save", "save", "keep", "drop", "hold", "unstage", "fetch", "discard", "open", "shut"]),
    st.integers(0, 19),
    st.sampled_from(SIZES) | st.integers(1, 5 * PAGE),
)


@given(st.lists(ACTS, max_size=60), st.booleans())
@settings(max_examples=n_examples(60, 1500), deadline=None)
def test_no_block_is_ever_overwritten_whatever_is_done(tmp_path_factory, acts, with_disk):
    """Also while the disk does not come along with its writes."""
    storm = Storm(tmp_path_factory.mktemp("kv") if with_disk else None)
    try:
        for act in acts:
            storm.do(*act)
            storm.look()
        storm.end()
    finally:
        storm.close()


def test_a_long_storm_uses_memory_again(tmp_path):
    chance = random.Random(8)
    names = ["save"] * 8 + ["keep", "drop", "drop", "hold", "unstage", "fetch", "discard", "open", "open", "shut"]
    storm, n_acts = Storm(tmp_path), n_examples(500, 20_000)
    try:
        for _ in range(n_acts):
            storm.do(chance.choice(names), chance.randrange(80), chance.choice([*SIZES, chance.randrange(1, 5 * PAGE)]))
            storm.look()
        storm.end()
        assert storm.n_again > n_acts // 15
    finally:
        storm.close()


class Storm:
    """A small store, its disk, and slices of blocks that are still referred to: all bytes are always what was saved."""

    def __init__(self, folder):
        self.disk = DiskTier(folder, 40 * PAGE) if folder else None
        self.buffers = BufferPool(LARGE)
        self.store = BlockStore("m" * 64, 12 * PAGE, self.disk, self.buffers)
        self.gate, self.n_saves, self.n_again = threading.Event(), 0, 0
        self.gate.set()
        self.right, self.kept, self.mappings = {}, [], []

    def do(self, what, number, n_bytes):
        key = number.to_bytes(32, "big")
        getattr(self, f"_{what}")(key, n_bytes)

    def _save(self, key, n_bytes):
        if self.store.tier(key) is not None:
            return
        self.n_saves += 1
        memory = self.store.allocate(n_bytes)
        self.n_again += any(memory.obj is mapping for mapping in self.mappings)
        self.mappings = [*self.mappings[-20:], memory.obj]
        memory[:] = self.right[key] = self.n_saves.to_bytes(4, "big") * (n_bytes // 4) + b"." * (n_bytes % 4)
        self.store.put(Block(key, 0, 1, memory))
        del memory
        assert self.disk or self.store.ram_used + self.buffers.unused_bytes <= 12 * PAGE

    def _keep(self, key, n_bytes):
        if (block := self.store.get(key)) is not None:
            start = n_bytes % len(block.payload)
            self.kept.append((block.payload[start:], self.right[key][start:]))

    def _drop(self, _key, n_bytes):
        if self.kept:
            del self.kept[n_bytes % len(self.kept)]

    def _hold(self, key, _n_bytes):
        self.store.hold("chat", [key])

    def _unstage(self, _key, _n_bytes):
        self.store.unstage("chat")

    def _fetch(self, key, _n_bytes):
        fetched = self.store.fetch([key])
        assert not fetched.damaged
        self.store.stage("chat", fetched)

    def _discard(self, key, _n_bytes):
        self.store.discard(key)

    def _shut(self, _key, _n_bytes):
        """From now on the disk's thread stands still."""
        if self.disk and self.gate.is_set():
            gate = self.gate = threading.Event()
            self.disk.write("gate", lambda: bytes([gate.wait()]), 1)

    def _open(self, _key, _n_bytes):
        self.gate.set()
        if self.disk:
            assert self.disk.flush()

    def look(self):
        for piece, right in self.kept:
            assert piece == right
        for key, right in self.right.items():
            block = self.store.peek(key)
            assert block is None or block.payload == right
        assert self.store.ram_used <= 12 * PAGE

    def end(self):
        self._open(b"", 0)
        self.look()
        fetched = self.store.fetch(list(self.right))
        assert not fetched.damaged
        assert all(block.payload == self.right[block.key] for block in fetched.blocks)

    def close(self):
        self.gate.set()
        if self.disk:
            self.disk.close()


@pytest.mark.model
def test_cells_come_back_from_memory_that_was_used_before(llama):
    tokens, more = llama.tokenize("Once upon a time there was a keeper", special=False), [11]
    store, places = fresh(200 << 10), set()
    for start in range(4):
        llama.clear()
        llama.decode([TokenRun(0, 0, tokens[start:], True)])
        payload = llama.seq_save(0, len(tokens) - start, store.allocate)
        llama.decode([TokenRun(0, len(tokens) - start, more, True)])
        expected = llama.logits(0)
        store.put(Block(bytes([start]) * 32, 0, len(tokens) - start, payload))
        places.add(payload.obj)
        del payload
        llama.clear()
        assert llama.seq_load(2, store.get(bytes([start]) * 32).payload)
        llama.decode([TokenRun(2, len(tokens) - start, more, True)])
        assert np.array_equal(llama.logits(0), expected)
    assert len(places) == 1


@pytest.fixture
def wide(tmp_path):
    """A small model of which a token takes 8 KiB in the cells."""
    path = tiny_models.llama(tmp_path / "wide.gguf", head_size=128, n_heads=2, n_kv_heads=2, n_layers=8)
    return LlamaBackend(path, LlamaOptions(n_cells=4096, n_sequences=8, n_batch=256, n_threads=1))


def test_an_engine_on_a_crowded_ram_tier_has_the_blocks_that_it_saved(wide, tmp_path):
    """Three stories in turns, of which two fit into the cells; their longer segments are blocks of 4 to 6 MB."""
    options = {"context": 2048, "lanes": 1, "park_after_s": 0.0, "tolerance_s": 50.0}
    engine = Engine(wide, EngineOptions(ram_bytes=12 << 20, folder=tmp_path / "blocks", **options)).start()
    try:
        stories = [Story(engine, name, f"You are {name}. " + "The sea is grey. " * 38) for name in ("Ann", "Bo", "Cy")]
        for said in ("And then? " + "It rained all day. " * 36, "Who is there?"):
            for story in stories:
                story.say(said)
                story.turn(max_tokens=6)
                assert in_ram_as_on_disk(engine, tmp_path / "blocks") >= 1
        assert engine.blocks.n_evicted >= 6
        assert engine.blocks.n_restored >= 6
    finally:
        engine.close()


def in_ram_as_on_disk(engine, folder):
    """How many blocks are in both; large ones among them."""
    assert engine.blocks.disk.flush()
    fetched = engine.blocks.fetch([bytes.fromhex(path.stem) for path in folder.rglob("*.kv")])
    assert not fetched.damaged
    pairs = [(block, ram) for block in fetched.blocks if (ram := engine.blocks.peek(block.key)) is not None]
    assert all(block == ram for block, ram in pairs)
    return sum(len(ram.payload) > LARGE_BYTES for _, ram in pairs)
