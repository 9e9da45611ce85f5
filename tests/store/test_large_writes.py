"""Large changes go in short transactions that give way to others; until they are complete nobody sees them."""

from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, event, func, select

from store import (
    accounts,
    batches,
    characters,
    chat_transfer,
    chats,
    edits,
    personas,
    quotas,
    removal,
    sign_ins,
    turns,
    usage,
)
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from store.errors import Refused
from store.lore import books
from store.models import Alternative, Chat, Message, Turn, User
from store.presets import own_presets
from store.quotas import Quota

N, N_ALTERNATIVES = 1_200, 3


def document(n=N, n_alternatives=N_ALTERNATIVES, text="Line"):
    said = tuple(
        DocMessage(
            ("character", "user")[i % 2],
            ("Mo", "Ada")[i % 2],
            tuple(DocAlternative(f"{text} {i}.{k}", 1.0 + i) for k in range(n_alternatives)),
            1.0 + i,
            active=n_alternatives - 1,
            extras={"line": i} if i % 100 == 0 else None,
        )
        for i in range(n)
    )
    return ChatDocument("", "Ada", said, 1.0)


@pytest.fixture
def bring(database, user):
    def bring(of=None, **options):
        character = characters.list_characters(database, user)[0]
        return chat_transfer.import_chat(database, user.id, character.id, of or document(), **options)

    return bring


@pytest.fixture
def written(database):
    """The rows that each transaction has inserted or deleted, in the order of the transactions."""
    rows: list[int] = []

    def begun(connection):
        rows.append(0)

    def executed(_connection, cursor, statement, _parameters, _context, _many):
        if statement.lstrip().startswith(("INSERT", "DELETE")):
            rows[-1] += max(0, cursor.rowcount)

    event.listen(Engine, "begin", begun)
    event.listen(Engine, "after_cursor_execute", executed)
    yield rows
    event.remove(Engine, "begin", begun)
    event.remove(Engine, "after_cursor_execute", executed)


def last_message(database, chat):
    return chats.transcript(database, chat.id)[-1].id


def counted(database, user):
    """What the counters of the quota say, and what is there: messages and bytes."""
    with database.reading() as session:
        row = session.get_one(User, user.id)
        extras = session.scalar(select(func.sum(quotas.json_bytes(session, Message.extras)))) or 0
        counters = row.stored_messages, row.stored_bytes - extras
    there = usage.stored_per_person(database)[user.id]
    return counters, (there.messages, there.text_bytes + there.token_bytes)


def told(messages):
    return [(m.ordinal, m.role, m.active, m.created_at, [one.text for one in m.alternatives]) for m in messages]


def test_no_transaction_of_an_import_a_branch_or_a_removal_writes_many_rows(database, user, bring, written):
    chat = bring()
    branch = edits.branch(database, user.id, last_message(database, chat))
    assert told(chats.transcript(database, branch.id)) == told(chats.transcript(database, chat.id))
    chats.delete_chat(database, user.id, chat.id)
    removal.remove_deleted(database, keep_s=0.0)
    accounts.delete_account(database, user.id)
    assert sum(written) > 4 * N * (1 + N_ALTERNATIVES)
    assert max(written) <= 2 * batches.ROWS


def test_long_texts_are_fewer_in_a_transaction(database, user, bring, written):
    chat = bring(document(60, 1, "x" * 100_000))
    del written[:]
    edits.branch(database, user.id, last_message(database, chat))
    assert max(written) <= 60 + 12
    assert sum(rows > 0 for rows in written) >= 5


@pytest.fixture
def between(monkeypatch):
    """`between(action)`: done in every pause of a large change; no pause lasts."""

    def install(action):
        now = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _seconds: action())
        monkeypatch.setattr(batches, "time", now)

    return install


def test_others_write_between_two_batches_and_see_nothing_of_it(database, user, bring, make_user, make_chat, between):
    chat, hers = bring(), make_chat(make_user("Bo"))
    seen = []

    def look():
        command = turns.TurnCommand(f"{len(seen):032x}", hers.id, "chat", chats.get_revision(database, hers.id), "hi")
        turns.cancel(database, turns.begin_turn(database, hers.owner_id, command).turn.id)
        seen.append(len(chats.list_chats(database, user.id)))

    between(look)
    edits.branch(database, user.id, last_message(database, chat))
    assert len(seen) > 1
    assert set(seen) == {1}
    assert len(chats.list_chats(database, user.id)) == 2


def interrupt():
    raise KeyboardInterrupt


def test_what_an_interrupted_branch_left_is_removed(database, user, bring, between):
    chat = bring()
    between(interrupt)
    with pytest.raises(KeyboardInterrupt):
        edits.branch(database, user.id, last_message(database, chat))
    assert [one.id for one in chats.list_chats(database, user.id)] == [chat.id]
    between(lambda: None)
    assert removal.remove_deleted(database) == (), "somebody may be writing it still"
    with database.session() as session:
        half = session.scalars(select(Chat).where(Chat.deleted_at == removal.BUILDING)).one()
        half.updated_at -= 2 * removal.INTERRUPTED_AFTER_S
    assert removal.remove_deleted(database) == (half.id,)
    with database.reading() as session:
        assert session.get(Chat, half.id) is None
        assert session.scalar(select(func.count(Message.id))) == N
    assert counted(database, user)[0] == counted(database, user)[1]


def test_a_deletion_of_an_account_that_was_interrupted_goes_on(database, make_user, user, bring, between):
    bring()
    between(interrupt)
    with pytest.raises(KeyboardInterrupt):
        accounts.delete_account(database, user.id)
    assert accounts.get_user(database, user.id) is None
    assert accounts.find_user(database, "Ada") is None
    assert accounts.list_users(database) == ()
    assert user.id not in sign_ins.read_sign_ins(database).people
    make_user("Ada")  # the name is free
    between(lambda: None)
    assert removal.remove_deleted(database) == (user.id,)
    with database.reading() as session:
        for table in (Chat, Message, Alternative, Turn):
            assert session.scalar(select(func.count(table.id))) == 0
        assert session.get(User, user.id) is None


def test_a_deleted_story_is_kept_for_a_while_and_its_turns_as_numbers(database, user, chat):
    turn = turns.begin_turn(database, user.id, turns.TurnCommand("a" * 32, chat.id, "narrate", 1, "a hint")).turn
    claim = turns.claim(database, turn.id, "gpu0", 60.0)
    turns.commit(database, turn.id, claim.attempt, turns.Reply("Secret"))
    chats.delete_chat(database, user.id, chat.id)
    assert removal.remove_deleted(database) == ()
    assert removal.remove_deleted(database, keep_s=0.0) == (chat.id,)
    assert removal.remove_deleted(database, keep_s=0.0) == ()
    with database.reading() as session:
        assert session.scalar(select(func.count(Alternative.id))) == 0
        row = session.get_one(Turn, turn.id)
        assert (row.params, row.result, row.reply_message_id) == ({}, {}, None)
        assert row.ended_at is not None
        assert session.get_one(Chat, chat.id).title == ""
    assert counted(database, user)[0] == (0, 0)


def test_the_counters_are_right_after_everything_that_writes(database, user, chat):
    def say(kind, text=""):
        revision = chats.get_revision(database, chat.id)
        command = turns.TurnCommand(f"{revision:032x}", chat.id, kind, revision, text)
        turn = turns.begin_turn(database, user.id, command).turn
        return turn.id, turns.claim(database, turn.id, "gpu0", 60.0).attempt

    turns.commit(database, *say("chat", "héllo"), turns.Reply("One", (1, 2, 3)))
    turns.commit(database, *say("retry"), turns.Reply("Another 火", (1,)))
    turns.commit(database, *say("continue"), turns.Reply("Another 火, longer", (1, 4, 5), grows=True))
    turns.cancel(database, *say("chat", "more"), turns.Reply("Brok"))
    mine = chats.transcript(database, chat.id)[1]
    edits.edit_message(database, user.id, mine.id, "hi", chats.get_revision(database, chat.id))
    edits.branch(database, user.id, last_message(database, chat))
    edits.start_over(database, user.id, chat.id)
    edits.delete_message(database, user.id, mine.id, chats.get_revision(database, chat.id))
    counters, there = counted(database, user)
    assert counters == there
    assert there[0] >= 9


def reason(call, *arguments, **options):
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.reason


@pytest.mark.parametrize("quota", [Quota(stories=1), Quota(messages=1)])
def test_a_quota_is_refused_wherever_a_story_is_made(database, user, chat, bring, quota):
    mine = last_message(database, chat)
    character = characters.list_characters(database, user)[0].id
    refused = {
        reason(edits.branch, database, user.id, mine, quota=quota),
        reason(chats.create_chat, database, user.id, character, "Ada", quota=quota),
        reason(edits.start_over, database, user.id, chat.id, quota=quota),
        reason(bring, document(3, 1), quota=quota),
    }
    assert refused == {"quota.stories" if quota.stories == 1 else "quota.messages"}
    assert len(chats.list_chats(database, user.id)) == 1, "nothing of it is left"
    assert counted(database, user)[0] == counted(database, user)[1]


def test_a_quota_is_refused_to_messages_and_pictures(database, user, chat, bring):
    command = turns.TurnCommand("a" * 32, chat.id, "chat", 1, "hi")
    assert reason(turns.begin_turn, database, user.id, command, quota=Quota(messages=1)) == "quota.messages"
    large = document(60, 1, "x" * 100_000)
    assert reason(bring, large, quota=Quota(megabytes=1)) == "quota.megabytes"
    assert len(chats.list_chats(database, user.id)) == 1, "nothing of it is left"
    assert counted(database, user)[0] == counted(database, user)[1]
    bring(large, quota=Quota(0, 0, 0))
    assert reason(turns.begin_turn, database, user.id, command, quota=Quota(megabytes=1)) == "quota.megabytes"
    new = (database, user, {"name": "Mo"})
    picture = b"\x89PNG\r\n\x1a\n" + b"0" * 20
    assert reason(characters.save_character, *new, picture=picture, quota=Quota(megabytes=1)) == "quota.megabytes"


def test_whoever_is_full_gets_room_again_by_deleting(database, user, bring):
    chat = bring(document(60, 1))
    chats.delete_chat(database, user.id, chat.id)
    assert removal.remove_deleted(database, quota=Quota(messages=1_000)) == ()
    assert removal.remove_deleted(database, quota=Quota(messages=61)) == (chat.id,)


def test_lists_that_had_no_end_have_one(database, user, monkeypatch):
    monkeypatch.setattr(quotas, "MOST", dict.fromkeys(quotas.MOST, 1))
    personas.save_persona(database, user.id, "Captain", "")
    books.add_book(database, user.id, {"name": "Sea", "entries": []})
    characters.save_character(database, user, {"name": "Mo"})
    assert reason(personas.save_persona, database, user.id, "Pilot", "") == "quota.personas"
    own_presets.save_preset(database, user.id, "Rain", {})
    assert reason(own_presets.save_preset, database, user.id, "Sun", {}) == "quota.presets"
    own_presets.save_preset(database, user.id, "Rain", {"top_k": 3})
    assert reason(books.add_book, database, user.id, {"name": "Sky", "entries": []}) == "quota.books"
    assert reason(characters.save_character, database, user, {"name": "Jo"}) == "too_many_characters"


def test_removing_messages_reads_no_turns_of_others(database):
    """Without an index every removed message would look through all turns for one that points at it."""
    columns = ("user_message_id", "reply_message_id", "chat_id")
    if database.file is not None:
        with database.snapshot() as connection:
            plans = [
                connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT 1 FROM turns WHERE {c} = 'x'") for c in columns
            ]
            assert all("USING COVERING INDEX" in str(plan.all()) for plan in plans)
