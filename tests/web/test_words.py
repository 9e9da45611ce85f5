"""What is translated: every text of pages and scripts, every sentence of other rooms that people may read."""

import re
from dataclasses import replace

import pytest

from store import chats, turns
from store.errors import Failure, NotFound
from store.status import fields_of
from web.i18n import extract, sentences
from web.i18n.catalogue import LANGUAGES, SCRIPTS, catalogue, po_file, script_words
from web.i18n.language import error_sentence, translate_frame
from worker.prompt.build import plan_part
from worker.prompt.errors import PromptError, StatusError
from worker.prompt.segments import Limits
from worker.prompt.status import parse

CHINESE = re.compile(r"[\u4e00-\u9fff]")
PLACES = re.compile(r"%\(\w+\)[sd]|\{+\w+\}+|<[^>]+>|&\w+;")
OTHERS = [code for code in LANGUAGES if code != "en"]
NEVER_SHOWN = {"too large"}  # of an error that character_form.js catches itself


class TestCatalogue:
    @pytest.fixture(params=OTHERS)
    def code(self, request):
        return request.param

    def test_the_files_hold_exactly_the_words_of_the_code(self, code):
        assert extract.updated(code) == po_file(code).read_bytes(), "run `make words`, then translate"

    def test_every_text_has_a_translation_with_the_same_places(self, code):
        for message in catalogue(code):
            said = message.string if isinstance(message.string, tuple) else (message.string,)
            if not message.id:
                continue
            assert all(said), f"not translated: {message.id}"
            assert not message.fuzzy, f"fuzzy: {message.id}"
            source = message.id if isinstance(message.id, str) else message.id[-1]
            for one in said:
                assert sorted(PLACES.findall(one)) == sorted(PLACES.findall(source)), source

    def test_it_is_chinese(self):
        named = [one for one in catalogue("zh") if re.search("[a-z]{2}", PLACES.sub("", str(one.id)))]
        assert [one.id for one in named if not CHINESE.search(str(one.string))] == []

    def test_chinese_has_its_own_punctuation(self):
        said = [str(one.string) for one in catalogue("zh") if one.id]
        assert [text for text in said if re.search("[\u4e00-\u9fff][,:;?!](?!\\d)|[,:;?!][\u4e00-\u9fff]", text)] == []

    def test_scripts_get_their_own_words_only(self, code):
        assert script_words("en") == {}
        found = {one.id for one in catalogue(code) if any(path.startswith(SCRIPTS) for path, _ in one.locations)}
        assert len(script_words(code)) == len(found)


KEYS = {"Alt", "Ctrl", "Shift", "Enter", "Escape", "Tab", "Home", "End", "Arrow", "Accept", "Files"}


def own_sentences(script):
    """Texts in a script that look as if people were to read them, and are not said by t() or tn()."""
    code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", script, flags=re.S)
    code = re.sub(r'\btn?\(\s*"[^"]*"(,\s*"[^"]*")?', "", code)
    texts = [text for pair in re.findall(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`', code) for text in pair]
    shown = [text for text in texts if re.search(r"[A-Za-z]{2,} [a-z]{2,}|^[A-Z][a-z]+[.… ]*$", text)]
    return [text for text in shown if text not in KEYS and not re.search(r"[\[\]#<>=]|^[(.]", text)]


@pytest.mark.parametrize("path", sorted((extract.WEB / "static/js").rglob("*.js")), ids=lambda path: path.name)
def test_no_script_says_anything_that_is_not_translated(path):
    assert [text for text in own_sentences(path.read_text(encoding="utf-8")) if text not in NEVER_SHOWN] == []


def test_own_sentences_are_found():
    script = (
        't("A cat"); // "A dog"\ntn("{n} fish here", "{n} fishes here", n); say("The moon is up."); x = `${n} are up`;'
    )
    assert own_sentences(script) == ["The moon is up.", "${n} are up"]


class Letters:
    """A framing in which every letter is a token."""

    def segment(self, role, name, text):
        return tuple(map(ord, f"{name}:{text}\n"))

    def segment_from_tokens(self, role, name, tokens):
        return tuple(tokens)

    def reply_header(self, role, name):
        return (1,)

    def inner_tokens(self, text):
        return tuple(map(ord, text))

    def footer(self, role):
        return (2,)

    def stop_strings(self, names, own=""):
        return ()


class TestSentencesOfOtherRooms:
    @pytest.mark.parametrize("reason", sentences.SENTENCES)
    def test_every_reason(self, reason):
        sentence = sentences.SENTENCES[reason]
        values = dict.fromkeys(re.findall(r"\{(\w+)\}", sentence), "7")
        said = error_sentence(Failure(reason, values), "zh")
        assert CHINESE.search(said)
        assert said.count("7") >= len(values)
        assert "{" not in said
        assert error_sentence(Failure(reason, values), "en") == sentence.format(**values)

    @pytest.mark.parametrize("what", sentences.NOUNS)
    def test_what_is_not_there(self, what):
        assert re.search("[a-z]", error_sentence(NotFound(what), "zh")) is None

    def test_every_noun_of_the_store_is_known(self):
        store = extract.WEB.parent / "store"
        used = {noun for path in store.rglob("*.py") for noun in re.findall(r'NotFound\("(\w+)"\)', path.read_text())}
        assert used <= {*sentences.NOUNS, "person"}

    def test_every_reason_of_store_and_worker_has_a_sentence(self):
        """Whatever is raised or kept as a reason in these rooms is a key of the catalogue."""
        pattern = r'\b(?:Refused|Failure|PromptError|StatusError)\(\s*"([\w.]+)"'
        files = [path for room in ("store", "worker") for path in (extract.WEB.parent / room).rglob("*.py")]
        used = {reason for path in files for reason in re.findall(pattern, path.read_text())}
        assert used - set(sentences.SENTENCES) == set()

    @pytest.mark.parametrize("text", ["", "Mood: calm\nPlace:", "Mood: \nPlace: here"])
    def test_what_the_worker_says_of_a_torn_status(self, text):
        with pytest.raises(StatusError) as torn:
            parse(fields_of({}), text)
        assert not re.search("[a-z]{3} ", error_sentence(torn.value.failure, "zh"))

    @pytest.mark.parametrize(("kind", "begins"), [("chat", "你的消息有 "), ("retry", "最后一条消息有 ")])
    def test_what_the_worker_says_of_a_message_that_is_too_long(self, database, user, chat, kind, begins):
        turn = turns.begin_turn(database, user.id, turns.TurnCommand("0" * 32, chat.id, "chat", 1, "x" * 9000)).turn
        story = chats.load_story(database, chat.id)
        if kind == "retry":  # an answer of the character's, as if it stood last
            story = replace(story, messages=(*story.messages[:-1], replace(story.messages[-1], role="character")))
        said = error_sentence(self.too_long(story, turn, 9000), "zh")
        assert said.startswith(begins)
        assert story.character.name in said
        assert not re.search("[a-z]{3} ", said.replace(story.character.name, ""))

    def test_what_the_worker_says_of_a_description_that_is_too_long(self, database, user, chat):
        turn = turns.begin_turn(database, user.id, turns.TurnCommand("0" * 32, chat.id, "chat", 1, "Hi")).turn
        said = error_sentence(self.too_long(chats.load_story(database, chat.id), turn, 400), "zh")
        assert re.search(r"描述有 \d+ 个词元，但在 400 的上下文里只放得下 \d+ 个", said)

    def test_what_nobody_has_translated_is_said_as_it_came(self):
        assert error_sentence(Failure("decode", {"message": "The moon fell down."}), "zh") == "The moon fell down."

    def too_long(self, story, turn, context):
        with pytest.raises(PromptError) as error:
            plan_part(story, turn, turn.kind, Letters(), Limits(context, 50, "m"))
        assert error.value.failure.code == "too_long"
        return error.value.failure

    def test_everything_that_a_tab_is_told(self):
        error = {"error": {"code": "busy", "reason": "busy", "values": {}}}
        narration = {"role": "narrator", "name": "Narrator"}
        told = {"type": "opened", "unanswered": {"turn": "1", **error}, "messages": [narration], "message": "0" * 32}
        said = translate_frame({**told, **error}, "zh")
        assert CHINESE.search(said["error"]["message"])
        assert CHINESE.search(said["unanswered"]["error"]["message"])
        assert said["messages"] == [{"role": "narrator", "name": "旁白"}]
        assert said["message"] == "0" * 32
        assert translate_frame({"type": "part", **narration}, "zh")["name"] == "旁白"
        assert translate_frame({"role": "character", "name": "Narrator"}, "zh")["name"] == "Narrator"
        assert translate_frame(error, "en") == {"error": {"code": "busy", "message": sentences.SENTENCES["busy"]}}
        assert translate_frame(narration, "en") is narration
