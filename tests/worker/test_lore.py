"""Lore in prompts: where it stands, what it costs, what is remembered; pure stories, and turns of the echo engine."""

from contextlib import suppress
from dataclasses import replace

import pytest
from test_turn_kinds import Play
from worker_stories import ByteFraming, message, story, text_of, turn

from bench.lore import tell
from engine import Engine, EngineOptions
from engine.backends.echo import EchoBackend
from engine.kv.planner import plan as plan_moves
from store import chat_macros, chats, macros
from store.lore import books
from store.macros.resolver import MAX_INSERTED
from store.models import Character
from store.views import LorebookView
from worker.prompt.build import plan_part
from worker.prompt.errors import PromptError
from worker.prompt.persona import MAX_EXAMPLES, Cast, example_texts
from worker.prompt.segments import Limits

FRAMING = ByteFraming()


def entry(key, content, **fields):
    return {"keys": [key], "content": content, "enabled": True, **fields}


def card(*entries, **fields):
    return {
        "system_prompt": "Be {{char}}.",
        "scenario": "Winter.",
        "character_book": {"entries": list(entries)},
        **fields,
    }


def plan(chat_story, kind="chat", context=4000, **fields):
    return plan_part(chat_story, turn(kind, **fields), kind, FRAMING, Limits(context, 50, "key"))


def names(result):
    return [segment.name for segment in result.wanted]


def persona(result):
    return text_of(sum((segment.tokens for segment in result.wanted[: result.pinned]), ()))


def after(chat_story, result, *messages):
    """The story one turn later."""
    return replace(
        chat_story, chat=replace(chat_story.chat, window=result.window), messages=(*chat_story.messages, *messages)
    )


def n_read(before, result, *written):
    held = [*before.wanted, *(segment for segment in written)]
    return plan_moves(held, result.wanted, result.forgotten, result.pinned).n_evaluated(result.wanted)


DRAGON = card(entry("dragon", "Dragons fear {{user}}.", name="Of dragons"))


def test_constants_stand_in_the_persona_in_the_order_of_cards():
    chat_story = story(
        message(0, "user", "Hi"),
        card=card(
            entry("", "Second.", constant=True, insertion_order=2, position="before_char"),
            entry("", "First.", constant=True, insertion_order=1, position="before_char"),
            entry("", "Behind it {{user}} stands.", constant=True, position="after_char"),
            entry("", "Off.", constant=True, enabled=False),
            description="A keeper.",
        ),
        user_persona="A cook.",
    )
    words = persona(plan(chat_story))
    places = [words.index(part) for part in ("Be Mira.", "First.", "Second.", "A keeper.", "Winter.", "Behind it Ann")]
    assert places == sorted(places)
    assert words.index("Behind it Ann") < words.index("About Ann: A cook.")
    assert "Off." not in words
    assert plan(chat_story).window.get("lore") is None


def test_constants_of_a_book_of_the_chat_leave_the_shared_part_alone():
    plain = story(message(0, "user", "Hi"), card=card(description="A keeper."))
    raw = {"entries": {"0": {"key": [], "content": "The sea is red.", "constant": True}}}
    own = replace(plain, books=(LorebookView("b1", "ann", "Seas", raw, 0.0),))
    assert plan(own).wanted[0] == plan(plain).wanted[0]
    assert "The sea is red." in persona(plan(own))
    assert [line["why"] for line in plan(own).lore] == ["constant"]


def test_constants_take_a_quarter_of_the_context_at_most():
    entries = [entry("", f"{n} " + "x" * 120, constant=True, priority=n) for n in range(10)]
    result = plan(story(message(0, "user", "Hi"), card=card(*entries)), context=2000)
    kept = [n for n in range(10) if f"{n} xxx" in persona(result)]
    assert kept == [6, 7, 8, 9]
    assert sorted(line["why"] for line in result.lore) == ["constant"] * 4 + ["no_room"] * 6


def test_a_woken_entry_stands_before_the_last_word_and_stays_there():
    chat_story = story(message(0, "character", "Welcome."), message(1, "user", "A dragon!"), card=DRAGON)
    first = plan(chat_story)
    assert names(first)[-3:] == ["character:m0.0", "lore:card/0@0", "user:m1.0"]
    assert "Dragons fear Ann." in text_of(first.wanted[-2].tokens)
    line = first.lore[0]
    assert (line["name"], line["key"], line["book"], line["why"], line["new"]) == (
        "Of dragons",
        "dragon",
        "Mira",
        "key",
        True,
    )


def test_it_leaves_when_it_sleeps_and_nothing_is_read_again():
    chat_story = story(message(0, "character", "Welcome."), message(1, "user", "A dragon!"), card=DRAGON)
    first = plan(chat_story)
    reply = message(2, "character", "Where is the dragon?")
    chat_story = after(chat_story, first, reply, message(3, "user", "There!"))
    second = plan(chat_story)
    assert names(second)[2:] == ["character:m0.0", "lore:card/0@0", "user:m1.0", "character:m2.0", "user:m3.0"]
    chat_story = after(chat_story, second, message(4, "character", "Oh."), message(5, "user", "It is gone."))
    third = plan(chat_story)
    assert not [name for name in names(third) if name.startswith("lore:")]
    assert n_read(second, third) == sum(len(segment.tokens) for segment in third.wanted[-2:])
    chat_story = after(chat_story, third, message(6, "character", "Good."), message(7, "user", "The dragon is back!"))
    assert names(plan(chat_story))[-2:] == ["lore:card/0@6", "user:m7.0"]


def test_a_retry_finds_what_the_first_try_found():
    chance = card(*(entry("dragon", f"Number {n}.", extensions={"probability": 50}) for n in range(20)))
    chat_story = story(message(0, "character", "Welcome."), message(1, "user", "A dragon!"), card=chance)
    first = plan(chat_story)
    n_told = sum(name.startswith("lore:") for name in names(first))
    assert 2 < n_told < 18
    chat_story = after(chat_story, first, message(2, "character", "Where?"))
    again = plan(chat_story, "retry", reply_message_id="m2")
    assert again.wanted == first.wanted
    assert again.window == first.window


def test_sticky_and_cooldown_count_messages_and_forget_a_try_that_is_repeated():
    lasting = card(entry("dragon", "It lasts.", extensions={"sticky": 2, "cooldown": 2}), entry("cat", "A cat."))
    chat_story = story(message(0, "character", "Welcome."), message(1, "user", "A dragon!"), card=lasting)
    seen = []
    for n in range(2, 14, 2):
        result = plan(chat_story)
        assert (
            plan(after(chat_story, result, message(n, "character", "Oh.")), "retry", reply_message_id=f"m{n}").wanted
            == result.wanted
        )
        seen.append(any(name.startswith("lore:") for name in names(result)))
        chat_story = after(chat_story, result, message(n, "character", "Oh."), message(n + 1, "user", "The dragon?"))
    assert seen == [True, True, False, True, True, False]


@pytest.mark.parametrize("kind", ["suggest", "status"])
def test_what_is_taken_back_wakes_nothing_and_moves_nothing(kind):
    status = {"extensions": {"status": {"fields": [{"name": "Mood", "type": "one_of", "options": ["a", "b"]}]}}}
    chat_story = story(message(0, "character", "Hi."), message(1, "user", "A dragon!"), card=DRAGON | status)
    first = plan(chat_story)
    chat_story = after(
        chat_story,
        first,
        message(2, "character", "Oh."),
        message(3, "character", "So."),
        message(4, "character", "Well."),
    )
    aside = plan(chat_story, kind)
    assert "lore:card/0@0" in names(aside)
    assert aside.window["lore"] == first.window["lore"]
    fresh = story(message(0, "user", "A dragon!"), card=DRAGON | status)
    assert not [name for name in names(plan(fresh, kind)) if name.startswith("lore:")]


def test_an_entry_that_was_edited_comes_in_anew_and_its_old_words_leave():
    chat_story = story(message(0, "character", "Hi."), message(1, "user", "A dragon!"), card=DRAGON)
    first = plan(chat_story)
    chat_story = after(chat_story, first, message(2, "character", "A dragon."), message(3, "user", "Yes."))
    chat_story = replace(
        chat_story, character=replace(chat_story.character, card=card(entry("dragon", "Dragons are kind.")))
    )
    assert [name for name in names(plan(chat_story)) if name.startswith("lore:")] == ["lore:card/0@2"]


def test_lore_survives_the_eviction_of_the_messages_around_it():
    lasting = card(entry("dragon", "Dragons last.", extensions={"sticky": 1000}))
    chat_story, before = story(message(0, "character", "Hi."), message(1, "user", "A dragon!"), card=lasting), None
    for n in range(2, 40, 2):
        result = plan(chat_story, context=900)
        assert "lore:card/0@0" in names(result)
        reply = message(n, "character", "x" * 60)
        if before is not None:
            assert n_read(before, result, *(s for s in result.wanted if s.name == f"character:m{n - 2}.0")) <= 80
        chat_story, before = after(chat_story, result, reply, message(n + 1, "user", "Go on.")), result
    assert chat_story.chat.window["messages"] > 10


def test_lore_that_leaves_no_room_is_left_out():
    big = card(entry("dragon", "y" * 200))
    result = plan(story(message(0, "user", "dragon " + "x" * 600), card=big), context=850)
    assert not [name for name in names(result) if name.startswith("lore:")]


def test_the_cards_last_instructions_stand_behind_the_last_word():
    chat_story = story(
        message(0, "character", "Hi."),
        message(1, "user", "Hello"),
        card=DRAGON | {"post_history_instructions": "{{original}}Stay {{char}}."},
        author_note="Brief.",
    )
    result = plan(chat_story)
    assert names(result)[-3:] == ["note:author", "user:m1.0", "note:last"]
    assert "Stay Mira." in text_of(result.wanted[-1].tokens)
    suggestion = plan(after(chat_story, result, message(2, "character", "Oh.")), "suggest")
    assert names(suggestion)[-4:] == ["note:author", "user:m1.0", "note:last", "character:m2.0"]


def test_a_depth_prompt_stays_until_it_is_twice_as_deep_as_it_should_be():
    deep = {"system_prompt": "S", "extensions": {"depth_prompt": {"prompt": "Remember the sea.", "depth": 4}}}
    chat_story, places = story(message(0, "character", "Hi."), message(1, "user", "Hello"), card=deep), []
    for n in range(2, 26, 2):
        result = plan(chat_story)
        (name,) = [name for name in names(result) if name.startswith("lore:depth_prompt")]
        places.append(int(name.partition("@")[2]))
        chat_story = after(chat_story, result, message(n, "character", "Oh."), message(n + 1, "user", "Go on."))
    assert places == [0, 0, 0, 0, 8, 8, 8, 8, 16, 16, 16, 16]


def test_a_pattern_that_takes_too_long_is_told_about():
    evil = card(entry("/(a+)+$/", "Never."), entry("dragon", "Still."))
    result = plan(story(message(0, "user", "dragon " + "a" * 3000 + "!"), card=evil))
    assert {line["why"] for line in result.lore} == {"slow", "key"}


@pytest.fixture
def play(make_context, database, redis, chat):
    make_context(max_reply_tokens=400, context=4096)
    with database.session() as session:
        character = session.get_one(Character, chat.character_id)
        character.card = {**character.card, "character_book": {"entries": [entry("dragon", "Dragons fear Ada.")]}}
    return Play(database, redis, chat)


def test_a_turn_reads_the_entry_that_woke_and_the_next_ones_do_not(play):
    play("chat", "One")
    play("chat", "Two")
    plain = play.n_evaluated()
    message = play("chat", "Now dragon")[-1]
    lore = message.chosen.stats["lore"]
    assert [(line["name"], line["why"], line["key"]) for line in lore] == [("dragon", "key", "dragon")]
    n_new = len(b"Now dragon") - len(b"Two")
    assert play.n_evaluated() == plain + lore[0]["tokens"] + n_new
    play("retry")
    assert play.n_evaluated() == 0
    play("narrate", "", ("suggest",))
    play("suggest")
    play("chat", "Two")
    assert play.messages()[-1].chosen.stats["n_evaluated"] < plain + 300  # the narrator's task, and no more lore


def test_a_book_of_the_chat_counts_from_the_next_turn_on(play):
    raw = {"entries": {"0": {"key": ["kraken"], "content": "It sleeps."}}}
    book = books.add_book(play.database, play.chat.owner_id, raw, "Seas")
    books.attach(play.database, play.chat.owner_id, play.chat.id, [book.id])
    said = play("chat", "A kraken?")[-1]
    assert [(line["book"], line["name"]) for line in said.chosen.stats["lore"]] == [("Seas", "kraken")]
    books.delete_book(play.database, play.chat.owner_id, book.id)
    assert "lore" not in play("chat", "A kraken?")[-1].chosen.stats
    assert chats.load_story(play.database, play.chat.id).books == ()


def test_thirty_turns_with_two_hundred_entries_read_nothing_twice(database):
    engine = Engine(EchoBackend(n_cells=6000), EngineOptions(context=2000, lanes=1)).start()
    rows = tell(database, engine, Limits(2000, 20, engine.model_key), 30)
    engine.close()
    assert [row.evaluated - row.messages - row.lore for row in rows] == [0] * 30
    assert sum(row.lore > 0 for row in rows) > 20
    assert rows[-1].evicted > 10


class CountingFraming(ByteFraming):
    """A framing that knows how many letters it was given."""

    def __init__(self) -> None:
        object.__setattr__(self, "n_letters", 0)

    def segment(self, role, name, text):
        object.__setattr__(self, "n_letters", self.n_letters + len(text))
        return super().segment(role, name, text)

    def inner_tokens(self, text):
        object.__setattr__(self, "n_letters", self.n_letters + len(text))
        return super().inner_tokens(text)


def big_book(**fields):
    return card(*(entry("dragon", f"{n} ".ljust(900, "x"), **fields) for n in range(1_000)))


@pytest.mark.parametrize("fields", [{"constant": True}, {}])
def test_a_book_is_tokenized_as_far_as_there_may_be_room(fields):
    """A book of a megabyte was tokenized whole, in every turn."""
    framing = CountingFraming()
    chat_story = story(message(0, "user", "A dragon!"), card=big_book(**fields))
    result = plan_part(chat_story, turn("chat"), "chat", framing, Limits(8_000, 50, "key"))
    assert framing.n_letters < 40_000
    assert sum(line["why"] in ("constant", "key") for line in result.lore) == 2
    assert sum(line["why"] == "no_room" for line in result.lore) >= 50


def test_an_entry_of_which_macros_leave_nothing_is_not_told():
    chat_story = story(message(0, "user", "A dragon!"), card=card(entry("dragon", "{{// a note }}")))
    result = plan(chat_story)
    assert not any(name.startswith("lore:") for name in names(result))
    assert result.lore == ()


def test_the_texts_of_a_card_are_resolved_once_for_a_prompt(monkeypatch):
    """Each key and each entry with {{description}} resolved it anew."""
    letters = []
    resolve = macros.resolve
    monkeypatch.setattr(
        chat_macros.macros, "resolve", lambda text, **o: letters.append(len(text)) or resolve(text, **o)
    )
    description = "{{char}} keeps an inn. " * 1_000
    entries = [entry(f"{{{{description}}}}{n}", f"{n} {{{{description}}}}") for n in range(300)]
    chat_story = story(message(0, "user", "A dragon!"), card=card(*entries, mes_example="<START>{{description}}" * 300))
    with suppress(PromptError):
        plan(chat_story)
    assert sum(letters) < 20 * len(description)


def test_examples_are_bounded_and_share_a_budget():
    texts = example_texts(
        {"mes_example": "<START>{{description}}" * 1_000, "description": "x" * 50_000}, Cast("A", "B")
    )
    assert len(texts) <= MAX_EXAMPLES
    assert sum(map(len, texts)) < MAX_INSERTED + 1_000 * 50
