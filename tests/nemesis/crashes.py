"""`python -m tests.nemesis.crashes --n 200`: kill -9 at chosen moments of a turn's life, and what is left of it.

For each kill one failpoint (injected/failpoints.py) is armed, then somebody says something and sends it again, under
the same id, until it is acknowledged. Whichever process comes to that place dies there; the supervisor starts it again.
Afterwards each text that was acknowledged is in the transcript once, with one reply. Exit status 1 otherwise.
To add a moment: a line in MOMENTS.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.nemesis import people
from tests.nemesis.installation import Installation
from tests.nemesis.kills import count
from tests.nemesis.races import Browser

CHAT_TURNS = 12  # then a new chat: the echo's prompt stays short
LIMIT_S = 90.0
BOTH = ("before", "after")
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
MOMENTS = (
    *(f"{place}@{side}" for place in IN_A_TURN for side in BOTH),
    "commit@before",
    *(f"{place}@{side}" for place in AT_A_START for side in BOTH),
)


class Failpoints:
    """The folder that arms the failpoints of an installation."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        places = [moment.rpartition("@")[0] for moment in MOMENTS if moment != "commit@before"]
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
        say(installation, person, turn, said[turn])
        installation.wait_for(installation.is_well, f"recovery after {moment}")
        if failpoints.disarm(moment):
            died.append(moment)
    return died, *count(installation, person, said)


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
