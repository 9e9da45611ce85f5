"""Words that are gone from Redis are gone from its file, too."""

from pathlib import Path

import pytest
from redis import Redis

from store.broker import append_only, events
from tests.conftest import RedisServer


@pytest.fixture
def keeping(tmp_path):
    """A Redis of our own that writes an append-only file."""
    server = RedisServer(tmp_path)
    server.start()
    with Redis.from_url(server.url) as client:
        client.config_set("appendonly", "yes")
        wait_for_rewrite(client)
        yield client
    server.kill()


def wait_for_rewrite(client):
    for _ in range(3_000):
        facts = client.info("persistence")
        if not facts["aof_rewrite_in_progress"] and not facts["aof_rewrite_scheduled"]:
            return
        client.blpop("nothing", timeout=0.01)
    raise AssertionError("Redis did not rewrite its file")


def in_files(folder: Path, word: bytes) -> bool:
    return any(word in path.read_bytes() for path in folder.rglob("*.aof"))


def test_what_was_deleted_leaves_the_file_with_the_next_rewrite(keeping, tmp_path):
    events.append(keeping, "c" * 32, "a" * 32, 1, [{"type": "text", "part": 0, "offset": 0, "text": "My diary"}])
    keeping.delete(*keeping.keys("*"))
    assert in_files(tmp_path, b"My diary")
    assert append_only.rewrite_if_due(keeping)
    wait_for_rewrite(keeping)
    assert not in_files(tmp_path, b"My diary")
    assert not append_only.rewrite_if_due(keeping), "once an hour"
