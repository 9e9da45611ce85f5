"""One trial: an installation, people, rounds of storm and peace, and the verdict after each round.

What it does: a round is a storm (faults while people play), healing, quiet (everybody must get their answer within the
limit), then the checker on all that was seen and on the database. Each round begins new chats.
What it refuses to know: command lines, and what is printed.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.nemesis import audit, baseline, people
from tests.nemesis.checker import check
from tests.nemesis.clients import Habits, Tab
from tests.nemesis.evidence import Evidence
from tests.nemesis.history import History
from tests.nemesis.nemesis import Nemesis

QUIET_S = 30.0  # within which every turn has to end after healing
SETTLE_S = 20.0  # within which everything held in the storm has to be let go
EXIT_CONFIG = 78


@dataclass
class Tally:
    """What a trial has counted so far."""

    faults: Counter = field(default_factory=Counter)
    turns: Counter = field(default_factory=Counter)
    attempts: Counter = field(default_factory=Counter)
    n_rounds: int = 0
    n_lines: int = 0
    n_heard: int = 0
    n_acked: int = 0
    quiet_s: list[float] = field(default_factory=list)  # from healing to the end of the last turn
    waited_s: float = 0.0  # in which the installation came up again


class Trial:
    """People in an installation with a nemesis."""

    def __init__(self, installation, seed, n_people, gap_s=0.9, patience=1.0, habits=None):
        self.installation, self.gap_s, self.patience = installation, gap_s, patience
        self.rng = random.Random(seed)
        self.history, self.habits, self.tally = History(), habits or Habits(), Tally()
        self.people = [people.sign_up(installation, number) for number in range(n_people)]
        self.tabs = []
        for person in self.people:
            for number in range(2 if self.rng.random() < 0.3 else 1):
                rng = random.Random(f"{seed}.{person.number}.{number}")
                self.tabs.append(Tab(installation, person, number, rng, self.history, self.habits))
        self._peace = None
        self._n_judged = Counter()  # how many chats of each person have been judged

    def begin(self, peace_s=4.0):
        """Everybody opens the page and plays in peace for a while; what is held then is the baseline."""
        for tab in self.tabs:
            tab.start()
        time.sleep(peace_s)
        trouble = self._quieten()
        self._peace = baseline.measure(self.installation, len(self.tabs))
        return self._judge(trouble)

    def round(self, storm_s):
        """One storm and what is left of it: (violations, evidence)."""
        self.play()
        nemesis = Nemesis(
            self.installation, random.Random(self.rng.random()), self.history, self.gap_s, self.tally.faults
        )
        nemesis.start()
        time.sleep(storm_s)
        self.habits.quiet = True
        nemesis.heal()
        return self.rest()

    def play(self):
        """Everybody begins a new chat and writes."""
        for person in self.people:
            people.begin_chat(self.installation, person)
        self.habits.quiet = False

    def rest(self):
        """Nobody begins anything more; when all have their answers: (violations, evidence)."""
        trouble = self._quieten()
        trouble += self._baseline()
        self.tally.n_rounds += 1
        return self._judge(trouble)

    def end(self):
        """Everybody goes home."""
        self.habits.leaving = True
        for tab in self.tabs:
            tab.join(10)

    def _quieten(self):
        """Wait until everybody has their answer; sentences about what did not come."""
        self.habits.quiet = True
        began = time.monotonic()
        self.installation.wait_for(self.installation.is_well, "installation after the storm")
        healed = time.monotonic()
        self.tally.waited_s += healed - began
        limit = healed + QUIET_S * self.patience
        while time.monotonic() < limit and not self._all_quiet():
            time.sleep(0.1)
        self.tally.quiet_s.append(time.monotonic() - healed)
        return list(self._noise())

    def _all_quiet(self):
        return all(tab.idle for tab in self.tabs) and audit.n_unfinished(self.installation.sqlite_file) == 0

    def _noise(self):
        for tab in self.tabs:
            if tab.trouble:
                yield f"window {tab.name} broke: {tab.trouble}"
            if not tab.up:
                yield f"window {tab.name} has not come back"
            elif tab.unsent is not None:
                yield f"window {tab.name}: no answer to turn {tab.unsent['id']} ({tab.unsent['kind']})"
            elif tab.screen.turn is not None:
                yield f"window {tab.name} still waits for turn {tab.screen.turn.id}"
        for program in self.installation.programs:
            if any(status == EXIT_CONFIG for _, status in program.exits):
                yield f"{program.name} said that its configuration is wrong: supervisord would give up"
            program.exits.clear()

    def _baseline(self):
        deadline = time.monotonic() + SETTLE_S * self.patience
        while (found := self._grown()) and time.monotonic() < deadline:
            time.sleep(0.5)
        return found

    def _grown(self):
        return list(baseline.grown(self._peace, baseline.measure(self.installation, len(self.tabs))))

    def _judge(self, trouble):
        chats = {chat for person in self.people for chat in person.chats[self._n_judged[person.number] :]}
        self._n_judged = Counter({person.number: len(person.chats) for person in self.people})
        notes = [note for note in self.history.cut() if note.chat in chats or note.chat is None]
        path = self.installation.sqlite_file
        rows = {row["id"]: row for row in audit.turns(path) if row["chat_id"] in chats}
        evidence = Evidence(
            notes=notes,
            turns=rows,
            steps=[step for step in audit.read(path) if step.turn in rows],
            messages=audit.messages(path, chats),
            echo=self.installation.model == "echo",
            trouble=trouble,
        )
        self._count(evidence)
        return check(evidence), evidence

    def _count(self, evidence):
        tally = self.tally
        tally.turns.update(row["state"] for row in evidence.turns.values())
        tally.turns.update(f"kind {row['kind']}" for row in evidence.turns.values())
        tally.turns.update(f"code {row['error_code']}" for row in evidence.turns.values() if row["error_code"])
        tally.attempts.update(row["attempt"] for row in evidence.turns.values())
        tally.n_acked += len(evidence.acked)
        tally.n_lines += sum(note.what == "up" for note in evidence.notes)
        tally.n_heard += sum(note.what == "heard" for note in evidence.notes)
