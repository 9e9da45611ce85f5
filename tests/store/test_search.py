"""The search over a person's messages: what it finds, what it never shows, and how the index follows the stories."""

import pytest
from sqlalchemy import select, text, update

from store import accounts, chat_transfer, chats, edits, removal, search
from store.characters import list_characters
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.errors import NotFound, Refused
from store.messages import Reply, add_alternative
from store.models import Character, Chat, Message
from store.search import tables, terms
from store.search.excerpts import excerpt
from web.server.indexing import Indexing

STORY = (
    ("Ada", "I walked from the castles of the north to the tavern."),
    ("Mara", "The old blacksmith’s daughters were waiting, singing quietly."),
    ("Ada", "我们在客栈等老铁匠，他明天来。"),
    ("Mara", "老铁匠的儿子坐在客栈门口。"),
)


@pytest.fixture
def bring(database):
    """`bring(user, *texts)`: a chat with these texts, indexed."""

    def brought(user, *texts, created_at=1000.0, character=None):
        character = character or list_characters(database, user)[0]
        lines = [
            DocMessage("user", user.name, (DocAlternative(one, created_at + n),), created_at + n)
            for n, one in enumerate(texts)
        ]
        document = ChatDocument(
            character_name=character.name, user_name=user.name, messages=tuple(lines), created_at=created_at
        )
        chat = chat_transfer.import_chat(database, user.id, character.id, document)
        index_all(database)
        return chat

    return brought


def index_all(database):
    while search.index_some(database):
        pass


def told(database, user, query, chat_id=None):
    """The marked excerpts of a search, newest first."""
    hits = search.find(database, user.id, query, chat_id).hits
    return ["".join(f"[{piece}]" if marked else piece for piece, marked in hit.excerpt) for hit in hits]


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("castle", "I walked from the [castles] of the north to the tavern."),
        ("WALKING Castle", "I [walked] from the [castles] of the north to the tavern."),
        ("daughter wait sings", "The old blacksmith’s [daughters] were [waiting], [singing] quietly."),
        ("blacksmith", "The old [blacksmith’s] daughters were waiting, singing quietly."),
        ('"the north to"', "I walked from the castles of [the north to] the tavern."),
        ("ｃａｓｔｌｅ", "I walked from the [castles] of the north to the tavern."),
        ("明天", "我们在客栈等老铁匠，他[明天]来。"),
        ("儿子 客栈", "老铁匠的[儿子]坐在[客栈]门口。"),
        ("来", "我们在客栈等老铁匠，他明天[来]。"),
        ("“老铁匠的”", "[老铁匠的]儿子坐在客栈门口。"),
    ],
)
def test_words_are_found_by_their_stems_and_chinese_by_any_piece(database, user, bring, query, marked):
    bring(user, *(line for _, line in STORY))
    assert told(database, user, query) == [marked]


@pytest.mark.parametrize(("query", "n"), [("客栈", 2), ("老铁匠", 2), ("铁匠", 2), ("匠", 2), ("铁", 2), ("老", 2)])
def test_the_inn_and_the_old_blacksmith_are_found(database, user, bring, query, n):
    bring(user, *(line for _, line in STORY))
    assert len(told(database, user, query)) == n


@pytest.mark.parametrize(
    "query",
    ["dragon", "castle dragon", '"north the"', "铁老", "客铁匠", "老铁匠儿子", "", "  ", "?!", '"', "o" + "0" * 32],
)
def test_what_is_not_there_is_not_found(database, user, bring, query):
    bring(user, *(line for _, line in STORY))
    assert told(database, user, query) == []


@pytest.mark.parametrize(
    "query",
    [
        'a" OR words : b',
        "NEAR(a b)",
        "-castle",
        "castle*",
        "^castle",
        "'castle' & !x",
        "castle:*",
        "\\",
        "a'b",
        "\0",
        "x" * 9999,
    ],
)
def test_signs_of_query_languages_mean_nothing(database, user, bring, query):
    bring(user, "castle a b words or near x")
    search.find(database, user.id, query)


def test_nobody_finds_what_is_somebody_elses(database, user, make_user, bring):
    chat, bob = bring(user, "a secret lantern"), make_user("Bob")
    bring(bob, "a lantern of my own")
    assert told(database, bob, "lantern") == ["a [lantern] of my own"]
    assert told(database, bob, f"o{user.id} lantern") == []
    with pytest.raises(NotFound):
        search.find(database, bob.id, "lantern", chat.id)


def test_one_story_alone_is_searched(database, user, bring):
    first, second = bring(user, "a lantern in the hall"), bring(user, "a lantern in the yard", created_at=2000.0)
    assert told(database, user, "lantern", first.id) == ["a [lantern] in the hall"]
    assert told(database, user, "lantern") == ["a [lantern] in the yard", "a [lantern] in the hall"]
    hit = search.find(database, user.id, "lantern", second.id).hits[0]
    assert (hit.chat_id, hit.ordinal, hit.message_id) == (second.id, 0, chats.transcript(database, second.id)[0].id)


def test_a_story_above_ones_age_is_not_searched(database, make_user, bring):
    teen = make_user("Tim", "teen")
    chat = bring(teen, "a lantern")
    with database.session() as session:
        session.get_one(Character, chat.character_id).rating = "adult"
    assert told(database, teen, "lantern") == []
    with pytest.raises(Refused, match="not_for_you"):
        search.find(database, teen.id, "lantern", chat.id)


def test_the_index_follows_an_edit_a_delete_and_an_undo(database, user, bring):
    chat = bring(user, "a lantern")
    (message,) = chats.transcript(database, chat.id)
    changed = edits.edit_message(database, user.id, message.id, "a candle", chat.revision)
    assert told(database, user, "lantern") == []  # at once
    index_all(database)
    assert (told(database, user, "lantern"), told(database, user, "candle")) == ([], ["a [candle]"])
    revision = edits.delete_message(database, user.id, message.id, changed.revision)
    assert told(database, user, "candle") == []
    edits.restore_message(database, user.id, message.id, revision)
    assert told(database, user, "candle") == ["a [candle]"]


def test_the_index_follows_the_chosen_alternative(database, user, chat):
    (greeting,) = chats.transcript(database, chat.id)
    with database.session() as session:
        row = session.get_one(Message, greeting.id)
        position = add_alternative(session, row, Reply("a purple kettle"), None, 1.0)
    index_all(database)
    assert told(database, user, "kettle") == []
    chats.choose_alternative(database, user.id, greeting.id, position, 1)
    index_all(database)
    assert told(database, user, "kettle") == ["a purple [kettle]"]


def test_a_branch_is_searched_too_and_a_deleted_story_is_not(database, user, bring):
    chat = bring(user, "a lantern")
    copy = edits.branch(database, user.id, chats.transcript(database, chat.id)[0].id)
    index_all(database)
    assert len(told(database, user, "lantern")) == 2
    chats.delete_chat(database, user.id, copy.id)
    assert [hit.chat_id for hit in search.find(database, user.id, "lantern").hits] == [chat.id]


def words_left(database):
    with database.reading() as session:
        counts = [
            session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("search_entries", "search_words")
        ]
    return counts


def test_what_is_removed_for_good_leaves_no_words(database, user, make_user, bring):
    chat = bring(user, "a lantern", "and a candle")
    bring(make_user("Bob"), "a boat")
    chats.delete_chat(database, user.id, chat.id, now=1.0)
    removal.remove_deleted(database, now=removal.KEEP_S + 2)
    assert words_left(database) == [1, 1]
    bring(user, "a second lantern")
    accounts.delete_account(database, user.id)
    removal.remove_deleted(database)
    assert words_left(database) == [1, 1]


def test_a_text_that_changes_while_it_is_indexed_is_not_lost(database, user, bring, monkeypatch):
    """The edit comes between reading and writing: what was read is not written, and the message still waits."""
    chat = bring(user, "a lantern")
    (message,) = chats.transcript(database, chat.id)
    with database.session() as session:
        session.execute(update(Message).values(indexed=False))
    entry_of = search.index._entry

    def edit_then(*row):
        monkeypatch.setattr(search.index, "_entry", entry_of)
        edits.edit_message(database, user.id, message.id, "a candle", chat.revision)
        return entry_of(*row)

    monkeypatch.setattr(search.index, "_entry", edit_then)
    search.index_some(database)
    index_all(database)
    assert (told(database, user, "lantern"), told(database, user, "candle")) == ([], ["a [candle]"])


def test_all_pages_of_a_search_together_have_every_hit_once(database, user, bring):
    chat = bring(user, *(f"lantern {n}" for n in range(150)))
    deleted = [message.id for message in chats.transcript(database, chat.id)][40:110]
    with database.session() as session:
        session.execute(update(Message).where(Message.id.in_(deleted)).values(deleted_at=5.0))
    seen, before = [], None
    while True:
        found = search.find(database, user.id, "lantern", before=before)
        seen += [hit.ordinal for hit in found.hits]
        if found.before is None:
            break
        before = found.before
    assert seen == [n for n in range(149, -1, -1) if not 40 <= n < 110]


def test_a_long_text_is_indexed_up_to_a_bound(database, user, bring):
    bring(user, "lantern " + "word " * terms.MAX_TERMS + "candle")
    assert told(database, user, "lantern")
    assert not told(database, user, "candle")


def test_an_entry_without_a_word_is_kept_and_waits_no_more(database, user, bring):
    bring(user, "… !?")
    with database.reading() as session:
        assert not session.scalar(select(Message.id).where(Message.indexed.is_(False), Message.role == "user"))


def test_an_excerpt_shows_the_first_place_and_says_what_is_left_out():
    words = f"{'far ' * 40}before the lantern behind {'away ' * 60}"
    place = words.index("lantern")
    pieces = excerpt(words, [(place, place + 7)])
    assert pieces[0] == ("…", False)
    assert pieces[-1] == ("…", False)
    assert ("lantern", True) in pieces
    assert len("".join(piece for piece, _ in pieces)) < 200


def test_the_derived_tables_are_those_of_the_index():
    assert all(tables.is_derived(name) for name in ("search_entries", "search_words", "search_words_data"))
    assert not any(tables.is_derived(table) for table in Chat.metadata.tables)


def test_the_thread_of_a_web_process_indexes_what_waits_and_what_an_old_database_has(database, user, bring, redis):
    chat = bring(user, *(f"lantern {n}" for n in range(450)))
    with database.session() as session:
        session.execute(update(Message).values(indexed=False))
        session.execute(text("DELETE FROM search_words"))
        session.execute(text("DELETE FROM search_entries"))
    Indexing(database, redis).run_once()
    assert len(search.find(database, user.id, "lantern", chat.id, most=1000).hits) == 450


def test_whoever_waits_is_found_by_an_index(database):
    """The question is asked every other second: it must not read all messages."""
    with database.reading() as session:
        options = {"compile_kwargs": {"literal_binds": True}}
        waiting = search.index._waiting().order_by(Message.created_at).limit(5).compile(session.get_bind(), **options)
        if session.get_bind().dialect.name == "sqlite":
            plan = [row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {waiting}"))]
            assert plan[0] == "SCAN messages USING INDEX ix_messages_waiting"
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # it reads a table as small as this one whole
            plan = [row[0] for row in session.execute(text(f"EXPLAIN {waiting}"))]
            assert any("ix_messages_waiting" in line for line in plan), plan


ENDLESS = " ".join(f"{chr(0xFDFA) * 5}{chr(0xAC00 + n % 11_000)}{n}" for n in range(20_000))


LONG_WORDS = " ".join(f"{'ж' * 58}{n:05d}" for n in range(20_000))


@pytest.mark.parametrize("words", [ENDLESS, LONG_WORDS, ENDLESS.replace(" ", ""), "客" * 90_000, "é" * 200_000])
def test_the_terms_of_one_message_have_room_in_postgresql(words):
    """A text vector holds 1 MB and words of 2 KB; a message that does not fit kept all others out of the index."""
    found = [term.word.encode() for term in terms.terms_of(words)]
    assert sum(len(word) + 5 for word in found) < 1 << 20
    assert max(map(len, found)) < 2046


def test_a_message_of_endless_words_is_indexed_with_the_others(database, user, bring):
    bring(user, f"lantern {ENDLESS[:200_000]}", "another lantern")
    assert len(told(database, user, "lantern")) == 2


@pytest.mark.parametrize("query", ["x" * 50, "客栈里的老铁匠" * 7, "\u200b", "dragon", "“”", '"'])
def test_no_story_has_a_title_with_words_that_are_not_in_it(database, user, bring, query):
    bring(user, "First.")
    assert search.titles(database, user.id, query) == ()


@pytest.mark.parametrize("query", ["mara", "“Mara Quill”", "ＱＵＩＬＬ"])
def test_a_story_is_found_by_its_title(database, user, bring, query):
    chat = bring(user, "First.", character=next(one for one in list_characters(database, user) if one.slug == "mara"))
    assert [one.id for one in search.titles(database, user.id, query)] == [chat.id]
