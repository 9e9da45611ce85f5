import os
import random

import pytest

from engine.blocks import sealed
from engine.blocks.disk_tier import DiskTier
from engine.blocks.store import Block, BlockStore, seal_block, segment_key
from tests.harness.soak import n_examples


@pytest.fixture
def disk(tmp_path):
    tier = DiskTier(tmp_path, 1 << 20)
    yield tier
    tier.close()


def block(number, size=1000):
    return Block(bytes([number]) * 32, number * 10, 10, bytes([number]) * size)


def from_disk(store, key):
    store.stage("chat", store.fetch([key]))
    return store.get(key)


def test_the_key_covers_everything_a_block_depends_on():
    base = segment_key("model", [(b"a" * 32, 0)], 10, (1, 2, 3))
    others = [
        segment_key("other", [(b"a" * 32, 0)], 10, (1, 2, 3)),
        segment_key("model", [(b"b" * 32, 0)], 10, (1, 2, 3)),
        segment_key("model", [(b"a" * 32, 1)], 10, (1, 2, 3)),
        segment_key("model", [], 10, (1, 2, 3)),
        segment_key("model", [(b"a" * 32, 0)], 11, (1, 2, 3)),
        segment_key("model", [(b"a" * 32, 0)], 10, (1, 2, 4)),
    ]
    assert len({base, *others}) == 7


def test_a_block_survives_a_restart(tmp_path):
    tier = DiskTier(tmp_path, 1 << 20)
    BlockStore("m" * 64, 1 << 20, tier).put(block(1))
    tier.close()
    again = DiskTier(tmp_path, 1 << 20)
    assert from_disk(BlockStore("m" * 64, 1 << 20, again), block(1).key) == block(1)
    assert from_disk(BlockStore("n" * 64, 1 << 20, again), block(1).key) is None
    again.close()


def test_ram_keeps_the_last_used_within_its_budget(tmp_path):
    store = BlockStore("m" * 64, 2500)
    for number in (1, 2):
        store.put(block(number))
    store.get(block(1).key)
    store.put(block(3))
    assert [store.tier(block(n).key) for n in (1, 2, 3)] == ["ram", None, "ram"]
    assert store.ram_used == 2000


def test_another_budget_holds_from_the_next_block_on(tmp_path):
    disk = DiskTier(tmp_path, 8000)
    store = BlockStore("m" * 64, 8000, disk)
    for number in range(4):
        store.put(block(number))
    store.ram_budget, disk.budget_bytes = 2500, 4000
    assert store.ram_used == 4000, "nothing leaves at that moment"
    store.put(block(4))
    disk.flush()
    assert store.ram_used == 2000
    assert 0 < disk.used_bytes() <= 4000
    disk.close()


def test_what_is_held_for_a_session_stays_whatever_the_budget(tmp_path, disk):
    store = BlockStore("m" * 64, 1500, disk)
    for number in range(5):
        store.put(block(number))
    keys = [block(number).key for number in range(5)]
    assert [store.tier(key) for key in keys] == ["disk"] * 4 + ["ram"]
    store.hold("chat", keys[4:])
    store.stage("chat", store.fetch(keys[:4]))
    store.stage("other", store.fetch(keys[:1]))
    store.unstage("other")
    assert [store.get(key) for key in keys] == [block(number) for number in range(5)]
    store.unstage("chat")
    assert sum(store.tier(key) == "ram" for key in keys) == 1
    assert store.ram_used == 1000


def test_a_discarded_block_is_put_aside_and_can_be_saved_anew(tmp_path, disk):
    store = BlockStore("m" * 64, 1 << 20, disk)
    store.put(Block(block(1).key, 10, 10, b"suspicious"))
    assert disk.flush()
    store.discard(block(1).key)
    assert store.tier(block(1).key) is None
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    store.put(block(1))
    assert disk.flush()
    assert from_disk(BlockStore("m" * 64, 0, disk), block(1).key) == block(1)


def test_quarantine_keeps_the_last_few(tmp_path):
    tier = DiskTier(tmp_path, 16_000)
    for number in range(20):
        tier.write(f"{number}", lambda: b"x" * 400, 400)
        assert tier.flush()
        tier.quarantine(f"{number}")
    aside = list((tmp_path / "quarantine").iterdir())
    assert 1 <= len(aside) <= 3, "at most a sixteenth of the budget"
    assert tmp_path / "quarantine" / "19" in aside
    tier.close()


def test_disk_keeps_the_last_used_within_its_budget(tmp_path):
    tier = DiskTier(tmp_path, 2500)
    for name in ("a", "b", "c"):
        tier.write(name, lambda: b"x" * 1000, 1000)
        assert tier.flush()
    assert [tier.has(name) for name in ("a", "b", "c")] == [False, True, True]
    assert tier.used_bytes() == sum(path.stat().st_size for path in tmp_path.iterdir())
    tier.close()


def test_blocks_make_room_for_the_database_while_the_disk_is_nearly_full(tmp_path, caplog):
    tier = DiskTier(tmp_path, 1 << 20)
    for name in ("a", "b"):
        tier.write(name, lambda: b"x" * 1000, 1000)
    assert tier.flush()
    tier.close()
    nearly_full = DiskTier(tmp_path, 1 << 20, keep_free=lambda n_bytes: n_bytes)
    assert nearly_full.has("a")
    nearly_full.write("c", lambda: b"x" * 1000, 1000)
    assert nearly_full.flush()
    assert [nearly_full.has(name) for name in ("a", "b", "c")] == [False, False, False]
    assert nearly_full.n_skipped == 1
    assert "kept free" in caplog.text
    nearly_full.close()


@pytest.fixture
def crowded(tmp_path):
    """Room for four blocks in RAM and for four on disk; ten have come."""
    tier = DiskTier(tmp_path, 4 * len(seal_block("m" * 64, block(0))) + 50)
    store = BlockStore("m" * 64, 4000, tier)
    for number in range(10):
        store.put(block(number))
        assert tier.flush()
    yield store
    tier.close()


def tiers(store, numbers=range(10)):
    return {number: tier for number in numbers if (tier := store.tier(block(number).key)) is not None}


def files(store, numbers=range(10)):
    """The blocks that are there after a kill."""
    return [number for number in numbers if store.disk.has(store.file_name(block(number).key))]


def test_on_a_full_disk_the_two_budgets_add_up_and_the_newest_is_in_both(crowded):
    assert tiers(crowded) == {3: "disk", 4: "disk", 5: "disk", 6: "ram", 7: "ram", 8: "ram", 9: "ram"}
    assert files(crowded) == [3, 4, 5, 9]


def test_while_there_is_room_ram_and_disk_have_the_same(tmp_path, disk):
    store = BlockStore("m" * 64, 4000, disk)
    for number in range(4):
        store.put(block(number))
    assert disk.flush()
    assert files(store) == [0, 1, 2, 3]
    assert list(tiers(store).values()) == ["ram"] * 4


def test_what_ram_lets_go_is_on_disk_again_as_it_was(crowded):
    crowded.put(block(10))
    assert crowded.disk.flush()
    assert 6 in files(crowded)
    assert crowded.fetch([block(6).key]).blocks == (block(6),)


def test_an_old_block_that_is_used_is_on_disk_again(crowded):
    assert crowded.get(block(7).key) == block(7)
    assert crowded.disk.flush()
    assert files(crowded) == [3, 4, 5, 7]


def test_who_closes_leaves_the_newest_on_disk(crowded):
    crowded.close()
    assert crowded.disk.flush()
    assert files(crowded) == [6, 7, 8, 9]


def test_a_block_too_large_for_ram_is_on_disk(disk):
    store = BlockStore("m" * 64, 500, disk)
    store.put(block(1))
    assert disk.flush()
    assert (tiers(store), store.ram_used) == ({1: "disk"}, 0)


@pytest.mark.parametrize("seed", range(n_examples(8, 200)))
def test_budgets_hold_and_what_is_there_is_right_whatever_is_done(tmp_path, seed):
    chance = random.Random(seed)
    tier = DiskTier(tmp_path, 12_000)
    store = BlockStore("m" * 64, 8_000, tier)
    size = {number: chance.randrange(1, 3000) for number in range(30)}
    for _ in range(200):
        number = chance.randrange(30)
        key = block(number).key
        match chance.choice(["put", "put", "get", "fetch", "discard", "flush"]):
            case "put":
                store.put(block(number, size[number]))
            case "get":
                assert store.get(key) in (None, block(number, size[number]))
            case "fetch":
                store.stage("chat", store.fetch([key]))
                assert store.get(key) in (None, block(number, size[number]))
                store.unstage("chat")
            case "discard":
                store.discard(key)
                assert store.tier(key) is None
            case "flush":
                assert tier.flush()
        assert store.ram_used <= 8_000
    assert tier.flush()
    assert tier.used_bytes() <= 12_000
    assert store.n_refused < 60
    kept = {block(number).key: block(number, size[number]) for number in tiers(store, range(30))}
    on_disk = {found.key: found for found in store.fetch(list(kept)).blocks}
    assert {key: on_disk.get(key) or store.get(key) for key in kept} == kept
    tier.close()


def test_damaged_blocks_are_refused_and_put_aside(tmp_path, disk, caplog):
    rng = random.Random(1)
    good = sealed.seal(
        {"kind": "block", "model": "m" * 64, "key": block(1).key.hex(), "position": 1, "n_tokens": 10}, b"k" * 500
    )
    store = BlockStore("m" * 64, 1 << 20, disk)
    name = store.file_name(block(1).key)
    for case in range(300):
        data = bytearray(good)
        if case % 3 == 0:
            data = data[: rng.randrange(len(data))]
        elif case % 3 == 1:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            at = rng.randrange(len(data))
            data = data[:at] + data[at + rng.randrange(1, 9) :]
        if bytes(data) == good:
            continue
        disk.write(name, lambda data=bytes(data): data, len(data))
        assert disk.flush()
        assert from_disk(store, block(1).key) is None
        assert not disk.has(name)
    assert store.n_refused >= 290


def test_a_kill_during_a_write_leaves_no_half_file(tmp_path):
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "half.kv.new").write_bytes(b"half")
    tier = DiskTier(tmp_path, 1 << 20)
    assert not tier.has("blocks/half.kv.new")
    assert not (tmp_path / "blocks" / "half.kv.new").exists()
    tier.close()


def test_an_unwritable_folder_skips_and_says_so_once(tmp_path, caplog):
    (tmp_path / "blocks").write_text("a file where a folder should be")
    tier = DiskTier(tmp_path, 1 << 20)
    for number in range(5):
        tier.write(f"blocks/{number}", lambda: b"data", 4)
    assert tier.flush()
    assert tier.n_skipped == 5
    assert sum("not kept on disk" in record.message for record in caplog.records) == 1
    assert tier.read("blocks/1") is None
    tier.close()


def test_a_forgotten_file_is_gone_even_while_it_waits(disk, tmp_path):
    disk.write("x", lambda: b"1", 1)
    disk.delete("x")
    assert disk.flush()
    assert disk.read("x") is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"INGLEKV1", b"x" * 100, sealed.seal({"kind": "other"}, b"")])
def test_what_is_no_sealed_file_of_ours_is_refused(data):
    with pytest.raises(sealed.SealError):
        sealed.unseal(data, {"kind": "block"})


@pytest.mark.parametrize("payload", [b"  \n\t payload that begins with blanks", b"}}} payload", bytes([0xD8]) * 40])
def test_a_wrong_length_of_the_header_is_damage(payload):
    data = sealed.seal({"kind": "block"}, payload)
    n_header = int.from_bytes(data[8:12], "little")
    for wrong in [n for n in range(n_header + 30) if n != n_header]:
        with pytest.raises(sealed.SealError):
            sealed.unseal(data[:8] + wrong.to_bytes(4, "little") + data[12:], {})


def test_marks_of_files_that_are_gone_are_gone(disk):
    for number in range(20):
        disk.evict_first(f"never-{number}")
        disk.write(f"{number}", lambda: b"x", 1)
        disk.evict_first(f"{number}")
        disk.delete(f"{number}")
    assert not disk._evict_first
