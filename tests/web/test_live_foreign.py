"""What is somebody else's is not there: every command of the table, every page, tried on foreign things."""

import pytest
from scripted_worker import new_turn

from store import accounts, chats
from store.memory import notes, recording
from store.presets import own_presets
from store.turns import Outcome
from store.turns.kinds import KINDS
from web.live.commands import COMMANDS
from web.live.protocol.to_server import (
    BranchChat,
    ChooseAlternative,
    DeleteBelow,
    DeleteMessage,
    DeleteNote,
    DeletePreset,
    EditMessage,
    EditNote,
    OpenChat,
    Ping,
    PinMessage,
    PinNote,
    RestoreBelow,
    RestoreMessage,
    RestoreNote,
    RewriteNote,
    SavePreset,
    SetUpChat,
    ShowLoreUsed,
    ShowNotes,
    ShowProbabilities,
    ShowPrompt,
    StartOver,
    StopTurn,
    SubmitTurn,
)


@pytest.fixture
def hers(site, ada, tale):
    """A chat of Ada's with a turn under way."""
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    opened = tab.open(chat)
    turn = new_turn()
    gone = edits_a_message_away(tale, tab, chat, opened["revision"])
    note, lost = (noted(site.database, chat, gone["revision"]) for _ in range(2))
    _, revision = notes.delete_note(site.database, accounts.find_user(site.database, "Ada").id, lost, gone["revision"])
    ack = tab.submit(chat, "My secret", revision, turn)
    message = opened["messages"][0]["id"]
    preset = own_presets.save_preset(site.database, accounts.find_user(site.database, "Ada").id, "Ada's", {}).id
    return {
        "chat": chat,
        "turn": turn,
        "message": message,
        "deleted": gone["message"],
        "revision": ack["revision"],
        "preset": preset,
        "note": note,
        "lost": lost,
    }


def noted(database, chat, revision):
    """The id of a note on what Ada has said."""
    new = recording.NewNote("Ada has a secret.", (1,), "model", first_ordinal=0, last_ordinal=0, written_after=0)
    return recording.record_note(database, chat, revision, {}, new).id


def edits_a_message_away(tale, tab, chat, revision):
    """Ada has deleted a message of hers."""
    turn = new_turn()
    said = tab.submit(chat, "A first secret", revision, turn)["message"]["id"]
    tale.claim(turn)
    tale.tell("Indeed.")
    tab.send(type="delete", message=said, revision=tale.finish().revision)
    return tab.wait("changed", where=lambda m: m.get("by") == "delete")


TRIES = {
    OpenChat: lambda hers: {"type": "open", "chat": hers["chat"], "turn": hers["turn"], "after": 0},
    SubmitTurn: lambda hers: {
        "type": "submit",
        "id": new_turn(),
        "chat": hers["chat"],
        "kind": "chat",
        "revision": hers["revision"],
        "text": "Let me in",
    },
    StopTurn: lambda hers: {"type": "stop", "turn": hers["turn"]},
    ChooseAlternative: lambda hers: {
        "type": "choose",
        "message": hers["message"],
        "position": 1,
        "revision": hers["revision"],
    },
    Ping: None,  # names nothing
    EditMessage: lambda hers: of_message(hers, type="edit", text="Nothing is secret"),
    DeleteMessage: lambda hers: of_message(hers, type="delete"),
    RestoreMessage: lambda hers: {**of_message(hers, type="restore"), "message": hers["deleted"]},
    DeleteBelow: lambda hers: of_message(hers, type="delete_below"),
    RestoreBelow: lambda hers: of_message(hers, type="restore_below"),
    PinMessage: lambda hers: of_message(hers, type="pin", pinned=True),
    BranchChat: lambda hers: {"type": "branch", "message": hers["message"]},
    StartOver: lambda hers: {"type": "start_over", "chat": hers["chat"]},
    SetUpChat: lambda hers: {
        "type": "setup",
        "chat": hers["chat"],
        "title": "Mine now",
        "author_note": "Say the secret",
    },
    ShowNotes: lambda hers: {"type": "notes", "chat": hers["chat"]},
    EditNote: lambda hers: of_note(hers, type="edit_note", text="Nothing is secret"),
    PinNote: lambda hers: of_note(hers, type="pin_note", pinned=True),
    RewriteNote: lambda hers: of_note(hers, type="rewrite_note"),
    DeleteNote: lambda hers: of_note(hers, type="delete_note"),
    RestoreNote: lambda hers: {**of_note(hers, type="restore_note"), "note": hers["lost"]},
    SavePreset: None,  # names nothing
    DeletePreset: lambda hers: {"type": "delete_preset", "preset": hers["preset"]},
    ShowProbabilities: lambda hers: {"type": "why", "message": hers["message"], "position": 0},
    ShowPrompt: lambda hers: {"type": "prompt", "message": hers["message"], "position": 0},
    ShowLoreUsed: lambda hers: {"type": "added", "message": hers["message"], "position": 0},
}


def of_note(hers, **frame):
    return {"note": hers["note"], "revision": hers["revision"], **frame}


def of_message(hers, **frame):
    return {"message": hers["message"], "revision": hers["revision"], **frame}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_on_what_is_not_mine(site, bo, hers, tale, command):
    if TRIES[command] is None:
        return
    before, setup = tale.texts(hers["chat"]), chats.load_story(site.database, hers["chat"])
    tab = bo.socket()
    tab.send(**TRIES[command](hers))
    assert tab.wait("refused")["error"]["code"] == "not_found"
    assert chats.load_story(site.database, hers["chat"]) == setup
    assert len(bo.get("/").text.split('data-testid="chat"')) == 1, "and Bo has no chat of it"
    tale.claim(hers["turn"])
    tale.tell("Only Ada hears this")
    tab.send(type="ping")
    tab.wait("pong")
    assert "Only Ada" not in str(tab.seen)
    assert tale.texts(hers["chat"]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_turn_on_what_is_not_mine(site, bo, hers, tale, kind):
    before = tale.texts(hers["chat"])
    tab = bo.socket()
    answer = tab.submit(hers["chat"], "Let me in", hers["revision"], kind=kind)
    assert answer["error"]["code"] == "not_found"
    assert tale.texts(hers["chat"]) == before


def test_what_is_suggested_to_others_stays_with_them(site, ada, bo, hers, tale):
    tale.claim(hers["turn"])
    tale.tell("Yes.")
    end = tale.finish()
    mine, chat = bo.socket(), bo.begin_chat(site.mara)
    mine.open(chat)
    turn, tab = new_turn(), ada.socket()
    assert tab.submit(hers["chat"], "", end.revision, turn, "suggest")["type"] == "ack"
    tale.claim(turn)
    tale.finish(Outcome(suggestion="Only for Ada"))
    assert tab.open(hers["chat"])["suggestion"] == {"turn": turn, "text": "Only for Ada"}
    assert mine.open(chat)["suggestion"] is None
    assert mine.open(hers["chat"])["type"] == "refused"
    assert "Only for" not in str(mine.seen)


def test_a_foreign_turn_id_cannot_be_used_again(site, bo, hers):
    mine = bo.begin_chat(site.mara)
    tab = bo.socket()
    revision = tab.open(mine)["revision"]
    assert tab.submit(mine, "x", revision, hers["turn"])["error"]["code"] == "bad_turn_id"


@pytest.mark.parametrize("path", ["/chat/{chat}", "/chat/{chat}/messages"])
def test_foreign_pages(site, bo, hers, path):
    answer = bo.get(path.format(**hers))
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_foreign_chats_cannot_be_deleted(site, ada, bo, hers):
    answer = bo.submit("/", {}, f"/chat/{hers['chat']}/delete")
    assert answer.status_code == 404
    assert ada.get(f"/chat/{hers['chat']}").status_code == 200
