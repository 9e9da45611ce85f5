"""What of a model's reply may become a story note: some sentences about the story, in its language, nothing else. Pure.

A small model says much that is none: it repeats the question or one line, goes on with the story, or tells another one.
"""

import re
from collections.abc import Collection, Iterator

from store import texts
from store.memory.notes import MAX_LETTERS
from store.search.terms import terms_of
from store.stories.titles import language_of

MIN_LETTERS, MIN_HAN = 40, 16
_SHORTEST_WORD = 4  # letters; shorter ones stand in any text
_MIN_SHARED = 3  # words of the messages that a note on them has
_FROM_SOURCE = 0.4  # of a note's words stand in the messages, at least: what is invented has fewer
_FIRST_PERSON = re.compile(r"\b(?:I|my|me|I['’]\w+)\b|我")
_SENTENCE = re.compile(r"[^.!?。！？\n]+")
_QUOTED = re.compile(r"[\"“「].*?[\"”」]", re.DOTALL)
_HAN = re.compile(r"[\u3400-\u9fff]")


def note_of(beginning: str, reply: str, told: str, questions: Collection[str] = ()) -> str:
    """The note in a model's reply about messages in which this was `told`; empty where there is none.

    `beginning` is what the reply went on from; `questions`: what was asked, which no note repeats.
    """
    note = " ".join(texts.clean(beginning + reply).split())
    if not _is_long_enough(note) or len(note) > MAX_LETTERS or language_of(note) != language_of(told):
        return ""
    sentences = [sentence.strip().casefold() for sentence in _SENTENCE.findall(note) if sentence.strip()]
    repeats_itself = 5 * len(set(sentences)) < 4 * len(sentences)
    if repeats_itself or _repeats(note, questions) or len(_FIRST_PERSON.findall(_QUOTED.sub("", note))) > 1:
        return ""
    words = set(_words(note))
    shared = len(words & set(_words(told)))
    return note if shared >= max(_MIN_SHARED, _FROM_SOURCE * len(words)) else ""


def _is_long_enough(note: str) -> bool:
    return len(note) >= MIN_LETTERS or len(_HAN.findall(note)) >= MIN_HAN


def _repeats(note: str, questions: Collection[str]) -> bool:
    """Whether most words of a note are those of a question."""
    words = list(_words(note))
    asked = {word for question in questions for word in _words(question)}
    return bool(words) and 3 * sum(word in asked for word in words) > 2 * len(words)


def _words(text: str) -> Iterator[str]:
    """What says something: longer words by their stems, pairs of Chinese characters."""
    for term in terms_of(text):
        if len(term.word) >= (2 if _HAN.match(term.word) else _SHORTEST_WORD):
            yield term.word
