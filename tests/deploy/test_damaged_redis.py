"""Redis with files that it cannot read: they are put aside, and it starts empty. Real servers, no stack around them."""

import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
import yaml  # comes with the package gguf
from redis import Redis
from redis.exceptions import RedisError

from deploy.managed_redis import ManagedRedis, is_damaged, put_aside
from deploy.run import GROUND, StackWatch
from deploy.stack_paths import StackPaths
from deploy.supervise import Program, Supervisord
from tests.harness.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
GARBAGE = b"\xffGARBAGE\xff"


def overwrite(offset):
    def harm(path):
        content = path.read_bytes()
        at = int(len(content) * offset)
        path.write_bytes(content[:at] + GARBAGE + content[at + len(GARBAGE) :])

    return harm


DAMAGES = {
    "AOF head": ("*.aof", overwrite(0.0)),
    "AOF middle": ("*.aof", overwrite(0.5)),
    "AOF of zeros": ("*.aof", lambda path: path.write_bytes(bytes(900))),
    "AOF with an unknown command": ("*.aof", lambda path: path.write_bytes(b"*1\r\n$5\r\nBLAHH\r\n")),
    "RDB head": ("*.rdb", overwrite(0.0)),
    "RDB middle": ("*.rdb", overwrite(0.5)),
    "RDB cut off": ("*.rdb", lambda path: path.write_bytes(path.read_bytes()[:60])),
    "RDB not there": ("*.rdb", Path.unlink),
    "manifest of garbage": ("*.manifest", lambda path: path.write_bytes(GARBAGE)),
    "manifest empty": ("*.manifest", lambda path: path.write_bytes(b"")),
}


def start(redis, config):
    return subprocess.Popen(redis.command(config), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def answers(redis):
    try:
        with Redis.from_url(redis.url) as client:
            return client.ping()
    except RedisError:
        return False


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    """The data of a Redis that has worked for a while: an RDB file, an AOF behind it and their manifest."""
    folder = tmp_path_factory.mktemp("redis")
    redis = ManagedRedis(folder / "redis")
    with start(redis, folder / "redis.conf") as process:
        wait_for(lambda: answers(redis))
        with Redis.from_url(redis.url) as client:
            for number in range(60):
                client.set(f"before{number}", "some words " * 3)
            client.bgrewriteaof()
            wait_for(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
            for number in range(60):
                client.set(f"after{number}", "some words " * 3)
        process.terminate()
        process.communicate()
    if not (folder / "redis" / "appendonlydir").is_dir():
        pytest.fail("these damages are those of Redis 7 and newer: install redis-server")
    return folder / "redis"


@pytest.fixture
def copied(good_files, tmp_path):
    def copy(to):
        subprocess.run(["cp", "-r", str(good_files), str(to)], check=True)
        return to

    return copy


def damage(folder, kind):
    pattern, harm = DAMAGES[kind]
    harm(sorted((folder / "appendonlydir").glob(pattern))[-1])


@pytest.mark.parametrize("kind", DAMAGES)
def test_redis_says_that_its_files_are_damaged(copied, tmp_path, kind):
    redis = ManagedRedis(copied(tmp_path / "redis"))
    damage(redis.folder, kind)
    with start(redis, tmp_path / "redis.conf") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert is_damaged(["an older line: Bad file format reading the append only file", *said.splitlines()]), said


@pytest.mark.parametrize(
    "line",
    [
        "# Can't open the append-only file appendonly.aof: No space left on device",
        "# Could not create server TCP listening socket 127.0.0.1:6379: bind: Address already in use",
        "* DB loaded from base file appendonly.aof.2.base.rdb: 0.000 seconds",
    ],
)
def test_other_troubles_are_no_damage(line):
    assert not is_damaged(["Bad file format reading the append only file", "oO0 Redis is starting oO0", line])


def test_what_is_put_aside_is_kept_under_a_name_of_its_own(copied, tmp_path):
    first = put_aside(copied(tmp_path / "redis"), 1.0)
    (tmp_path / "redis" / "x").touch()
    second = put_aside(tmp_path / "redis", 1.0)
    assert first.name.startswith("redis-damaged-19")
    assert second.name == f"{first.name}-2"
    assert list((first / "appendonlydir").glob("*.rdb"))
    assert put_aside(tmp_path / "redis") is None
    assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700


def test_a_start_with_damaged_files_goes_on_with_empty_ones(copied, tmp_path, capsys):
    paths = StackPaths(tmp_path / "data")
    paths.make()
    redis = ManagedRedis(copied(paths.data / "redis"))
    damage(redis.folder, "AOF middle")
    supervisord = Supervisord(paths)
    try:
        program = Program("redis", redis.command(paths.run / "redis.conf"), GROUND, settle_s=1, stop_s=3)
        supervisord.start([program], dict(os.environ))
        supervisord.start_group(GROUND)
        StackWatch(supervisord, paths, threading.Event()).until(lambda: answers(redis), "Redis")
        with Redis.from_url(redis.url) as client:
            assert client.dbsize() == 0
    finally:
        supervisord.stop(5)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    aside = Path(re.search(r"they lie in (\S+) now, and it starts empty", said)[1])
    assert list((aside / "appendonlydir").iterdir())


def container_start(folder):
    """The start of the container's Redis as docker-compose.yml has it, on folders of ours; what it says."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    (script,) = yaml.safe_load(text)["services"]["redis"]["command"]
    for path in ("data", "secrets", "tmp"):
        (folder / path).mkdir(exist_ok=True)
        script = re.sub(rf"(?<![\w.])/{path}/", f"{folder}/{path}/", script)
    script = script.replace("exec setpriv --reuid=redis --regid=redis --clear-groups", "echo start").replace("$$", "$")
    as_redis = 'as_redis() { "$@"; }'  # nobody has to be called redis here
    script = re.sub(r"as_redis\(\) \{.*\}", lambda _: as_redis, script)
    return subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("kind", [None, *(kind for kind in DAMAGES if kind != "AOF with an unknown command")])
def test_the_container_puts_damaged_files_aside(copied, tmp_path, kind):
    copied(tmp_path / "data")
    if kind:
        damage(tmp_path / "data", kind)
    said = container_start(tmp_path)
    asides = list((tmp_path / "data").glob("damaged-*"))
    assert (tmp_path / "data" / "appendonlydir").is_dir() is (kind is None)
    assert len(asides) == (0 if kind is None else 1)
    assert ("it starts empty" in said) is bool(kind)
    assert said.endswith(f"start redis-server {tmp_path}/tmp/redis.conf\n")
