"""The engine on Gemma 3 270M: a real base model with a sliding window of 512 tokens and no chat template."""

import pytest
from engine_stories import Story

from engine import Engine, EngineOptions, Framing
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.model.info import read_model_info
from tests.harness.models import gemma_path

pytestmark = pytest.mark.model
PERSONA = "A talk in the kitchen of a lighthouse, at night. Mira keeps the light. Ann has come in from the storm."


@pytest.fixture(scope="module")
def gemma():
    backend = LlamaBackend(gemma_path(), LlamaOptions(n_cells=768, n_sequences=4, n_batch=128, n_threads=1))
    close, backend.close = backend.close, lambda: None  # each test has an engine of its own on it
    yield backend
    close()


@pytest.fixture
def tell(gemma):
    """`tell(said...)`: a story on a fresh engine; Mira's replies, greedy."""
    engines = []

    def story(*said, **options):
        gemma.clear()
        engines.append(Engine(gemma, EngineOptions(context=512, lanes=1, tolerance_s=50.0)).start())
        story = Story(engines[-1], "chat", PERSONA)
        stop, replies = story.framing.stop_strings(["Ann"], "Mira"), []
        for text in said:
            story.say(text)
            replies.append(story.turn(stop=stop, **options))
        engines[-1].close()
        return replies

    yield story
    for engine in engines:
        if engine.alive():
            engine.close()


def test_what_the_file_says():
    info = read_model_info(gemma_path())
    assert (info.architecture, info.n_layers, info.chat_template) == ("gemma3", 18, "")


def test_a_text_is_the_same_text_in_tokens(gemma):
    for text in ("Hello, Ann!", " two  blanks", "龙 and é\n\n*waves*", "<start_of_turn>user\n<bos></s><eos>"):
        tokens = gemma.tokenize(text, special=False)
        assert b"".join(map(gemma.piece, tokens)).decode() == text
    control = gemma.tokenize("<bos><eos><start_of_turn><end_of_turn>", special=True)
    assert len(control) == 4
    assert gemma.bos == control[0]
    assert set(control).isdisjoint(tokens)


def test_a_story_is_framed_as_a_script_behind_bos(gemma):
    framing = Framing(gemma, gemma.chat_template)
    assert framing.is_script
    segments = [
        framing.segment("system", "", PERSONA),
        framing.segment("user", "Ann", "Good evening!"),
        framing.reply_header("character", "Mira"),
    ]
    tokens = [token for segment in segments for token in segment]
    assert tokens.count(gemma.bos) == 1
    assert tokens[0] == gemma.bos
    text = f"{PERSONA}\n\nAnn: Good evening!\nMira:"
    assert b"".join(map(gemma.piece, tokens[1:])).decode() == text
    assert tokens[1:] == gemma.tokenize(text, special=False)  # whole or in segments: the same tokens


def test_replies_end_where_somebody_else_would_speak(tell):
    replies = tell("Good evening! Who are you?", "What do you see out there?", max_tokens=60)
    assert [reply.finish for reply in replies] == ["stop", "stop"]
    for reply in replies:
        assert len(reply.text) > 3
        assert not any(sign in reply.text for sign in ("<|im_end|>", "<|im_start|>", "\nAnn:", "\nMira:"))


def test_a_greedy_reply_is_the_same_every_time(tell):
    first, again = (tell("Good evening!", "And then?", max_tokens=16) for _ in range(2))
    assert [reply.tokens for reply in first] == [reply.tokens for reply in again]
