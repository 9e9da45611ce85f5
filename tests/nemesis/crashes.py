"""`python -m tests.nemesis.crashes --n 200`: kill -9 at chosen moments of a turn, of a backup and of a migration.

For each kill one failpoint (injected/failpoints.py) is armed, then somebody says something and sends it again, under
the same id, until it is acknowledged. Whichever process comes to that place dies there; the supervisor starts it again.
Afterwards each text that was acknowledged is in the transcript once, with one reply; a backup, or the migration of an
old database, that was killed is done again, and is whole. Exit status 1 otherwise.
To add a moment: a line in MOMENTS.
"""

import argparse
import gzip
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from store.backup.archive import Archive
from tests.nemesis import people
from tests.nemesis.installation import ROOT, Installation
from tests.nemesis.kills import count
from tests.nemesis.races import Browser

CHAT_TURNS = 12  # then a new chat: the echo's prompt stays short
LIMIT_S = 90.0
BOTH, IN_A_COMMIT = ("before", "after"), "commit@before"
IN_A_TURN = (  # whichever process gets there first
    "store.turns.begin:begin_turn",
    "store.broker.queue:accept",
    "store.broker.queue:deliver",
    "store.broker.queue:_make_job",
    "store.turns.lifecycle:claim",
    "worker.attempt:Attempt.run",
    "worker.attempt:Attempt._write_part",
    "worker.publisher:Publisher.send",
    "worker.endings:Endings.commit",
    "store.turns.end:commit",
    "store.turns.end:_write_reply",
    "store.turns.end:_end_view",
    "sql:INSERT INTO messages",
    "sql:INSERT INTO alternatives",
    "sql:INSERT INTO turns",
    "sql:UPDATE turns",
    "sql:UPDATE chats",
)
AT_A_START = ("store.db:Database.migrate", "worker.service:requeue_own_turns", "worker.service:Service.start")
_OF_A_BACKUP = (
    "store.backup.dump:_write",
    "store.backup.dump:reflect_tables",
    "store.backup.archive:ArchiveWriter.table",
    "store.backup.archive:ArchiveWriter.finish",
    "store.backup.archive:Archive.verify",
    "store.backup.dump:make_durable",  # before the renaming
    "store.backup.dump:write_backup",
)
_OF_A_MIGRATION = (  # also that of a first start; the version is written between two steps
    "store.db:upgrade_tables",
    "sql:UPDATE alembic_version",
    "store.bundled:load_characters",
)
IN_A_BACKUP = tuple(f"{place}@{side}" for place in _OF_A_BACKUP for side in BOTH)
IN_A_MIGRATION = (*(f"{place}@{side}" for place in _OF_A_MIGRATION for side in BOTH), IN_A_COMMIT)
UPKEEP = (*IN_A_BACKUP, *IN_A_MIGRATION)
MOMENTS = (
    *(f"{place}@{side}" for place in IN_A_TURN for side in BOTH),
    IN_A_COMMIT,
    *(f"{place}@{side}" for place in AT_A_START for side in BOTH),
    *(moment for moment in UPKEEP if moment != IN_A_COMMIT),
)
OLD_DATABASE = ROOT / "tests" / "store" / "old_databases" / "version_0006.db.gz"
MIGRATE = "import sys; from store.db import Database; Database(f'sqlite:///{sys.argv[1]}').migrate()"


class Failpoints:
    """The folder that arms the failpoints of an installation."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        places = [moment.rpartition("@")[0] for moment in MOMENTS if moment != IN_A_COMMIT]
        (folder / "places").write_text("\n".join(dict.fromkeys(places)), encoding="ascii")

    def arm(self, moment):
        """The next process that comes to this place dies."""
        (self.folder / moment).touch()

    def disarm(self, moment):
        """Whether a process has died of it."""
        (self.folder / moment).unlink(missing_ok=True)
        met = self.folder / f"{moment}.met"
        died = met.exists()
        met.unlink(missing_ok=True)
        return died


def main(arguments=None):
    """Kill, wait, count."""
    parser = argparse.ArgumentParser(prog="python -m tests.nemesis.crashes", description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the number of the first moment")
    parser.add_argument("--step", type=int, default=1, help="of the moments, every so many")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="inglenook-crashes-"))
    failpoints = Failpoints(folder / "failpoints")
    installation = Installation(folder / "installation", 2, environ={"NEMESIS_FAILPOINTS": str(failpoints.folder)})
    try:
        installation.start()
        moments = [MOMENTS[(options.first + options.step * number) % len(MOMENTS)] for number in range(options.n)]
        died, lost, doubled = crash_at(installation, failpoints, moments)
    finally:
        installation.stop()
    never = sorted(set(moments) - set(died))
    sys.stdout.write(
        f"{len(died)} kills at {len(set(died))} moments ({len(moments)} armed), {lost} lost, {doubled} doubled"
        f"{'; never met: ' + ', '.join(never) if never else ''}\n"
    )
    if lost or doubled or never:
        sys.stdout.write(f"kept: {folder}\n")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def crash_at(installation, failpoints, moments):
    """(the moments at which something died, how many replies were lost, how many doubled)."""
    person, said, died = people.sign_up(installation, 0), {}, []
    for number, moment in enumerate(moments):
        if number % CHAT_TURNS == CHAT_TURNS - 1:
            people.begin_chat(installation, person)
        turn = uuid.uuid4().hex
        said[turn] = f"This is number {number} of {len(moments)}."
        failpoints.arm(moment)
        if moment.rpartition("@")[0] in AT_A_START:
            restart(installation)
        if moment in UPKEEP and moment != IN_A_COMMIT:
            keep_up(installation, failpoints, moment)
        say(installation, person, turn, said[turn])
        installation.wait_for(installation.is_well, f"recovery after {moment}")
        if failpoints.disarm(moment):
            died.append(moment)
    return died, *count(installation, person, said)


def keep_up(installation, failpoints, moment):
    """A backup of the running installation, or the migration of an old database: killed, then whole."""
    path = f"{ROOT}{os.pathsep}{Path(__file__).with_name('injected')}"
    environ = {**installation.environ, "PYTHONPATH": path, "NEMESIS_FAILPOINTS": str(failpoints.folder)}
    file = installation.folder / "house.zip"
    command = ["-m", "deploy.cli", "backup", "--overwrite", str(file)]
    if moment in IN_A_MIGRATION:
        file = installation.folder / "old.db"
        file.write_bytes(gzip.decompress(OLD_DATABASE.read_bytes()))
        command = ["-c", MIGRATE, str(file)]
    for status in (-signal.SIGKILL, 0):
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, capture_output=True, check=False)
        assert done.returncode == status, f"{moment}: {done.stderr.decode()}"
    if moment in IN_A_BACKUP:
        with Archive(file) as archive:
            archive.verify()


def say(installation, person, turn, text):
    """Send until it is acknowledged, then wait until its turn has ended; whoever is cut off comes back."""
    deadline, acked = time.monotonic() + LIMIT_S, False
    while True:
        assert time.monotonic() < deadline, f"turn {turn} does not end within {LIMIT_S:.0f} s"
        try:
            browser = Browser(installation, person, person.chats[-1])
            if not acked:
                browser.submit(turn, text)
                answer = browser.answer(turn)
                assert answer["type"] == "ack", answer
                acked = True
            browser.settle()
            browser.close()
            return
        except (OSError, TimeoutError):
            time.sleep(0.2)


def restart(installation):
    """Kill everything that starts with the failpoint: the web server and the first worker."""
    for program in (installation.web, installation.workers[0]):
        program.signal_all(signal.SIGKILL)
    installation.wait_for(lambda: installation.web.pid is not None, "web server")


if __name__ == "__main__":
    sys.exit(main())
