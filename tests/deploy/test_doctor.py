"""`inglenook doctor` names every planted fault and says what to do. Nothing is pretended: each fault is there."""

import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command

from deploy.doctor import disk_finding, examine
from deploy.doctor_finding import FAIL, DoctorFinding
from deploy.preflight import Disk
from store.db import Database, known_versions, migration_config
from store.errors import Failure
from store.shelf import choices, folder
from tests.harness.nvidia import nvidia_smi

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "engine"))
import tiny_models  # noqa: E402

INJECTED = ROOT / "tests" / "nemesis" / "injected"


class Machine:
    """A machine with one house on it, in good order until a test says otherwise."""

    def __init__(self, data):
        self.data = data
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("INGLENOOK_")}
        self.set(data_dir=data, backend="echo", port=0)

    def set(self, **settings):
        self.environ |= {f"INGLENOOK_{name.upper()}": str(value) for name, value in settings.items()}

    def runs_model(self, path, **settings):
        del self.environ["INGLENOOK_BACKEND"]
        self.set(model=path, **settings)

    def doctor(self, trial=True):
        """Whether something failed, and the lines by name: (state, the rest)."""
        lines = list(examine(self.environ, trial))
        return int(any(line.state == FAIL for line in lines)), {line.name: (line.state, line.text()) for line in lines}

    def command(self, *options, limit=None):
        """The same by the command, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "doctor", *options],
            cwd=ROOT,
            env=self.environ,
            preexec_fn=limit,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        *lines, last = done.stdout.splitlines()
        parsed = [re.fullmatch(r"(ok|warn|fail) +([\w]+(?: [\w]+)?) {1,12}(.+)", line).groups() for line in lines]
        assert (done.returncode, last == "Nothing must be mended.") in ((0, True), (1, False))
        return done.returncode, {name.strip(): (state, words) for state, name, words in parsed}


@pytest.fixture
def machine(tmp_path, migrated_file):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(migrated_file, data / "inglenook.db")
    return Machine(data)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_models.llama(tmp_path_factory.mktemp("models") / "tiny.gguf")


def says(found, name, state, *words):
    status, lines = found
    assert lines[name][0] == state, lines
    for word in words:
        assert word in lines[name][1]
    others = {other: line for other, line in lines.items() if line[0] == "fail" and other != name}
    assert others == {}, "one fault, one line that fails"
    assert status == (1 if state == "fail" else 0)


def test_a_machine_in_good_order(machine, tiny):
    machine.runs_model(tiny, context=512)
    status, lines = machine.command()
    assert status == 0
    assert {name: line for name, line in lines.items() if line[0] == "fail"} == {}
    assert {"settings", "disk", "clock", "redis", "database", "port", "model", "template", "memory plan"} <= set(lines)
    assert lines["trial run"] == ("ok", "loaded, read and moved some tokens")
    assert os.listdir(machine.data) == ["inglenook.db"] or "inglenook.db-wal" in os.listdir(machine.data)


# -- the model ---------------------------------------------------------------------------------------------------------


def test_no_model(machine):
    machine.runs_model("/nowhere/x.gguf")
    says(machine.doctor(), "model", "fail", "There is no model file at /nowhere/x.gguf", "correct the path")


def test_a_model_that_was_cut_off(machine, tiny, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes()[:400_000])
    machine.runs_model(broken)
    says(machine.doctor(), "model", "fail", "is cut off or damaged", "Download it again")


def test_the_model_that_was_chosen_is_the_one_that_is_examined(machine, tiny):
    machine.runs_model("/nowhere/x.gguf", context=512)
    models = machine.data.parent / "models"
    models.mkdir()
    shutil.copy(tiny, models / "mine.gguf")
    db = Database(f"sqlite:///{machine.data / 'inglenook.db'}")
    folder.record_folder(db, {"mine.gguf": tiny.stat().st_size})
    choices.choose(db, "gpu0", "mine.gguf")
    found = machine.doctor(trial=False)
    says(found, "chosen model", "ok", "mine.gguf, chosen on the page Models; without that x.gguf (INGLENOOK_MODEL)")
    assert "mine.gguf: tiny-llama" in found[1]["model"][1]
    choices.fall_back(db, "gpu0", "mine.gguf", Failure("model_cut_off", {"name": "mine.gguf"}))
    db.close()
    lines = machine.doctor(trial=False)[1]
    assert lines["chosen model"][0] == "warn"
    assert "x.gguf (INGLENOOK_MODEL) answers instead" in lines["chosen model"][1]
    assert "mine.gguf is damaged, it ends too early: get it again." in lines["chosen model"][1]
    assert "There is no model file at /nowhere/x.gguf" in lines["model"][1]


def test_a_model_whose_tensors_are_not_what_they_should_be(machine, tiny, tmp_path):
    """The metadata is right, so only a trial finds it."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny.read_bytes().replace(b"blk.1.ffn_up", b"blk.1.ffn_op"))
    machine.runs_model(broken, context=512)
    says(machine.doctor(), "trial run", "fail", "cannot load", "Download the model again")


def test_a_template_that_cannot_be_used(machine, tmp_path):
    machine.runs_model(tiny_models.llama(tmp_path / "odd.gguf", template="{{ nothing.of.the.kind }}"), context=512)
    says(machine.doctor(trial=False), "template", "warn", "cannot be used message by message", "choose a model that")


def test_a_base_model_has_no_template(machine, tmp_path):
    machine.runs_model(tiny_models.llama(tmp_path / "base.gguf", template=None), context=512)
    says(machine.doctor(trial=False), "template", "warn", "each message is a line of a script", "choose a model that")
    machine.set(framing="script")
    says(machine.doctor(trial=False), "template", "ok", "INGLENOOK_FRAMING=script", "a line of a script")


def test_quantized_cells_at_head_size_96(machine, tmp_path):
    machine.runs_model(tiny_models.llama(tmp_path / "96.gguf", head_size=96), context=512, kv_type="q8_0")
    says(machine.doctor(trial=False), "shift probe", "warn", "heads of 96 values crash", "Set INGLENOOK_KV_TYPE=f16")


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        (
            "NVIDIA GeForce GTX 1660 SUPER, 6144, 5800, 580.95, 7.5",
            "warn",
            "NVIDIA GeForce GTX 1660 SUPER, driver 580.95",
        ),
        ("No devices were found", "warn", "nvidia-smi answers what cannot be understood"),
    ],
)
def test_a_card_that_this_llama_cannot_use(machine, tiny, tmp_path, answers, state, words):
    """The driver's program is ours here; that llama.cpp was built for the CPU is true."""
    nvidia_smi(tmp_path, answers)
    machine.runs_model(tiny, context=512)
    machine.environ["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    says(machine.doctor(trial=False), "card", state, words)


def test_too_little_memory(machine):
    machine.runs_model("", context=8192)
    machine.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    says(
        machine.command("--quick", limit=limit),
        "memory plan",
        "fail",
        "does not fit into 0.39 GiB",
        "a context of less",
    )


# -- Redis -------------------------------------------------------------------------------------------------------------


def test_no_redis(machine):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    machine.set(redis_url=f"redis://127.0.0.1:{port}/0")
    says(machine.doctor(), "redis", "fail", f"nobody answers at 127.0.0.1:{port}", "correct INGLENOOK_REDIS_URL")


@pytest.fixture
def guarded_redis(redis_server, redis):
    """The server of the tests behind a password, for a moment."""
    redis.config_set("requirepass", "sesame")
    yield redis_server
    redis.config_set("requirepass", "")


@pytest.mark.parametrize("given", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password(machine, guarded_redis, given):
    machine.set(redis_url=guarded_redis.url.replace("redis://", f"redis://{given}"))
    _, lines = found = machine.doctor()
    says(found, "redis", "fail", "refuses the password", "Correct it in INGLENOOK_REDIS_URL")
    assert "wrong" not in lines["redis"][1]


def test_a_downloader_that_gives_no_sign_of_life(machine, redis_server):
    machine.set(redis_url=redis_server.url)
    says(machine.doctor(trial=False), "downloads", "warn", "no sign of life", "downloader.log")
    (machine.data / "downloader.beat").touch()
    says(machine.doctor(trial=False), "downloads", "ok", "the first model makes it")
    (machine.data.parent / "models").mkdir()
    (machine.data / "downloader.beat").write_text('{"free": 7654000000000}')  # in containers it alone sees that disk
    says(machine.doctor(trial=False), "downloads", "ok", "7654.0 GB free")
    os.utime(machine.data / "downloader.beat", (1.0, 1.0))
    says(machine.doctor(trial=False), "downloads", "warn", "no sign of life")


def test_the_right_password_and_a_redis_that_keeps_nothing(machine, guarded_redis):
    machine.set(redis_url=guarded_redis.url.replace("redis://", "redis://:sesame@"))
    status, lines = machine.doctor()
    assert (status, lines["redis"][0]) == (0, "ok")
    assert lines["redis file"][0] == "warn"
    assert "appendonly yes" in lines["redis file"][1]
    assert "sesame" not in str(lines)


def test_a_redis_that_throws_jobs_away(machine, redis_server, redis):
    machine.set(redis_url=redis_server.url)
    redis.config_set("maxmemory", "100mb")
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        says(machine.doctor(), "redis memory", "fail", "allkeys-lru", "Set `maxmemory-policy noeviction`")
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", "0")


# -- disk, port, clock -------------------------------------------------------------------------------------------------


def test_a_full_disk(machine):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    says(machine.command(limit=limit), "disk", "fail", f"The disk of {machine.data} is full", "make room")


@pytest.mark.parametrize(
    ("disk_cache_mb", "advice"),
    [(-1, "Make room: the KV blocks take a quarter of what is free."), (4096, "INGLENOOK_DISK_CACHE_MB below 4096")],
)
def test_a_disk_that_is_nearly_full(disk_cache_mb, advice):
    finding = disk_finding(Disk(mb_per_s=100, free_mb=1500, ahead_s=0), disk_cache_mb)
    assert (finding.state, advice in finding.advice) == ("warn", True), finding


def test_a_folder_in_which_not_even_root_may_write(machine):
    machine.set(data_dir="/proc/inglenook")
    says(machine.doctor(), "disk", "fail", "The folder /proc/inglenook cannot be written", "make it writable")


def test_a_port_in_use(machine):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        machine.set(port=port)
        says(machine.doctor(), "port", "fail", f"Port {port} on 127.0.0.1 cannot be opened", f"PORT={port + 1}")


@pytest.mark.parametrize(("ahead_s", "words"), [(-7200, "2 hours behind"), (90 * 86_400, "90 days ahead of")])
def test_a_clock_that_is_off(machine, tmp_path, ahead_s, words):
    (tmp_path / "clock").write_bytes(struct.pack("d", ahead_s))
    machine.environ |= {"PYTHONPATH": str(INJECTED), "NEMESIS_CLOCK": str(tmp_path / "clock")}
    says(machine.command(), "clock", "fail", words, "Set the clock")


# -- the database ------------------------------------------------------------------------------------------------------


def test_a_migration_that_is_missing(machine):
    (machine.data / "inglenook.db").unlink()
    before, newest = known_versions()[-2:]
    old = Database(f"sqlite:///{machine.data}/inglenook.db")
    with old.rebuilding() as connection:
        command.upgrade(migration_config(connection), before)
    old.close()
    says(machine.doctor(), "database", "fail", f"version {before}, {newest} is needed", "start inglenook again")


def test_a_database_of_a_later_version(machine):
    db = Database(f"sqlite:///{machine.data}/inglenook.db")
    with db.rebuilding() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    says(machine.doctor(), "database", "fail", "version 9999", "Update inglenook")


def test_a_damaged_database(machine):
    file = machine.data / "inglenook.db"
    data = bytearray(file.read_bytes())
    data[8192:40_960] = os.urandom(32_768)
    file.write_bytes(data)
    says(machine.doctor(), "database", "fail", "inglenook restore FILE --replace")


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://nobody@127.0.0.1:1/none", "mysql+nodriver://127.0.0.1/none", "sqlite://", "house.db"]
)
def test_a_database_that_is_not_there(machine, url):
    machine.set(database_url=url)
    says(machine.doctor(), "database", "fail", "it cannot be read", "correct INGLENOOK_DATABASE_URL")


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_with_typos_are_all_named_and_the_rest_is_looked_at(machine):
    machine.set(lane=3, kv_type="q5_1")
    lines = list(examine(machine.environ))
    said = [line.words for line in lines if line.name == "settings"]
    assert "There is no setting called INGLENOOK_LANE. Did you mean INGLENOOK_LANES?" in said
    assert any(words.startswith("INGLENOOK_KV_TYPE='q5_1' is wrong") for words in said)
    assert {line.name: line.state for line in lines}["database"] == "ok"


def test_a_line_is_one_line():
    assert DoctorFinding("disk", "warn", "two\nlines.", "Do it.").text() == "warn  disk         two lines. Do it."
