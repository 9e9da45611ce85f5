"""Why this word: tokens and their probabilities as words."""

from test_turn_kinds import Play

from store import chats
from worker.token_probabilities import MOST_WORDS, grown_words, word_probabilities, words_spelling

PIECES = {1: b"Hel", 2: b"lo", 3: "中".encode()[:2], 4: "中".encode()[2:], 5: b"\xff"}


def test_each_token_is_a_word_with_what_else_was_likely():
    tops = [((1, 0.5), (2, 0.25)), ((2, 1.0),)]
    assert word_probabilities((9, 1, 2), tops, PIECES.get) == [
        {"text": "Hel", "p": 0.5, "top": [["Hel", 0.5], ["lo", 0.25]]},
        {"text": "lo", "p": 1.0, "top": [["lo", 1.0]]},
    ]


def test_parts_of_a_character_are_joined_and_broken_ones_shown():
    found = word_probabilities((3, 4, 5), [((3, 0.5),), ((4, 0.5),), ((1, 0.5),)], PIECES.get)
    assert [(word["text"], word["p"]) for word in found] == [("中", 0.25), ("\ufffd", None)]


def test_nothing_is_known_nothing_is_told():
    assert word_probabilities((1, 2), [], PIECES.get) == []
    assert word_probabilities((1, 2), [(), ()], PIECES.get) == []


def test_they_are_kept_when_the_chat_asks_for_them(make_context, database, redis, chat):
    make_context()
    play = Play(database, redis, chat)
    assert "words" not in play("chat", "One")[-1].chosen.stats
    chats.change_chat(database, chat.owner_id, chat.id, settings={"top_n": 3})
    reply = play("chat", "Two")[-1]
    assert "".join(word["text"] for word in reply.chosen.stats["words"]) == reply.text
    assert all(len(word["top"]) == 3 for word in reply.chosen.stats["words"])
    grown = play("continue")[-1]
    assert "".join(word["text"] for word in grown.chosen.stats["words"]) == grown.text
    assert grown.chosen.stats["words"][: len(reply.chosen.stats["words"])] == reply.chosen.stats["words"]


def test_a_reply_goes_on_from_another_word_as_a_new_alternative(make_context, database, redis, chat):
    make_context()
    play = Play(database, redis, chat)
    chats.change_chat(database, chat.owner_id, chat.id, settings={"top_n": 3})
    reply = play("chat", "Where were you on the night of the storm?")[-1]
    words = reply.chosen.stats["words"]
    other, p = next((text, p) for text, p in words[9]["top"] if text.strip() and text != words[9]["text"])
    begins = "".join(word["text"] for word in words[:9]) + other
    told = play("retry", begins)[-1]
    assert (told.id, len(told.alternatives), told.active) == (reply.id, 2, 1)
    assert told.alternatives[0].text == reply.text
    assert told.text == begins + play.streamed()[0], "the stream tells what is new, the part what it begins with"
    assert play.streamed()[0]
    assert play.said("part")[0]["begins"] == begins
    assert play.n_evaluated() < len(reply.chosen.tokens), "the words before it are not read again"
    kept = told.chosen.stats["words"]
    assert kept[:9] == words[:9]
    assert (kept[9]["text"], kept[9]["p"], kept[9]["top"]) == (other, p, words[9]["top"])
    assert "".join(word["text"] for word in kept) == told.text
    assert "heard" in play("chat", "And then?")[-1].text


def test_words_are_spelled_up_to_the_one_that_was_chosen():
    words = [{"text": text, "p": 0.5, "top": [[text, 0.5], ["x", 0.25]]} for text in (" one", " two", " three")]
    first, second, _ = ({**word, "text": word["text"].strip()} for word in words)
    assert words_spelling("one two", words) == [first, {"text": " two", "p": 0.5, "top": second["top"]}]
    assert words_spelling("onex", words) == [first, {"text": "x", "p": 0.25, "top": second["top"]}]
    assert words_spelling("x", words) == [{"text": "x", "p": 0.25, "top": first["top"]}]
    assert words_spelling("something else", words) == []
    assert words_spelling("one", []) == []


def test_what_stood_before_a_continue_is_shown_though_nothing_is_known_about_it(make_context, database, redis, chat):
    make_context()
    play = Play(database, redis, chat)
    before = play("chat", "One")[-1]
    chats.change_chat(database, chat.owner_id, chat.id, settings={"top_n": 3})
    known = play("continue")[-1]
    words = known.chosen.stats["words"]
    assert words[0] == {"text": before.text, "p": None, "top": []}
    assert "".join(word["text"] for word in words) == known.text
    chats.change_chat(database, chat.owner_id, chat.id, settings={})
    grown = play("continue")[-1]
    assert grown.chosen.stats["words"][:-1] == words
    assert "".join(word["text"] for word in grown.chosen.stats["words"]) == grown.text


def test_a_reply_that_grows_on_and_on_forgets_the_oldest_words():
    words = [{"text": f"{n} ", "p": 0.5, "top": []} for n in range(MOST_WORDS)]
    grown = grown_words("", words, "new", [{"text": "new", "p": 1.0, "top": []}])
    assert grown[0] == {"text": "0 ", "p": None, "top": []}
    assert [word["text"] for word in grown[1:]] == [*(word["text"] for word in words[1:]), "new"]
    assert grown_words("before", [], "behind", []) == []
