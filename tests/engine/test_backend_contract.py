"""One suite, two backends: what the engine relies on holds for llama.cpp and for the echo backend alike."""

import re

import numpy as np
import pytest

from engine import RequestError
from engine.backend import DecodeResult, TokenRun
from engine.backends.echo import EchoBackend, KVRuleBroken
from engine.backends.llama import LlamaBackend, LlamaOptions
from engine.sampling import SamplerSettings

GREEDY = SamplerSettings(temperature=0, repeat_penalty=1.0)


def words(backend, text):
    return tuple(backend.tokenize(text, special=False))


def read(backend, sequence, position, tokens):
    assert backend.decode([TokenRun(sequence, position, tokens, True)]) is DecodeResult.DONE
    return backend.logits(0)


def same(left, right, tolerance=2e-2):
    return np.linalg.norm(left - right) <= tolerance * np.linalg.norm(right) and left.argmax() == right.argmax()


def test_text_of_any_kind_survives_tokenizing(backend):
    for text in ("plain", "emoji 😀 and 中文", "tabs\tand\nlines", "<|im_start|>system"):
        assert b"".join(backend.piece(token) for token in words(backend, text)).decode() == text


def test_control_tokens_come_only_from_framing(backend):
    control = backend.tokenize("<|im_start|>", special=True)
    assert len(control) == 1
    assert control[0] not in words(backend, "<|im_start|>system")


def test_positions_grow(backend):
    read(backend, 0, 0, words(backend, "One two three"))
    assert backend.seq_end(0) == len(words(backend, "One two three"))
    assert backend.seq_end(1) == 0


def test_sequences_do_not_see_each_other(backend):
    tokens = words(backend, "The lighthouse stands")
    alone = read(backend, 0, 0, tokens)
    backend.clear()
    read(backend, 1, 0, words(backend, "Something else entirely, quite long"))
    assert same(read(backend, 0, 0, tokens), alone)


def test_a_batch_of_several_runs_gives_a_row_for_each_that_wants_one(backend):
    first, second = words(backend, "One fine day"), words(backend, "The sea was calm")
    alone = [read(backend, 0, 0, first), read(backend, 1, 0, second)]
    backend.clear()
    runs = [TokenRun(0, 0, first, True), TokenRun(2, 0, first, False), TokenRun(1, 0, second, True)]
    assert backend.decode(runs) is DecodeResult.DONE
    assert same(backend.logits(0), alone[0])
    assert same(backend.logits(1), alone[1])


def test_saved_cells_come_back_exactly(backend):
    tokens, more = words(backend, "Once upon a time there was a keeper"), words(backend, " who")
    read(backend, 0, 0, tokens)
    backend.seq_copy(0, 7, 0, -1)
    saved = backend.seq_save(7)
    expected = read(backend, 0, len(tokens), more)
    backend.clear()
    assert backend.seq_load(7, saved)
    backend.seq_copy(7, 3, 0, -1)
    backend.seq_remove(7, 0, -1)
    assert backend.seq_end(7) == 0
    assert np.array_equal(read(backend, 3, len(tokens), more), expected)


def test_who_knows_how_many_cells_there_are_gets_the_same_bytes(backend):
    tokens = words(backend, "Once upon a time there was a keeper")
    asked = []

    def memory(n_bytes):
        asked.append(n_bytes)
        return memoryview(bytearray(b"\xff" * n_bytes))

    for length in (len(tokens), 3, len(tokens), 3):
        backend.clear()
        read(backend, 0, 0, tokens[:length])
        saved = backend.seq_save(0)
        assert backend.seq_save(0, length, memory) == saved
        assert len(saved) == asked[-1]


def test_a_range_is_saved_alone_and_ranges_add_up(backend):
    head, tail = words(backend, "Once upon a time"), words(backend, " there was a keeper")
    more = words(backend, " who")
    blocks = []
    for tokens in (head, tail):
        start = backend.seq_end(0)
        read(backend, 0, start, tokens)
        backend.seq_copy(0, 7, start, backend.seq_end(0))
        blocks.append(backend.seq_save(7))
        backend.seq_remove(7, 0, -1)
    expected = read(backend, 0, backend.seq_end(0), more)
    backend.clear()
    for block in blocks:
        assert backend.seq_load(7, block)
        backend.seq_copy(7, 2, 0, -1)
        backend.seq_remove(7, 0, -1)
    assert np.array_equal(read(backend, 2, len(head) + len(tail), more), expected)


def test_a_hole_is_legal_and_a_shift_closes_it(backend):
    parts = [words(backend, text) for text in ("You are Mira.", " Dull old news.", " The sea is wide")]
    position = 0
    for tokens in parts:
        read(backend, 0, position, tokens)
        position += len(tokens)
    gap = len(parts[1])
    assert backend.seq_remove(0, len(parts[0]), len(parts[0]) + gap)
    with_hole = read(backend, 0, position, words(backend, " and"))
    backend.seq_remove(0, position, -1)
    backend.seq_shift(0, len(parts[0]) + gap, -1, -gap)
    assert same(read(backend, 0, position - gap, words(backend, " and")), with_hole, tolerance=5e-2)


def test_a_shared_prefix_needs_no_second_reading(backend):
    persona, talk = words(backend, "You are Mira, a keeper."), words(backend, " Hello")
    expected = read(backend, 0, 0, persona + talk)
    backend.seq_remove(0, len(persona), -1)
    backend.seq_copy(0, 4, 0, -1)
    assert same(read(backend, 4, len(persona), talk), expected)
    backend.seq_remove(0, 0, -1)
    backend.seq_remove(4, len(persona), -1)
    assert same(read(backend, 4, len(persona), talk), expected)


def test_damaged_state_bytes_are_refused_or_cut(backend):
    read(backend, 0, 0, words(backend, "Some text to keep"))
    saved = backend.seq_save(0)
    backend.clear()
    assert not backend.seq_load(5, saved[: len(saved) // 2 + 1])
    assert backend.seq_end(5) == 0


@pytest.fixture(params=["echo", "llama"])
def small(request):
    """Each backend with few cells, which are soon full."""
    if request.param == "echo":
        yield EchoBackend(n_cells=256, n_sequences=2, n_batch=64)
        return
    options = LlamaOptions(n_cells=256, n_sequences=2, n_batch=64, n_threads=1)
    llama = LlamaBackend(request.getfixturevalue("demo_model"), options)
    yield llama
    llama.close()


def test_no_room_leaves_the_memory_as_it_was(small):
    backend = small
    filler = (words(backend, "word")[0],) * backend.n_batch
    position = 0
    while (result := backend.decode([TokenRun(0, position, filler)])) is DecodeResult.DONE:
        position += len(filler)
    assert result is DecodeResult.NO_ROOM
    assert backend.seq_end(0) == position
    assert backend.n_cells - position < len(filler)


def test_greedy_sampling_takes_the_largest_from_a_live_and_from_a_kept_row(backend):
    row = read(backend, 0, 0, words(backend, "Hello"))
    assert backend.sampler(GREEDY, ()).sample(0).token == int(row.argmax())
    assert backend.sampler(GREEDY, ()).sample_from(row).token == int(row.argmax())


def test_the_same_seed_draws_the_same(backend):
    row = read(backend, 0, 0, words(backend, "Hello"))
    settings = SamplerSettings(temperature=1.5, seed=7)
    draws = [
        [sampler.sample_from(row).token for _ in range(5)]
        for sampler in (backend.sampler(settings, ()), backend.sampler(settings, ()))
    ]
    assert draws[0] == draws[1]


def test_banned_end_is_not_drawn_first(backend):
    ends = [token for token in range(backend.n_vocab) if backend.is_end(token)]
    row = np.zeros(backend.n_vocab, dtype=np.float32)
    row[ends] = 50.0
    assert backend.sampler(GREEDY, ()).sample_from(row).token in ends
    banned = backend.sampler(SamplerSettings(temperature=0, repeat_penalty=1.0, ban_end=True), ())
    assert banned.sample_from(row).token not in ends


STATUS = (
    'root ::= "Mood: " text "\\n" "Health: " health " %\\n"\n'
    "text ::= [ -~]{1,40}\n"  # ASCII: a model of random weights writes bytes that are no UTF-8
    'health ::= "0" | [1-9] [0-9]{0,2}'
)


def written(backend, settings, prompt, at_most=80):
    """What is written behind a prompt until the end."""
    tokens = backend.tokenize(prompt, special=False)
    assert backend.decode([TokenRun(0, 0, tokens, True)]) is DecodeResult.DONE
    sampler, said, position = backend.sampler(settings, ()), b"", len(tokens)
    while not backend.is_end(token := sampler.sample(0).token):
        said += backend.piece(token)
        assert backend.decode([TokenRun(0, position, [token], True)]) is DecodeResult.DONE
        position += 1
        assert position < len(tokens) + at_most
    sampler.close()
    return said.decode()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_grammar_lets_nothing_else_through(backend, temperature):
    settings = SamplerSettings(temperature=temperature, seed=3, grammar=STATUS)
    said = written(backend, settings, "The panel of Mira, who is well:\n")
    assert re.fullmatch(r"Mood: [ -~]{1,40}\nHealth: (0|[1-9][0-9]{0,2}) %\n", said), said


def test_a_grammar_decides_from_a_kept_row_too(backend):
    row = read(backend, 0, 0, words(backend, "Yes or no? "))
    sampler = backend.sampler(SamplerSettings(temperature=0, grammar='root ::= [yn] "!"'), ())
    choices = [sampler.sample_from(row) for _ in range(3)]
    assert backend.piece(choices[0].token) in (b"y", b"n")
    assert backend.piece(choices[1].token) == b"!"
    assert backend.is_end(choices[2].token)


@pytest.mark.parametrize("grammar", ["root ::= (", 'other ::= "x"', 'root ::= "open', "root ::= nowhere"])
def test_a_broken_grammar_is_said(backend, grammar):
    with pytest.raises(RequestError, match="grammar is not valid GBNF"):
        backend.sampler(SamplerSettings(grammar=grammar), ())


def test_top_probabilities_are_sorted_and_add_up(backend):
    row = read(backend, 0, 0, words(backend, "Hello"))
    top = backend.sampler(SamplerSettings(temperature=0, repeat_penalty=1.0, top_n=5), ()).sample_from(row).top
    assert len(top) == 5
    assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
    assert top[0][0] == int(row.argmax())
    assert 0 < sum(p for _, p in top) <= 1.0001


@pytest.mark.parametrize(
    ("runs", "rule"),
    [
        ([TokenRun(0, 5, (1,))], "continues at position 0"),
        ([TokenRun(0, 0, (1, 2)), TokenRun(0, 1, (3,))], "continues at position 2"),
        ([TokenRun(0, 0, ())], "a batch of 0 tokens"),
        ([TokenRun(0, 0, (1,) * 65)], "a batch of 65 tokens"),
        ([TokenRun(0, 0, (5000,))], "outside the vocabulary"),
    ],
)
def test_echo_names_a_broken_rule(echo, runs, rule):
    with pytest.raises(KVRuleBroken, match=rule):
        echo.decode(runs)


def test_echo_refuses_to_save_while_a_shift_is_pending(echo):
    echo.decode([TokenRun(0, 0, (1, 2, 3))])
    echo.seq_remove(0, 0, 1)
    echo.seq_shift(0, 1, -1, -1)
    with pytest.raises(KVRuleBroken, match="a save of cells whose shift is pending"):
        echo.seq_save(0)
    echo.decode([TokenRun(0, 2, (4,))])
    assert echo.seq_save(0)


def test_echo_refuses_to_save_other_cells_than_the_caller_thinks(echo):
    echo.decode([TokenRun(0, 0, (1, 2, 3))])
    with pytest.raises(KVRuleBroken, match="4 cells to save where there are 3"):
        echo.seq_save(0, 4)


def test_echo_refuses_to_move_shared_cells(echo: EchoBackend):
    echo.decode([TokenRun(0, 0, (1, 2, 3))])
    echo.seq_copy(0, 1, 0, -1)
    with pytest.raises(KVRuleBroken, match="another sequence shares"):
        echo.seq_shift(0, 0, -1, 5)
