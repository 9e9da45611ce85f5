"""The promises about blocks: damage is refused, a kill leaves whole files or none, a full disk stops nobody."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from engine import Done, Engine, EngineOptions, ReplySpec, SamplerSettings, Segment, TurnRequest
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.blocks import sealed
from engine.blocks.disk_tier import DiskTier
from tests.engine import tiny_models

Finding = tuple[str, str, bool]
SPEC = ReplySpec("reply", (5, 6), (7,), SamplerSettings(temperature=0), max_tokens=3, keep=False)


def small_engine(model: Path, folder: Path, kv_type: str = "f16") -> Engine:
    """An engine on a tiny model with its blocks in `folder`."""
    backend = LlamaBackend(model, LlamaOptions(600, 3, n_batch=64, n_threads=1, kv_type=kv_type))
    return Engine(backend, EngineOptions(256, 1, folder=folder, park_after_s=0.0)).start()


def read_something(engine: Engine, name: str, seed: int = 0) -> Done:
    """One turn of a session with three segments."""
    rng = random.Random(seed)
    wanted = tuple(Segment(part, tuple(rng.randrange(3, 259) for _ in range(30))) for part in ("persona", "a", "b"))
    *_, done = engine.submit(TurnRequest(name, wanted, SPEC)).events(timeout_s=60)
    assert isinstance(done, Done), done
    return done


def damaged_blocks(folder: Path, n_cases: int, maker: Callable[..., Path] = tiny_models.llama) -> Finding:
    """Truncations of every length class, flips, splices, blocks of another model, KV type and build: all refused."""
    folder.mkdir(parents=True)
    model = maker(folder / "m.gguf")
    keys, files = _good_files(model, folder / "good", "f16")
    foreign = list(_good_files(model, folder / "other-kv", "q8_0")[1])
    foreign += _good_files(maker(folder / "n.gguf", seed=9), folder / "other-model", "f16")[1]
    rng, accepted = random.Random(1), 0
    key_of_model, good = keys[0], files
    for case in range(n_cases):
        index = rng.randrange(len(good))
        data = _damage(rng, case, good[index], good, foreign)
        if data in good:
            continue
        accepted += _accepts(data, key_of_model, keys[1][index])
    return str(n_cases), f"{accepted} accepted, 0 crashes", accepted == 0


def _good_files(model: Path, folder: Path, kv_type: str) -> tuple[tuple[str, list[str]], list[bytes]]:
    engine = small_engine(model, folder, kv_type)
    for number in range(3):
        read_something(engine, f"s{number}", number)
    model_key = engine.model_key
    engine.close()
    paths = sorted(folder.rglob("*.kv"))
    return (model_key, [path.stem for path in paths]), [path.read_bytes() for path in paths]


def _damage(rng: random.Random, case: int, data: bytes, good: list[bytes], foreign: list[bytes]) -> bytes:
    kind = case % 6
    if kind == 0:
        return data[: rng.choice((0, 1, 8, 12, 44, rng.randrange(300), rng.randrange(len(data)), len(data) - 1))]
    if kind == 1:
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if kind == 2:
        cut = rng.randrange(len(data))
        return data[:cut] + rng.choice(good)[cut:]
    if kind == 3:
        return rng.choice(foreign)
    if kind == 4:
        return data + os.urandom(1 + rng.randrange(64))
    return _other_build(data)


def _other_build(data: bytes) -> bytes:
    """The same payload, sealed by a build with another fingerprint."""
    header, payload = sealed.unseal(data, {})
    return sealed.seal({**header, "model": "0" * 64}, payload)


def _accepts(data: bytes, model_key: str, key: str) -> bool:
    try:
        sealed.unseal(data, {"model": model_key, "key": key, "kind": "block"})
    except sealed.SealError:
        return False
    return True


# -- kill -9 ----------------------------------------------------------------------------------------------------


def kills(folder: Path, n_kills: int) -> Finding:
    """A process saves blocks as fast as it can and is killed at a random moment; every file must then be whole."""
    folder.mkdir(parents=True)
    rng, torn, n_files = random.Random(2), 0, 0
    for number in range(n_kills):
        command = [sys.executable, "-m", "bench.soak_blocks", str(folder), str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()  # it has begun to save; on a busy machine that takes seconds
            time.sleep(rng.random() * 0.3)
            child.send_signal(signal.SIGKILL)
        for path in _files(folder):
            n_files += 1
            torn += not _whole(path)
    return str(n_kills), f"{n_files} files looked at, {torn} torn", torn == 0 and n_files > 0


def _files(folder: Path) -> Iterator[Path]:
    DiskTier(folder, 1 << 30).close()  # what a restart does first: half files are deleted
    yield from (path for path in folder.rglob("*") if path.is_file())


def _whole(path: Path) -> bool:
    try:
        sealed.unseal(path.read_bytes(), {})
    except sealed.SealError:
        return False
    return True


def save_for_ever(folder: Path, seed: int) -> None:
    """The child: writes sealed files of many sizes without end."""
    rng, disk = random.Random(seed), DiskTier(folder, 64 << 20)
    os.write(1, b"begun\n")
    while True:
        payload = rng.randbytes(rng.randrange(1 << 16))
        name = f"blocks/{rng.randrange(200)}.kv"
        disk.write(name, lambda payload=payload: sealed.seal({"kind": "block"}, payload), len(payload))
        disk.flush()


# -- a full disk ----------------------------------------------------------------------------------------------------


def full_disk(folder: Path) -> Finding:
    """No file may grow beyond 4 KiB (as on a full disk, every write fails): turns go on, blocks are skipped."""
    folder.mkdir(parents=True)
    model = tiny_models.llama(folder / "m.gguf")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        engine = small_engine(model, folder / "blocks")
        for number in range(50):
            read_something(engine, f"s{number % 5}", number)
        skipped = _skipped(engine)
        engine.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    return "50", f"50 done, {skipped} blocks skipped", skipped > 0


def full_tmpfs(folder: Path) -> Finding:
    """A file system of 1 MiB really fills up, and gets room again. In a child with mounts of its own."""
    folder.mkdir(parents=True)
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    command = [*unshare, sys.executable, "-m", "bench.soak_blocks", "tmpfs", str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode == _NO_MOUNT or "unshare" in child.stderr:
        return "0", "not measured: mounting is not permitted here", True
    *_, last = child.stdout.splitlines() or [child.stderr[-300:]]
    n_turns, _, result = last.partition(" ")
    return n_turns, result, child.returncode == 0


def on_tmpfs(folder: Path) -> int:
    """The child: turns until nothing can be saved, then room, then more turns, then a restart. Prints what it found."""
    mount = folder / "tmpfs"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], check=False)
    if mounted.returncode:
        return _NO_MOUNT
    (mount / "filler").write_bytes(bytes(512 << 10))
    model = tiny_models.llama(folder / "m.gguf")
    plain, engine = small_engine(model, folder / "plain"), small_engine(model, mount / "blocks")
    wrong = _turns_until_full(engine, plain, 0)
    skipped, saved = _skipped(engine), len(list(mount.rglob("*.kv")))
    (mount / "filler").unlink()
    number = 1000
    while _skipped(engine) == skipped and number < 1100:
        wrong += _same_turn(engine, plain, number)
        number += 1
    recovered = len(list(mount.rglob("*.kv"))) - saved
    engine.close()
    engine = small_engine(model, mount / "blocks")
    woken = read_something(engine, "s1000", 1000)
    engine.close()
    plain.close()
    n_turns = number - 1000 + _TURNS_WHEN_FULL
    holds = not wrong and skipped > 0 and recovered > 0 and woken.stats.n_restored > 0
    print(
        f"{n_turns} {n_turns} done, {wrong} with another text than where the disk has room; {skipped} files skipped, "
        f"{recovered} blocks saved when there was room again, {woken.stats.n_restored} tokens woken from it afterwards"
    )
    return 0 if holds else 1


_NO_MOUNT = 77
_TURNS_WHEN_FULL = 100


def _turns_until_full(engine: Engine, plain: Engine, first: int) -> int:
    return sum(_same_turn(engine, plain, number) for number in range(first, first + _TURNS_WHEN_FULL))


def _same_turn(engine: Engine, plain: Engine, number: int) -> bool:
    """Whether a turn says something else than on an engine whose disk has room."""
    done, expected = (read_something(each, f"s{number}", number) for each in (engine, plain))
    return done.tokens != expected.tokens


def _skipped(engine: Engine) -> int:
    assert engine.blocks.disk is not None
    engine.blocks.disk.flush()
    return engine.blocks.disk.n_skipped


if __name__ == "__main__":
    if sys.argv[1] == "tmpfs":
        sys.exit(on_tmpfs(Path(sys.argv[2])))
    save_for_ever(Path(sys.argv[1]), int(sys.argv[2]))
