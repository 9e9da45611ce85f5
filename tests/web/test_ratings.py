"""A story of somebody whom its owner may not see (any more): every command and every route; and its way back."""

import json

import pytest
from scripted_worker import new_turn
from test_access import CHAT, ROUTES, ask, routes
from test_live_foreign import TRIES, noted

from store import accounts, characters, chats, edits, export, turns
from store.errors import NotFound, Refused
from store.lore import books
from store.memory import notes
from store.turns import Outcome
from web.live.commands import COMMANDS
from web.live.protocol.to_server import DeletePreset, StopTurn

NOT_OF_A_STORY = (StopTurn, DeletePreset)


@pytest.fixture
def kim(site):
    return site.browser().sign_up(site.invite(), "Kim")


@pytest.fixture
def noir(site, kim, tale):
    """A story that Kim began as an adult, with something in it that was deleted, and a turn that has ended."""
    who = accounts.find_user(site.database, "Kim")
    character = characters.save_character(site.database, who, {"name": "Noir", "first_mes": "Hm."}, rating="adult")
    chat = chats.create_chat(site.database, who.id, character.id, "Kim").id
    said = turns.begin_turn(site.database, who.id, turns.TurnCommand(new_turn(), chat, "chat", 1, "A secret"))
    tale.claim(said.turn.id)
    tale.tell("Indeed.")
    tale.finish()
    edits.delete_message(site.database, who.id, said.message.id, 3)
    greeting = chats.transcript(site.database, chat)[0].id
    note, lost = (noted(site.database, chat, 4) for _ in range(2))
    _, revision = notes.delete_note(site.database, who.id, lost, 4)
    return {
        "chat": chat,
        "turn": said.turn.id,
        "message": greeting,
        "deleted": said.message.id,
        "note": note,
        "lost": lost,
        "revision": revision,
        "user": who,
        "character": character,
    }


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if TRIES[one] and one not in NOT_OF_A_STORY], ids=lambda one: one.__name__
)
def test_every_command_is_refused_with_a_sentence_and_changes_nothing(site, kim, noir, command):
    before = chats.load_story(site.database, noir["chat"])
    accounts.set_role(site.database, noir["user"].id, "teen")
    tab = kim.socket()
    tab.send(**TRIES[command](noir))
    refused = tab.wait("refused")
    assert refused["error"]["code"] == "not_for_you"
    assert "not for your age" in refused["error"]["message"]
    tab.send(type="ping")
    tab.wait("pong")
    assert "Indeed" not in str(tab.seen)
    assert chats.load_story(site.database, noir["chat"]) == before


def test_every_route_of_a_story_is_refused_and_the_story_comes_back(site, kim, noir):
    accounts.set_role(site.database, noir["user"].id, "child")
    values = {"chat_id": noir["chat"], "ending": "json"}
    mine = {key: rule for key, rule in routes(site.app).items() if ROUTES[key] == CHAT}
    found = {key: ask(site, kim, rule, key[1], values) for key, rule in mine.items()}
    assert found.pop(("home.rename_chat", "POST")).status_code == 302
    codes = {key: (answer.status_code, answer.json()["error"]["code"]) for key, answer in found.items()}
    assert set(codes.values()) == {(409, "not_for_you")}, codes
    assert "Noir" not in kim.get("/").text + kim.get("/chats").text
    data = kim.get("/settings/data").json()
    assert "Indeed" not in json.dumps(data)
    assert "Noir" not in json.dumps(data)
    assert data["withheld"] == {"characters": 1, "lorebooks": 0, "chats": 1}
    accounts.set_role(site.database, noir["user"].id, "adult")
    assert kim.get(f"/chat/{noir['chat']}").status_code == 200
    assert "Noir" in kim.get("/chats").text, "and nobody has renamed it"


def test_an_open_tab_is_closed_when_the_role_changes(site, kim, noir, tale):
    tab = kim.socket()
    tab.open(noir["chat"])
    accounts.set_role(site.database, noir["user"].id, "teen")
    with pytest.raises(ConnectionError, match="1008"):
        tab.wait("nothing of this kind")
    again = kim.socket()
    again.send(type="open", chat=noir["chat"], turn=None, after=0)
    assert again.wait("refused")["error"]["code"] == "not_for_you"


def test_a_child_cannot_rate_its_own_character_anew(database, make_user):
    kim = make_user("Kim")
    noir = characters.save_character(database, kim, {"name": "Noir"}, rating="adult")
    child = accounts.set_role(database, kim.id, "child")
    for change in (
        lambda: characters.save_character(database, child, {"name": "Noir"}, character_id=noir.id),
        lambda: characters.delete_character(database, child, noir.id),
        lambda: books.change_own_book(database, child.id, noir.id, {"entries": []}),
    ):
        with pytest.raises(NotFound):
            change()


def test_a_turn_that_was_begun_before_ends_and_can_be_stopped(database, make_user):
    kim = make_user("Kim")
    noir = characters.save_character(database, kim, {"name": "Noir"}, rating="adult")
    chat = chats.create_chat(database, kim.id, noir.id, "Kim")
    turn = turns.begin_turn(database, kim.id, turns.TurnCommand("a" * 32, chat.id, "chat", 1, "hi")).turn
    claim = turns.claim(database, turn.id, "gpu0", 60.0)
    accounts.set_role(database, kim.id, "child")
    assert turns.request_cancel(database, kim.id, turn.id).cancel_requested
    turns.commit(database, turn.id, claim.attempt, Outcome())
    with pytest.raises(Refused):
        edits.start_over(database, kim.id, chat.id)
    assert export.export_account(database, kim.id)["chats"] == []
