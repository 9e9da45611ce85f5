"""Framing in the tokens of real vocabularies: the same ids as the whole rendered text would give."""

import pytest
import tiny_models
from chat_templates import SHAPES

from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.text.chat_template import _Template
from engine.text.framing import Framing

SAID = [("user", "How are you?"), ("assistant", "Well, and you?"), ("user", "Fine."), ("assistant", "Good!")]


@pytest.fixture(scope="module")
def blank_first(tmp_path_factory):
    """A vocabulary that puts a blank in front of every text, as Llama 2's and Mistral's do."""
    path = tmp_path_factory.mktemp("models") / "spm.gguf"
    tiny_models.llama(path, head_size=32, blank_first=True, n_words=3, specials=("<|im_start|>", "<|im_end|>"))
    backend = LlamaBackend(path, LlamaOptions(n_cells=64, n_sequences=2, n_threads=1))
    yield backend
    backend.close()


def framed(framing, said, name=""):
    roles = {"assistant": "character"}
    return [token for role, text in said for token in framing.segment(roles.get(role, role), name, text)]


@pytest.mark.parametrize("name", ["chatml", "zephyr", "vicuna", "alpaca", "llama3", "phi4", "deepseek-r1"])
def test_no_blank_is_added_and_none_is_lost(blank_first, name):
    template = SHAPES[name].template
    framing = Framing(blank_first, template)
    said = [("system", "Be kind."), *SAID]
    text = _Template(template, blank_first.bos_text, blank_first.eos_text, typed=False).render(*said)
    text = text if text.startswith("<s>") else "<s>" + text
    name = "usher" if framing.named_roles else ""
    ours = framed(framing, said, name)
    if framing.named_roles:
        text = text.replace("assistant", "usher").replace("user", "usher")
    text = shown(blank_first, blank_first.tokenize(text, special=True))
    at = text.index("How are you?") if name == "" else 0  # the first header's blank depends on what stands before it
    assert shown(blank_first, ours).endswith(text[at:])


def shown(backend, tokens):
    text = b"".join(backend.piece(token) or f"<{token}>".encode() for token in tokens).decode()
    return text.replace("<think>\n\n</think>\n\n", "")


def test_a_question_in_llama_2s_frame_is_token_for_token_the_rendered_one(blank_first):
    template = SHAPES["llama2"].template
    text = _Template(template, "<s>", "</s>", typed=False).render(*SAID)
    assert framed(Framing(blank_first, template), SAID) == blank_first.tokenize(text, special=True)


def test_a_text_begins_with_its_own_blank_behind_a_name(blank_first):
    framing = Framing(blank_first, SHAPES["llama2"].template)
    segment = framing.segment("character", "Mira", "Hello")
    assert shown(blank_first, segment) == " Mira: Hello <2>"
    assert shown(blank_first, framing.reply_header("character", "Mira")) == " Mira:"


def test_the_demo_model_is_framed_token_for_token(llama):
    said = [("system", "Be kind."), *SAID]
    text = _Template(llama.chat_template, llama.bos_text, llama.eos_text, typed=False).render(*said)
    framing = Framing(llama, llama.chat_template)
    assert framing.named_roles
    ours = [t for role, content in said for t in framing.segment(role.replace("assistant", "character"), role, content)]
    assert ours == llama.tokenize(text, special=True)


@pytest.mark.parametrize("name", ["chatml", "vicuna"])
def test_a_story_that_is_framed_again_is_not_tokenized_again(blank_first, monkeypatch, name):
    framing = Framing(blank_first, SHAPES[name].template)
    said = [*SAID, ("user", "word " * 2000)]
    first, asked = framed(framing, said, "Ann"), []
    tokenize = type(blank_first).tokenize
    monkeypatch.setattr(
        blank_first, "tokenize", lambda *given: asked.append(given) or tokenize(blank_first, *given), raising=False
    )
    assert framed(framing, said, "Ann") == first
    assert {len(text) > 4000 for text, _ in asked} == {True}, "what is very long is not remembered"
