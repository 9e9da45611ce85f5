"""Real databases that older versions wrote: each opens, and everything that people had is there.

Beside each `version_N.db.gz` a `version_N.json` says what its own version read in it: people, stories, every text.
To add one when a version has landed: let its code write a small database with all that it can keep, and what it reads.
"""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from store import accounts, characters, chats, personas, turns
from store.db import Database
from store.lore import books
from store.presets import own_presets
from store.sharing import wishes
from store.shelf import reading
from store.turns import Outcome, Reply, TurnCommand

OLD = Path(__file__).parent / "old_databases"
FILES = sorted(path.name.removesuffix(".db.gz") for path in OLD.glob("*.db.gz"))
NEW_TURN = "0" * 31 + "1"


@pytest.fixture(params=FILES)
def old(request, tmp_path):
    """(the database, opened by this version; what the old one read in it)."""
    path = tmp_path / "inglenook.db"
    with gzip.open(OLD / f"{request.param}.db.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    database = Database(f"sqlite:///{path}")
    database.migrate()
    yield database, json.loads((OLD / f"{request.param}.json").read_text(encoding="utf-8"))
    database.close()


def stories_of(database, user):
    """Title, author's note, revision and messages of each story."""
    for chat in chats.list_chats(database, user.id):
        messages = chats.transcript(database, chat.id)
        texts = [[m.role, m.name, m.pinned, m.active, [one.text for one in m.alternatives]] for m in messages]
        yield [chat.title, chats.get_chat(database, user.id, chat.id).author_note, chat.revision, texts]


def test_there_is_one_of_the_version_before_the_memory_of_stories():
    assert {"version_0006", "version_0019"} <= set(FILES)


def test_everything_that_people_had_is_there(old):
    database, expected = old
    for name, then in expected.items():
        user = accounts.find_user(database, name)
        assert user.role == then["role"]
        assert sorted(stories_of(database, user), key=str) == then["stories"]


def test_what_belongs_to_people_is_there(old):
    """Characters, lorebooks, personas, presets, wishes, what is on the shelf."""
    database, expected = old
    for name, then in expected.items():
        belongings = belongings_of(database, accounts.find_user(database, name))
        assert {kind: belongings[kind] for kind in then.get("belongings", {})} == then.get("belongings", {})


def belongings_of(database, user):
    """What this version reads of a person's things, in the words of the JSON beside an old database."""
    own = [one for one in characters.list_characters(database, user) if one.owner_id]
    return {
        "characters": [[one.name, one.tagline, one.rating, one.shared, bool(one.avatar)] for one in own],
        "lorebooks": [[one.name, one.data, one.shared] for one in books.list_books(database, user.id)],
        "personas": [[p.name, p.description, bool(p.avatar)] for p in personas.list_personas(database, user.id)],
        "presets": [[one.name, one.settings] for one in own_presets.list_presets(database, user.id)],
        "wishes": [[one.text, one.state] for one in wishes.list_own(database, user)],
        "model_files": [[one.name, one.state] for one in reading.list_files(database)],
    }


def test_an_old_story_has_no_notes_and_both_switches_are_on(old):
    database, expected = old
    for name in expected:
        for chat in chats.list_chats(database, accounts.find_user(database, name).id):
            assert (chats.load_story(database, chat.id).notes, chat.memory) == ((), {})


def test_a_turn_that_waited_then_is_done_now_and_the_story_goes_on(old):
    database, _ = old
    (waiting,) = turns.unfinished(database)
    claim = turns.claim(database, waiting.id, "gpu0", 60)
    turns.commit(database, waiting.id, claim.attempt, Outcome((Reply("I am here."),)))
    revision = chats.get_revision(database, waiting.chat_id)
    turns.begin_turn(database, waiting.owner_id, TurnCommand(NEW_TURN, waiting.chat_id, "chat", revision, "Good."))
    said = [message.text for message in chats.transcript(database, waiting.chat_id)]
    assert said[-3:] == ["Are you there?", "I am here.", "Good."]


def test_what_is_kept_is_counted_for_the_quotas(old):
    """The counters of a migrated database are those of one that was written by this version."""
    database, _ = old
    with database.reading() as session:
        counted = session.connection().exec_driver_sql("SELECT name, stored_messages, stored_bytes FROM users").all()
        real = session.connection().exec_driver_sql(
            "SELECT u.name, count(m.id) FROM users u JOIN chats c ON c.owner_id = u.id JOIN messages m "
            "ON m.chat_id = c.id GROUP BY u.name"
        )
        assert {name: n for name, n, _ in counted if n} == dict(tuple(row) for row in real)
    assert all((n_bytes > 0) == (n > 0) for _, n, n_bytes in counted)
