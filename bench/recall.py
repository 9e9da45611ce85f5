"""`make bench-recall`: the memory test (bench/memory_test.py): what is recalled of forgotten messages, and how fast.

Retrieval alone, no model: stories in English and Chinese, each fact asked for by its name and in other words; prints
recall@3, precision, how often the newest of two corrected facts is there and first, how often a message that asks for
nothing recalls something; then the time of a recall in a chat of 20,000 messages. Fails below 0.9 for exact names,
below 0.75 over all, or where p95 is above 20 ms. `--database URL`: an empty PostgreSQL database; else SQLite.
Writes docs/benchmarks.md (section `recall`; on PostgreSQL it prints only).
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.memory_test import Fact, TestStory, tell
from bench.tables import machine, publish, table
from store import accounts, chat_transfer, search
from store.bundled import character_id
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.db import Database
from store.memory.recall import THRESHOLD, recall
from store.quotas import Quota
from store.views import Passage, UserView

LIMIT_MS, EXACT, ALL, LONG = 20.0, 0.9, 0.75, 20_000
NO_LIMIT = Quota(0, 0, 0)
ABOUT_NOTHING = {"en": "*She looks into the fire.*", "zh": "*她望着火。*"}


@dataclass
class Score:
    """Counts of one language."""

    asked: int = 0
    found: int = 0
    exact_asked: int = 0
    exact_found: int = 0
    corrected_asked: int = 0
    newest_first: int = 0
    told: int = 0
    right: int = 0
    idle: int = 0
    idle_told: int = 0
    times_ms: list[float] = field(default_factory=list)

    @property
    def over_all(self) -> float:
        """recall@3 over all questions."""
        return self.found / self.asked

    @property
    def exact(self) -> float:
        """recall@3 of the questions by name."""
        return self.exact_found / self.exact_asked

    @property
    def precision(self) -> float:
        """The share of recalled passages that hold what was asked for."""
        return self.right / max(1, self.told)


def new_person(db: Database, name: str = "Ann") -> UserView:
    """Somebody who tells stories."""
    return accounts.sign_up(db, accounts.create_invite(db, "adult")[1], name, "nobody signs in here")


def bring(db: Database, person: UserView, messages: Sequence[tuple[bool, str]]) -> str:
    """The id of a chat with these messages, indexed."""
    lines = tuple(
        DocMessage("user" if by_user else "character", "Ann" if by_user else "Mara", (DocAlternative(text, 9.0),), 9.0)
        for by_user, text in messages
    )
    document = ChatDocument(character_name="Mara Quill", user_name="Ann", messages=lines, created_at=9.0)
    chat = chat_transfer.import_chat(db, person.id, character_id("mara"), document, quota=NO_LIMIT)
    while search.index_some(db):
        pass
    return chat.id


def ask_all(db: Database, chat_id: str, story: TestStory, score: Score, threshold: float = THRESHOLD) -> None:
    """Ask for every fact of a story in both ways, and say what asks for nothing."""
    before = len(story.messages)

    def asked(question: str) -> tuple[Passage, ...]:
        began = time.perf_counter()
        found = recall(db, chat_id, (question, ABOUT_NOTHING[story.language]), before, threshold=threshold)
        score.times_ms.append(1000 * (time.perf_counter() - began))
        return found

    for fact in story.facts:
        for question, exact in ((fact.exact, True), (fact.other, False)):
            _count(score, fact, asked(question), exact)
    for text in story.idle:
        score.idle += 1
        score.idle_told += bool(asked(text))


def _count(score: Score, fact: Fact, found: Sequence[Passage], exact: bool) -> None:
    facts = {one.ordinal: one for one in (fact, fact.corrected) if one is not None}
    right = [one.ordinal for one in found if one.ordinal in facts and facts[one.ordinal].answer in one.text]
    is_found = fact.newest.ordinal in right
    score.asked, score.found = score.asked + 1, score.found + is_found
    score.exact_asked, score.exact_found = score.exact_asked + exact, score.exact_found + (exact and is_found)
    score.told, score.right = score.told + len(found), score.right + len(right)
    if fact.corrected is not None:
        score.corrected_asked += 1
        score.newest_first += right[:1] == [fact.corrected.ordinal]


def measure(db: Database, seeds: Sequence[int], n_turns: int = 400, n_facts: int = 60) -> dict[str, Score]:
    """The memory test over these seeds."""
    person, scores = new_person(db), {}
    for language in ("en", "zh"):
        scores[language] = score = Score()
        for seed in seeds:
            story = tell(language, seed, n_turns, n_facts)
            chat = bring(db, person, (*story.messages, *story.messages[:20]))  # the last ones: inside the window
            ask_all(db, chat, story, score)
    return scores


def long_chat(db: Database, n_messages: int) -> Score:
    """Questions to a chat of so many messages, half of them English, half Chinese, and their times."""
    stories = [tell(language, 500 + seed) for seed in range(n_messages // 1600) for language in ("en", "zh")]
    messages = [message for story in stories for message in story.messages]
    n_more = max(0, n_messages - len(messages))
    chat = bring(db, new_person(db, "Lang"), (*messages, *messages[:n_more]))
    score = Score()
    for language in ("en", "zh"):
        asking = [story for story in stories if story.language == language]
        for story in asking[:3]:
            first = 800 * stories.index(story)
            placed = TestStory(language, tuple(messages), _moved(story.facts, first), story.idle)
            ask_all(db, chat, placed, score)
    return score


def _moved(facts: Sequence[Fact], by: int) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            one.said,
            one.answer,
            one.exact,
            one.other,
            one.ordinal + by,
            _moved((one.corrected,), by)[0] if one.corrected else None,
        )
        for one in facts
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="stories of each language")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--messages", type=int, default=LONG)
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = Database(options.database or f"sqlite:///{folder}/recall.db")
        db.migrate()
        scores = measure(db, range(options.first_seed, options.first_seed + options.seeds))
        scores["long"] = long_chat(db, options.messages)
        db.close()
    report = _report(scores, options.seeds, options.messages, "PostgreSQL" if options.database else "SQLite")
    if options.database:
        print(report)
    else:
        publish("recall", report)
    return 0 if _holds(scores) else 1


def _holds(scores: dict[str, Score]) -> bool:
    asked = [scores[language] for language in ("en", "zh")]
    good = all(score.exact >= EXACT and score.over_all >= ALL for score in asked)
    return good and p95(scores["long"].times_ms) <= LIMIT_MS


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def _report(scores: dict[str, Score], n_seeds: int, n_messages: int, database: str) -> str:
    names = {"en": "English", "zh": "Chinese", "long": f"{n_messages:,} messages, both languages"}
    head = ("stories", "exact names", "over all", "precision", "newest first", "idle", "median ms", "p95 ms")
    rows = [
        (
            names[name],
            f"{score.exact:.3f}",
            f"{score.over_all:.3f}",
            f"{score.precision:.3f}",
            f"{score.newest_first}/{score.corrected_asked}",
            f"{score.idle_told}/{score.idle}",
            f"{statistics.median(score.times_ms):.1f}",
            f"{p95(score.times_ms):.1f}",
        )
        for name, score in scores.items()
    ]
    about = (
        f"The memory test on {database}: {n_seeds} stories of each language with 400 turns and 60 facts, each asked "
        "for by name and in other words after all had left the window; recall@3. Precision: of all passages recalled. "
        "Newest first: questions about corrected facts whose newest form came first. Idle: messages that ask for "
        f"nothing and recalled something. {machine()}."
    )
    return f"{about}\n\n{table(head, rows)}"


if __name__ == "__main__":
    sys.exit(main())
