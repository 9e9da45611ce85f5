"""The command `inglenook`, as a person types it, on an installation that does not run (else: test_deploy_stack.py)."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner

from deploy.cli.main import cli
from deploy.installation import find_installation
from deploy.stack_paths import HUB_TOKEN, StackPaths, exclusive_lock, running_settings
from store import accounts, chats
from store.characters import list_characters
from store.db import Database

ROOT = Path(__file__).resolve().parents[2]
KEY = "the key that signs the cookies of this house"
SCRIPT = ROOT / "deploy" / "inglenook"


class Installation:
    """A data folder, and the command on it."""

    def __init__(self, data, redis_url):
        self.data = data
        self.settings = {"INGLENOOK_DATA_DIR": str(data), "INGLENOOK_REDIS_URL": redis_url}

    def __call__(self, *arguments, answers=None, status=0):
        """What the command prints; in this process, because it starts faster."""
        nothing = {name: None for name in os.environ if name.startswith("INGLENOOK_")}
        done = CliRunner().invoke(cli, list(map(str, arguments)), input=answers, env={**nothing, **self.settings})
        assert done.exit_code == status, done.output
        return done.output

    def script(self, *arguments, stdin=b""):
        """In a process of its own, as in a container: bytes go in and come out."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {**os.environ, **self.settings, "PATH": path}
        return subprocess.run([SCRIPT, *map(str, arguments)], env=environ, input=stdin, capture_output=True, cwd="/")

    def people(self):
        with_db = Database(f"sqlite:///{self.data / 'inglenook.db'}")
        try:
            return {person.name: person for person in accounts.list_users(with_db)}
        finally:
            with_db.close()


@pytest.fixture
def new_installation(tmp_path, redis_server):
    return lambda name: Installation(tmp_path / name, redis_server.url)


@pytest.fixture
def installation(new_installation, migrated_file):
    installation = new_installation("data")
    installation.data.mkdir()
    shutil.copy(migrated_file, installation.data / "inglenook.db")
    return installation


@pytest.fixture
def ada(installation):
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    _, token = accounts.create_invite(db, "admin")
    ada = accounts.sign_up(db, token, "Ada", "no hash")
    chats.create_chat(db, ada.id, list_characters(db, ada)[0].id, "Ada")
    db.close()
    return ada


def test_the_command_is_installed_and_lists_what_it_can_do():
    done = subprocess.run([Path(sys.executable).with_name("inglenook"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for name in ("doctor", "invite", "user", "backup", "restore", "export", "stats"):
        assert re.search(rf"^  {name} +\w", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments", [("user", "list"), ("invite",), ("stats",), ("export", "Ada"), ("backup", "x.zip")]
)
def test_a_house_that_is_not_there_is_not_made_by_asking(new_installation, arguments):
    installation = new_installation("nowhere")
    assert "There is no installation in" in installation(*arguments, status=1)
    assert not installation.data.exists()


def test_an_invitation_makes_an_account(installation):
    link = installation("invite", "--role", "teen").strip()
    token = urllib.parse.urlsplit(link).path.removeprefix("/invite/")
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    assert accounts.sign_up(db, token, "Tia", "hash").role == "teen"
    db.close()
    assert "Invalid value for '--role'" in installation("invite", "--role", "boss", status=2)


def test_people_are_listed_and_get_another_role(installation, ada):
    assert re.fullmatch(r"Ada  admin   since \d{4}-\d\d-\d\d\n", installation("user", "list"))
    assert "This is the only admin" in installation("user", "role", "Ada", "adult", status=1)
    assert "Nobody is called Bob" in installation("user", "role", "Bob", "adult", status=1)
    link = installation("invite", "--role", "child").strip()
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    accounts.sign_up(db, link.rpartition("/")[2], "Bob", "hash")
    db.close()
    assert installation("user", "role", "bob", "teen") == "bob is now: teen.\n"
    assert installation.people()["Bob"].role == "teen"


def test_a_new_password_is_asked_for_twice_and_signs_out(installation, ada):
    said = installation("user", "password", "Ada", answers="a long enough one\na long enough one\n")
    assert "a long enough one" not in said
    changed = installation.people()["Ada"]
    assert PasswordHasher().verify(changed.password_hash, "a long enough one")
    assert changed.session_epoch == ada.session_epoch + 1
    assert "A password has 8 to 200 characters" in installation(
        "user", "password", "Ada", answers="short\nshort\n", status=1
    )
    assert installation.people()["Ada"] == changed


def test_signing_out_everywhere(installation, ada):
    installation("user", "sign-out", "Ada")
    assert installation.people()["Ada"].session_epoch == ada.session_epoch + 1


def test_somebody_is_suspended_and_let_in_again(installation, ada):
    assert "This is the only admin" in installation("user", "suspend", "Ada", status=1)
    link = installation("invite", "--role", "admin", "--name", "Eve").strip()
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    assert accounts.find_invite(db, link.rpartition("/")[2]).name == "Eve"
    accounts.sign_up(db, link.rpartition("/")[2], "Eve", "hash")
    db.close()
    installation("user", "suspend", "Ada")
    assert installation.people()["Ada"].suspended_at
    assert installation.people()["Ada"].session_epoch == ada.session_epoch + 1
    installation("user", "resume", "Ada")
    assert installation.people()["Ada"].suspended_at is None


def test_removing_somebody_asks_first(installation, ada):
    link = installation("invite", "--role", "admin").strip()
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    accounts.sign_up(db, link.rpartition("/")[2], "Bea", "hash")
    db.close()
    assert "Nothing was removed" in installation("user", "delete", "Ada", answers="n\n", status=1)
    assert set(installation.people()) == {"Ada", "Bea"}
    installation("user", "delete", "Ada", answers="y\n")
    assert set(installation.people()) == {"Bea"}
    assert "This is the only admin" in installation("user", "delete", "Bea", "--yes", status=1)


def test_an_export_has_everything_and_is_for_its_reader_only(installation, ada, tmp_path):
    installation("export", "Ada", tmp_path / "ada.json")
    found = json.loads((tmp_path / "ada.json").read_text())
    assert found["account"]["name"] == "Ada"
    assert len(found["chats"]) == 1
    assert stat.S_IMODE((tmp_path / "ada.json").stat().st_mode) == 0o600
    assert json.loads(installation("export", "ada")) == found
    assert "cannot be written" in installation("export", "Ada", tmp_path / "no" / "folder.json", status=1)


def test_stats_count(installation, ada, redis):
    said = installation("stats")
    assert re.search(r"^people +1 \(1 admin\), 0 invited$", said, re.MULTILINE)
    assert re.search(r"^workers +none is there$", said, re.MULTILINE)
    found = json.loads(installation("stats", "--json", "--days", "7"))
    assert (found["people"], found["chats"], found["messages"], found["workers"]) == ({"admin": 1}, 1, 1, {})
    assert "Ada" not in said
    installation.settings["INGLENOOK_REDIS_URL"] = "redis://127.0.0.1:1/0"
    assert "not known: Redis does not answer" in installation("stats")


def test_a_backup_comes_back_on_an_empty_machine(installation, ada, new_installation, tmp_path):
    (installation.data / "secret_key").write_text(KEY)
    (tmp_path / "backups").mkdir()
    assert "1 user" in installation("backup", tmp_path / "backups")
    (file,) = (tmp_path / "backups").iterdir()
    assert re.fullmatch(r"inglenook-\d{8}-\d{6}\.zip", file.name)
    assert "is there already" in installation("backup", file, status=1)
    installation("backup", file, "--overwrite")
    other = new_installation("other")
    assert "is back: 1 user" in other("restore", file)
    assert set(other.people()) == {"Ada"}
    assert (other.data / "secret_key").read_text() == KEY
    assert "People use this installation already" in other("restore", file, status=1)
    assert "What was here before lies in" in other("restore", file, "--replace")


def test_a_backup_goes_through_a_pipe(installation, ada, new_installation):
    """As out of a container and into one."""
    written = installation.script("backup", "-")
    assert written.returncode == 0
    assert written.stdout.startswith(b"PK")
    assert b"read back and whole" in written.stderr
    other = new_installation("other")
    restored = other.script("restore", "-", stdin=written.stdout)
    assert (restored.returncode, restored.stderr) == (0, b"")
    assert set(other.people()) == {"Ada"}
    assert [path.name for path in other.data.iterdir() if path.name.startswith(".")] == []


def test_tables_of_another_version_are_saved_and_otherwise_left_alone(installation, ada, tmp_path):
    db = Database(f"sqlite:///{installation.data / 'inglenook.db'}")
    with db.rebuilding() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    db.close()
    assert "start inglenook again, that brings them up to date" in installation("user", "list", status=1)
    assert "1 user" in installation("backup", tmp_path / "before-the-update.zip")


def test_the_commands_use_the_settings_of_the_stack_that_runs(installation):
    """Its port, its origins, its database; what is given with the command wins, and a stale file counts for nothing."""
    paths = StackPaths(installation.data)
    paths.make()
    started = {"INGLENOOK_PORT": "9123", "INGLENOOK_WORKER_NAME": "gpu7", "HOME": "/none", HUB_TOKEN: "hf_a_secret"}
    with exclusive_lock(paths), running_settings(paths, started):
        assert paths.settings.stat().st_mode & 0o777 == 0o600
        assert not any(name in paths.settings.read_text() for name in ("HOME", "hf_a_secret"))
        assert installation("invite").startswith("http://127.0.0.1:9123/invite/")
        found = find_installation(installation.settings)
        assert (found.settings.port, found.settings.worker_name, found.is_running) == (9123, "gpu7", True)
        assert find_installation({**installation.settings, "INGLENOOK_PORT": "9124"}).settings.port == 9124
    assert not paths.settings.exists()
    paths.settings.write_text('{"INGLENOOK_PORT": "9125"}')
    assert installation("invite").startswith("http://127.0.0.1:8420/invite/")
    paths.settings.write_text("half of it")
    with exclusive_lock(paths):
        assert installation("invite").startswith("http://127.0.0.1:8420/invite/")


def test_a_wrong_setting_and_a_broken_database_are_one_sentence(installation):
    (installation.data / "inglenook.db").write_bytes(b"not a database at all " * 300)
    said = installation("user", "list", status=1)
    assert said.startswith("inglenook: The database cannot be used (file is not a database)")
    assert len(said.splitlines()) == 1
    installation.settings["INGLENOOK_LANE"] = "2"
    assert "Did you mean INGLENOOK_LANES?" in installation("stats", status=1)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "is no SQLite file"),
        ("house.db", "Could not parse SQLAlchemy URL"),
        ("mysql+nodriver://127.0.0.1/none", "The database cannot be used"),
        ("mysql+pymysql://127.0.0.1/none", "The module pymysql is missing"),
        ("postgresql+psycopg://nobody@127.0.0.1:1/none", "The database cannot be used"),
    ],
)
def test_a_database_that_cannot_be_is_one_sentence(installation, url, words):
    installation.settings["INGLENOOK_DATABASE_URL"] = url
    for command in (("user", "list"), ("backup", "x.zip")):
        said = installation(*command, status=1)
        assert words in said
        assert len(said.splitlines()) == 1
