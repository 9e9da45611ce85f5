"""Chat files over HTTP: brought along, found their character, reported, taken along; in both languages."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

from chat_file_cases import HEADER as BARE
from chat_file_cases import LINES, jsonl_of

from store import accounts, characters, chats, turns
from store.models import Turn
from store.sharing import shares
from store.turns import TurnCommand
from web.i18n.catalogue import translations_of
from web.rendering import import_report
from web.stories import chat_files

HEADER = BARE | {"character_name": "Mara Quill"}
STORY = jsonl_of(HEADER, *LINES)


def send(browser, *files, character=""):
    """What comes back when these (name, bytes) are brought in."""
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get("/chats/bring").text)[1]
    parts = [("chats", (name, io.BytesIO(data))) for name, data in files]
    return browser.post("/chats/bring", {"character": character}, token, files=parts)


def mine(site, name="Ada"):
    return chats.list_chats(site.database, accounts.find_user(site.database, name).id)


def codes(page):
    return re.findall(r'data-testid="arrival" data-code="(\w*)"', page)


def rows_of(data: bytes) -> list:
    return [json.loads(line) for line in data.split(b"\n") if line]


def test_a_story_comes_in_is_reported_and_goes_out_as_it_came(site, ada):
    answer = send(ada, ("Mara - 2024.jsonl", STORY + b"torn {\n"))
    (chat,) = mine(site)
    assert answer.url.endswith(f"/chat/{chat.id}/report")
    assert (chat.character_name, chat.user_name, chat.author_note) == ("Mara Quill", "Ada", "Be brief.")
    for verdict in import_report.VERDICTS:
        assert f'data-verdict="{verdict}"' in answer.text
    assert "stay where they are in the file: 1 (number 8)" in answer.text
    assert "Mara, Bo" in answer.text
    page = ada.get(f"/chat/{chat.id}").text
    assert "Hello." in page
    assert "Nobody sees me." in page
    out = ada.get(f"/chat/{chat.id}/story.jsonl")
    assert out.content.endswith(b"torn {\n")
    assert rows_of(out.content.removesuffix(b"torn {\n")) == rows_of(STORY)
    assert out.headers["Content-Disposition"].startswith('attachment; filename="Mara_Quill.jsonl"')


def test_our_own_file_comes_in_again_with_everything(site, ada):
    send(ada, ("a.jsonl", STORY))
    (first,) = mine(site)
    ada_id = accounts.find_user(site.database, "Ada").id
    chats.change_chat(site.database, ada_id, first.id, title="Snow", settings={"temperature": 0.5}, reference="A map.")
    whole = ada.get(f"/chat/{first.id}/story.json").content
    send(ada, ("b.json", whole))
    (second,) = [chat for chat in mine(site) if chat.id != first.id]
    assert (second.title, second.settings, second.reference) == ("Snow", {"temperature": 0.5}, "A map.")
    assert ada.get(f"/chat/{second.id}/story.json").content == whole
    read = [
        [(m.role, m.name, m.active, [w.text for w in m.alternatives]) for m in chats.transcript(site.database, one)]
        for one in (first.id, second.id)
    ]  # fmt: skip
    assert read[0] == read[1]


def test_markdown_to_read(ada, site):
    send(ada, ("a.jsonl", STORY))
    out = ada.get(f"/chat/{mine(site)[0].id}/story.md")
    assert "**Mara**\n\nHello.\n" in out.text
    assert ada.get(f"/chat/{mine(site)[0].id}/story.exe").status_code == 404


def test_nothing_is_sent_to_a_worker_and_the_story_goes_on_at_once(site, ada, tale):
    send(ada, ("a.jsonl", STORY))
    (chat,) = mine(site)
    with site.database.reading() as session:
        assert session.query(Turn).count() == 0
    assert site.services.redis.llen("rq:queue:gpu0:chat") == 0
    owner = accounts.find_user(site.database, "Ada").id
    asked = turns.begin_turn(site.database, owner, TurnCommand("a" * 32, chat.id, "retry", 1)).turn
    assert asked.reply_message_id == chats.transcript(site.database, chat.id)[-1].id


def test_whom_it_is_with(site, ada):
    nobody = jsonl_of(HEADER | {"character_name": "Zoltan"}, *LINES)
    answer = send(ada, ("a.jsonl", nobody))
    assert (answer.status_code, codes(answer.text), mine(site)) == (422, ["no_character"], ())
    assert "No character here is called Zoltan" in answer.text
    assert "does not say who" in send(ada, ("a.jsonl", jsonl_of({"mes": "Hm.", "is_user": True}))).text
    send(ada, ("a.jsonl", nobody), character=site.mara)
    assert mine(site)[0].character_name == "Mara Quill"
    assert "The file names Zoltan" in ada.get(f"/chat/{mine(site)[0].id}/report").text
    own = characters.save_character(site.database, accounts.find_user(site.database, "Ada"), {"name": "mara quill"})
    answer = send(ada, ("b.jsonl", STORY))
    assert mine(site)[0].character_id == own.id, "one's own before those of the house"
    site.browser().sign_up(site.invite(), "Bo")
    bo = accounts.find_user(site.database, "Bo")
    theirs = characters.save_character(site.database, bo, {"name": "Mara Quill"})
    shares.share(site.database, bo, "character", theirs.id, "house")
    send(ada, ("c.jsonl", STORY))
    assert mine(site)[0].character_id == own.id, "one's own before those that others share"
    chats.delete_chats(site.database, own.owner_id, [one.id for one in mine(site)])
    characters.delete_character(site.database, accounts.find_user(site.database, "Ada"), own.id)
    send(ada, ("d.jsonl", STORY))
    assert mine(site)[0].character_id == theirs.id, "those before the bundled ones"


def test_a_character_that_one_may_not_see_is_none(site, ada, bo):
    hers = characters.save_character(site.database, accounts.find_user(site.database, "Ada"), {"name": "Zoltan"})
    assert send(bo, ("a.jsonl", STORY), character=hers.id).status_code == 404
    named = send(bo, ("a.jsonl", jsonl_of(HEADER | {"character_name": "Zoltan"}, *LINES)))
    assert codes(named.text) == ["no_character"]
    assert mine(site, "Bo") == ()


def test_several_files_each_by_itself(site, ada):
    answer = send(ada, ("a.jsonl", STORY), ("b.jsonl", b"no chat"), ("c.jsonl", STORY), ("d.jsonl", jsonl_of(HEADER)))
    assert (answer.status_code, codes(answer.text)) == (200, ["", "not_a_chat", "", "chat_empty"])
    assert len(mine(site)) == 2
    many = send(ada, *((f"{n}.jsonl", b"no chat") for n in range(chat_files.MAX_FILES + 1)))
    assert codes(many.text)[-1] == "too_many_files"
    assert codes(send(ada).text) == ["empty_file"]


def test_what_the_page_says_about_sizes_is_what_is_taken(site, ada):
    page = ada.get("/chats/bring").text
    assert "up to 32 MB each" in page
    assert "up to 48 MB; at most 10 files and 48 MB at once" in page
    assert f'data-bytes="{48 << 20}"' in page
    assert f'data-bytes="{48 << 20}"' in ada.get("/chats").text
    half = b" " * (24 << 20)
    assert send(ada, ("a.jsonl", half), ("b.jsonl", half)).status_code == 422, "it comes in, and has no story"
    answer = send(ada, ("a.jsonl", half), ("b.jsonl", half + b" " * (2 << 20)))
    assert (answer.status_code, "fewer files" in answer.text) == (413, True)


def test_hostile_words_stay_words(site, ada):
    bad = "<script>x</script>"
    lines = [{"name": bad, "mes": bad, bad: 1}, {"name": "<b>", "is_user": True, "mes": "\x00\ud800"}]
    send(ada, ("<i>.jsonl", jsonl_of(HEADER | {"user_name": "<u>", "title": bad}, *lines)))
    (chat,) = mine(site)
    for path in ("report", "story.md", "story.json", "story.jsonl", ""):
        answer = ada.get(f"/chat/{chat.id}/{path}".rstrip("/"))
        assert answer.status_code == 200
        assert bad not in answer.text or "attachment" in answer.headers["Content-Disposition"]


def test_the_report_in_chinese(site, ada):
    ada.submit("/settings", {"locale": "zh", "theme": "auto"}, "/settings/look")
    send(ada, ("a.jsonl", STORY))
    report = ada.get(f"/chat/{mine(site)[0].id}/report").text
    assert translations_of("zh").gettext(import_report.REASONS["chat_group"]) % {"names": "Mara, Bo"} in report
    refused = send(ada, ("a.jsonl", b"x")).text
    assert "这不是聊天文件" in refused


@pytest.mark.parametrize("page", ["/chats", "/chats/bring"])
def test_the_ways_in(site, ada, page):
    send(ada, ("a.jsonl", STORY))
    text = ada.get(page).text
    assert "data-drop" in text
    assert 'id="dropzone"' in text


def test_a_greeting_is_shown_with_its_macros_resolved(site, ada):
    card = {
        "name": "Mo",
        "nickname": ["odd"],
        "description": "{{char}} purrs",
        "first_mes": "{{description}} at {{user}}.",
    }
    mo = characters.save_character(site.database, accounts.find_user(site.database, "Ada"), card)
    assert "Mo purrs at Ada." in ada.get(f"/characters/{mo.id}").text
