import json
import uuid

import pytest

from store import bundled, characters, chats, turns
from store.broker import warmup
from store.errors import NotFound, Refused
from store.models import Character
from store.turns import Reply, TurnCommand


def add_character(database, **fields):
    row = {"slug": None, "owner_id": None, "name": "X", "tagline": "", "card": {"name": "X"}, "avatar": "", **fields}
    row = {"rating": "everyone", "locale": "en", "created_at": 0.0, "id": uuid.uuid4().hex, **row}
    with database.session() as session:
        session.add(Character(**row))
    return row["id"]


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value.code


def test_six_characters_are_bundled(database, user):
    found = characters.list_characters(database, user)
    assert {character.slug for character in found} == {"changfeng", "mara", "odette", "tobias", "yanqiu", "zhiyuan"}
    assert sorted(character.locale for character in found) == ["en"] * 3 + ["zh"] * 3
    for character in found:
        card = character.card
        assert all(card[field] for field in ("name", "description", "personality", "scenario", "mes_example"))
        assert 1 <= len(card["alternate_greetings"]) <= 2
        assert json.loads(json.dumps(card)) == card
        assert characters.get_character(database, user, character.id) == character


def test_loading_them_again_changes_nothing_but_what_changed(database, user):
    before = characters.list_characters(database, user)
    with database.session() as session:
        session.get_one(Character, bundled.character_id("mara")).tagline = "old"
    database.migrate()
    assert characters.list_characters(database, user) == before


def test_ratings_and_owners_decide_who_sees_a_character(database, make_user):
    users = {role: make_user(role, role) for role in ("admin", "adult", "teen", "child")}
    ids = {rating: add_character(database, rating=rating) for rating in ("everyone", "teen", "adult")}
    mine = add_character(database, rating="everyone", owner_id=users["teen"].id)

    def sees(role):
        shown = {character.id for character in characters.list_characters(database, users[role])}
        return {rating for rating, character_id in ids.items() if character_id in shown} | shown & {mine}

    assert sees("child") == {"everyone"}
    assert sees("teen") == {"everyone", "teen", mine}
    assert sees("adult") == sees("admin") == {"everyone", "teen", "adult"}
    with pytest.raises(NotFound):
        characters.get_character(database, users["child"], ids["teen"])
    with pytest.raises(NotFound):
        chats.create_chat(database, users["child"].id, ids["adult"], "Kid")


def test_a_new_chat_starts_with_the_greeting_and_its_alternatives(database, user):
    card = {
        "name": "Mara Quill",
        "nickname": "Mara",
        "first_mes": "Hello {{user}}, I am {{char}}.",
        "alternate_greetings": ["<BOT> waves.", " {{//nothing}} "],
    }
    chat = chats.create_chat(database, user.id, add_character(database, name="Mara Quill", card=card), "Ada", now=5.0)
    (greeting,) = chats.transcript(database, chat.id)
    assert [a.text for a in greeting.alternatives] == ["Hello Ada, I am Mara.", "Mara waves."]
    assert (greeting.role, greeting.name, greeting.ordinal, greeting.turn_id) == ("character", "Mara Quill", 0, None)
    assert (chat.revision, chat.title, chat.created_at) == (1, "Mara Quill", 5.0)


def test_a_card_without_a_greeting_starts_empty(database, user):
    chat = chats.create_chat(database, user.id, add_character(database, card={"first_mes": "  "}), "Ada")
    assert chats.transcript(database, chat.id) == ()


def test_a_chat_belongs_to_its_owner(database, user, chat, make_user):
    stranger = make_user("Eve")
    message = chats.transcript(database, chat.id)[0]
    for call in (
        lambda: chats.get_chat(database, stranger.id, chat.id),
        lambda: chats.delete_chat(database, stranger.id, chat.id),
        lambda: chats.choose_alternative(database, stranger.id, message.id, 0, 1),
        lambda: turns.begin_turn(database, stranger.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi")).turn,
    ):
        with pytest.raises(NotFound):
            call()
    assert chats.list_chats(database, stranger.id) == ()
    assert chats.list_chats(database, user.id) == (chat,)


def test_chats_are_listed_by_last_use(database, user):
    ids = [chats.create_chat(database, user.id, bundled.character_id("mara"), "Ada", now=t).id for t in (1.0, 2.0)]
    assert [chat.id for chat in chats.list_chats(database, user.id)] == ids[::-1]
    turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, ids[0], "chat", 1, "hi"), now=3.0)
    assert [chat.id for chat in chats.list_chats(database, user.id)] == ids


def test_choosing_an_alternative(database, user, chat):
    (greeting,) = chats.transcript(database, chat.id)
    assert refusal(chats.choose_alternative, database, user.id, greeting.id, 1, 99) == "moved_on"
    assert refusal(chats.choose_alternative, database, user.id, greeting.id, 3, 1) == "no_such_alternative"
    assert refusal(chats.choose_alternative, database, user.id, greeting.id, -1, 1) == "no_such_alternative"
    chosen = chats.choose_alternative(database, user.id, greeting.id, 1, 1)
    assert (chosen.active, chosen.text, chosen.revision) == (1, greeting.alternatives[1].text, 2)
    assert chats.get_revision(database, chat.id) == 2
    assert chats.get_message(database, greeting.id).active == 1
    turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 2, "hi"))
    assert refusal(chats.choose_alternative, database, user.id, greeting.id, 0, 3) == "busy"
    assert refusal(chats.delete_chat, database, user.id, chat.id) == "busy"


def test_a_deleted_chat_is_gone(database, user, chat):
    chats.delete_chat(database, user.id, chat.id)
    assert chats.list_chats(database, user.id) == ()
    for call in (chats.get_chat, chats.delete_chat):
        with pytest.raises(NotFound):
            call(database, user.id, chat.id)
    with pytest.raises(NotFound):
        chats.load_story(database, chat.id)


def test_the_story_has_everything_a_worker_needs(database, user, chat):
    turn = turns.begin_turn(database, user.id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", 1, "hi {{char}}")).turn
    attempt = turns.claim(database, turn.id, "gpu0", 5).attempt
    turns.commit(database, turn.id, attempt, Reply("Hello", (1, 2, 3), "model", "stop", {"n": 3}), {"start": 7})
    story = chats.load_story(database, chat.id)
    assert story.chat.window == {"start": 7}
    assert "{{char}}" in story.character.card["description"]
    assert [message.text for message in story.messages[1:]] == [f"hi {story.character.name}", "Hello"]
    reply = story.messages[-1].chosen
    assert (reply.tokens, reply.model_key, reply.finish, reply.stats) == ((1, 2, 3), "model", "stop", {"n": 3})
    warmup.keep_window(database, chat.id, chats.get_revision(database, chat.id), {"start": 8})
    assert chats.get_chat(database, user.id, chat.id).window == {"start": 8}
    assert chats.get_revision(database, chat.id) == 3


def test_things_that_are_not_there(database):
    nothing = "0" * 32
    for call in (chats.get_revision, chats.get_message, turns.get_turn, turns.result_of):
        with pytest.raises(NotFound):
            call(database, nothing)
    assert not warmup.keep_window(database, nothing, 1, {})
    with pytest.raises(NotFound):
        turns.claim(database, nothing, "gpu0", 5)


def test_the_message_json(database, chat):
    message = chats.transcript(database, chat.id)[0].as_dict()
    assert set(message) == {
        "id",
        "ordinal",
        "role",
        "name",
        "active",
        "pinned",
        "alternatives",
        "turn_id",
        "created_at",
    }
    assert set(message["alternatives"][0]) == {"position", "text", "status"}
    json.dumps(message)
