"""What one person keeps in characters and lorebooks is bounded in bytes: lists and imports read all of it at once."""

import pytest
from sqlalchemy import event

from store import card_import, characters, chats, quotas
from store.errors import Refused
from store.lore import books

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
