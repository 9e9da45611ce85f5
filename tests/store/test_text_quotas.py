"""What one person keeps in characters and lorebooks is bounded in bytes: lists and imports read all of it at once."""

import pytest
from sqlalchemy import event

from store import card_import, characters, chats, quotas
from store.errors import Refused
from store.lore import books
from store.models import Character

BIG = "x" * 900_000


@pytest.fixture
def small(monkeypatch):
    """A quota that three cards of a megabyte fill."""
    monkeypatch.setattr(quotas, "MAX_JSON_MB", 3)


def test_characters_together(database, user, small):
    for n in range(3):
        last = characters.save_character(database, user, {"name": f"Mo {n}", "description": BIG})
    with pytest.raises(Refused) as refused:
        characters.save_character(database, user, {"name": "Mo", "description": BIG})
    assert refused.value.reason == "quota.characters_mb"
    characters.save_character(database, user, {"name": "Moon", "description": BIG}, character_id=last.id)
    with pytest.raises(Refused):
        books.change_own_book(database, user.id, last.id, {"entries": [{"keys": [], "content": BIG + BIG}]})
    characters.delete_character(database, user, last.id)
    characters.save_character(database, user, {"name": "Mo", "description": BIG})


def test_lorebooks_together(database, user, make_user, small):
    data = {"name": "Book", "entries": [{"keys": ["a"], "content": BIG}]}
    for _ in range(3):
        last = books.add_book(database, user.id, data)
    with pytest.raises(Refused) as refused:
        books.add_book(database, user.id, data)
    assert refused.value.reason == "quota.books_mb"
    books.add_book(database, make_user("Bea").id, data)
    books.change_book(database, user.id, last.id, data={**data, "name": "Other"}, name="Other")
    with pytest.raises(Refused):
        books.change_book(database, user.id, last.id, data={"entries": [{"content": BIG + BIG}]})


def test_no_write_transaction_measures_what_a_person_has(database, user):
    """A sum over 24 MB of cards takes 15 to 30 ms, in which nobody else can write."""
    known = characters.save_character(database, user, {"name": "Mo"})
    book = books.add_book(database, user.id, {"name": "Book", "entries": []})
    writing, measured = [False], []

    @event.listens_for(database._engine, "before_cursor_execute")
    def look(_c, _cursor, statement, *_):
        writing[0] = statement.startswith("BEGIN IMMEDIATE") or (writing[0] and not statement.startswith("BEGIN"))
        if "CAST(" in statement and writing[0]:
            measured.append(statement)

    characters.save_character(database, user, {"name": "Mo the second"})
    characters.save_character(database, user, {"name": "Moon"}, character_id=known.id)
    books.add_book(database, user.id, {"name": "Book", "entries": []})
    books.change_book(database, user.id, book.id, data={"entries": []})
    books.change_own_book(database, user.id, known.id, {"entries": []})
    assert measured == []


def test_what_has_come_since_it_was_measured_counts(database, user, small):
    for n in range(3):
        characters.save_character(database, user, {"name": f"Mo {n}", "description": BIG})
    with database.reading() as session:
        known = quotas.json_sizes(session, user.id, Character)
        (gone, *_), stale = known, dict(list(known.items())[:1])
    with database.session() as session:
        with pytest.raises(Refused):
            quotas.refuse_larger(session, user.id, Character, len(BIG), stale)
        quotas.refuse_larger(session, user.id, Character, len(BIG), stale, gone)
    characters.delete_character(database, user, gone)
    with database.session() as session:
        quotas.refuse_larger(session, user.id, Character, len(BIG), known)


def test_a_list_of_stories_reads_no_cards(database, user, chat):
    statements = []
    listen = event.listens_for(database._engine, "before_cursor_execute")
    listen(lambda _c, _cursor, statement, *_: statements.append(statement))
    assert [one.character_name for one in chats.list_chats(database, user.id)] == [chat.character_name]
    assert not any("card" in statement for statement in statements)


def test_an_import_looks_at_a_bounded_number_of_hidden_characters(database, user):
    card = {"name": "Mo", "description": "x", "_inglenook": {"digest": "d"}}
    for n in range(card_import.MAX_HIDDEN + 5):
        made = characters.save_character(database, user, card | {"creator": str(n)})
        characters.delete_character(database, user, made.id, now=float(n))
    with database.reading() as session:
        assert len(card_import._soft_deleted(session, user.id)) == card_import.MAX_HIDDEN
