"""Reasoning is neither shown nor kept: the filter, the token counts, and a session after a model that reasons."""

import pytest
import tiny_models
from engine_stories import Story, settled
from hypothesis import given
from hypothesis import strategies as st

from engine import Segment, Text
from engine.backend import Choice
from engine.backends.echo import EchoBackend
from engine.backends.echo_script import END
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.text.detokenizer import Detokenizer
from engine.text.reasoning import MARKER_PAIRS, ReasoningFilter

WITHOUT = [
    "Hello",
    " Hello",
    "<b>Hello</b>",
    "a <think>b</think>",
    "<thin",
    "<",
    "",
    "\n",
    "<thinker> he said",
    "[THIN",
]
WITH = {
    "<think>\nHm.\n</think>\n\nHello": "Hello",
    "\n<think></think>Hello": "Hello",
    "<think>a</think> <thinking>b <think> c</thinking> \n Hello <think>": "Hello <think>",
    "[THINK]well[/THINK]Hello": "Hello",
    "<|channel>thought\nhm<channel|>Hello": "Hello",
    "<think>never done": "",
    "<think>almost</think": "",
    "<think></think>": "",
    "<think>a</think>\n<thin": "<thin",
}


def split(text, data):
    while text:
        size = data.draw(st.integers(1, len(text)))
        yield text[:size]
        text = text[size:]


@pytest.mark.parametrize("text", WITHOUT)
@given(st.data())
def test_what_is_no_reasoning_is_shown_to_the_letter(text, data):
    reasoning = ReasoningFilter()
    assert "".join(reasoning.push(piece) for piece in split(text, data)) + reasoning.finish() == text
    assert reasoning.n_hidden == 0


@pytest.mark.parametrize("text", WITH)
@given(st.data())
def test_reasoning_is_hidden_however_it_arrives(text, data):
    reasoning = ReasoningFilter()
    shown = "".join(reasoning.push(piece) for piece in split(text, data)) + reasoning.finish()
    assert shown == WITH[text]
    assert text[reasoning.n_hidden :] == shown


@given(
    st.lists(
        st.sampled_from([*MARKER_PAIRS, *MARKER_PAIRS.values(), " ", "\n", "x", "<", "/think>", "[THI"]), max_size=8
    )
)
def test_any_reply_is_a_hidden_start_and_a_shown_rest(pieces):
    reasoning, text = ReasoningFilter(), "".join(pieces)
    shown = "".join(map(reasoning.push, pieces)) + reasoning.finish()
    assert text[reasoning.n_hidden :] == shown
    assert not shown.lstrip().startswith(tuple(MARKER_PAIRS))


def reply(pieces, stop=(), trim=True):
    text = Detokenizer(stop, trim)
    for piece in pieces:
        text.push(piece.encode())
        if text.stopped:
            break
    text.finish()
    return text


def test_the_tokens_of_reasoning_are_counted():
    text = reply(["<think>", "hm", "</think>", "\n\n", "Hello", " you"])
    assert (text.text, text.n_tokens_hidden, text.n_tokens_kept) == ("Hello you", 4, 6)
    assert text.kept_tokens([1, 2, 3, 4, 5, 6], list) == [5, 6]


def test_a_token_that_is_half_reasoning_is_tokenized_anew():
    text = reply(["<think>", "hm", "</think>Hel", "lo"])
    assert text.kept_tokens([1, 2, 3, 4], lambda visible: [visible]) == ["Hello"]
    assert reply(["<think></think>Hi"]).kept_tokens([1], lambda visible: [visible]) == ["Hi"]


def test_a_stop_string_inside_reasoning_does_not_stop():
    text = reply(["<think>", "\nAnn:", " hm</think>", "Hello", "\nAn", "n: and more"], stop=("\nAnn:",))
    assert (text.text, text.stopped) == ("Hello", True)
    assert text.kept_tokens([1, 2, 3, 4, 5, 6], list) == [4]


def test_a_reply_that_never_stops_reasoning_keeps_nothing():
    text = reply(["<think>", "hm", " hm"])
    assert (text.text, text.kept_tokens([1, 2, 3], list)) == ("", [])


def test_blanks_at_the_start_are_kept_but_not_shown():
    text = reply([" ", " Hello", " you"])
    assert (text.text, text.kept_tokens([1, 2, 3], list)) == ("Hello you", [1, 2, 3])
    assert reply([" Hello"], trim=False).text == " Hello"


@given(st.lists(st.sampled_from(["<think>", "hm", "</think>", "\n", " ", "Hi", "\nAnn:", "x", "A"]), max_size=9))
def test_what_is_kept_spells_what_is_shown(pieces):
    text = reply(pieces, stop=("\nAnn:",))
    spelled = "".join(text.kept_tokens(pieces, lambda visible: [visible]))
    assert spelled.lstrip() == text.text


class Scripted(EchoBackend):
    """Says what it is told to, as a model that thinks although it was asked not to."""

    says: bytes = b""

    def sampler(self, settings, history):
        return ScriptSampler(self.says)


class ScriptSampler:
    def __init__(self, says):
        self._tokens = iter((*says, END))

    def sample(self, row):
        return Choice(next(self._tokens))

    def sample_from(self, logits):
        return Choice(next(self._tokens))

    def close(self):
        pass


@pytest.fixture
def scripted():
    return Scripted(n_cells=4096, n_sequences=8, n_batch=64)


def test_a_session_holds_the_visible_reply_and_nothing_of_the_reasoning(make_engine, scripted):
    story = Story(make_engine(scripted), "chat")
    story.say("Hello")
    scripted.says = b"<think>\nWho is that?\n</think>\n\nHello you!"
    request = story.request()
    events = list(story.engine.submit(request).events())
    assert "".join(event.text for event in events if isinstance(event, Text)) == "Hello you!"
    assert (events[-1].text, bytes(events[-1].tokens)) == ("Hello you!", b"Hello you!")
    settled(story.engine, "chat")
    kept = story.framing.segment_from_tokens("character", "Mira", events[-1].tokens)
    assert story.engine.inspect("chat")[-1].segment.tokens == kept
    story.segments.append(Segment(request.reply.name, kept))
    story.say("Next")
    scripted.says = b"Fine."
    done = story.turn()
    assert done.stats.n_evaluated == len(story.segments[-2].tokens) + len(story.reply_spec().header)


@pytest.mark.parametrize(("said", "finish"), [(b"<think>Well" + b"l" * 300, "length"), (b"<think>Well", "end")])
def test_a_reply_of_nothing_but_reasoning_is_empty(make_engine, scripted, said, finish):
    story = Story(make_engine(scripted), "chat")
    story.say("Hello")
    scripted.says = said
    done = story.turn()
    assert (done.text, done.tokens, done.finish) == ("", (), finish)
    story.say("Next")
    scripted.says = b"Fine."
    assert story.turn().text == "Fine."


def test_reasoning_between_control_tokens_is_seen_too(tmp_path):
    path = tiny_models.llama(tmp_path / "m.gguf", head_size=32, specials=("[THINK]", "[/THINK]", "<|im_end|>"))
    backend = LlamaBackend(path, LlamaOptions(n_cells=64, n_sequences=2, n_threads=1))
    tokens = backend.tokenize("[THINK]hm[/THINK]Hello<|im_end|>", special=True)
    assert reply([backend.piece(token).decode() for token in tokens]).text == "Hello"
    backend.close()
