from hypothesis import assume, given
from hypothesis import strategies as st

from engine.text.detokenizer import Detokenizer
from engine.text.reasoning import REASONING_MARKERS


def test_an_emoji_split_over_tokens_arrives_whole():
    text = Detokenizer()
    shown = [text.push(bytes([byte])) for byte in "a😀b".encode()]
    assert shown == ["a", "", "", "", "😀", "b"]


def test_half_a_character_at_the_end_does_not_belong_to_the_reply():
    text = Detokenizer()
    text.push(b"ok")
    text.push("😀".encode()[:2])
    assert text.finish() == ""
    assert (text.text, text.n_tokens_kept) == ("ok", 1)


@given(st.text(), st.data())
def test_any_split_of_any_text_gives_the_text(whole, data):
    assume(not any(mark in whole for mark in REASONING_MARKERS))  # Hypothesis takes words from our code, too
    raw, text, shown = whole.encode(), Detokenizer(), ""
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        shown, raw = shown + text.push(raw[:size]), raw[size:]
    assert shown + text.finish() == whole == text.text


@given(st.lists(st.sampled_from(["a", "\n", "\nA", "nn:", "Ann", ":", "x"]), max_size=12))
def test_a_stop_string_is_never_shown_and_ends_the_text(pieces):
    text, shown = Detokenizer(("\nAnn:",)), ""
    for piece in pieces:
        shown += text.push(piece.encode())
        assert "\nAnn:" not in shown
        if text.stopped:
            break
    shown += text.finish()
    assert shown == "".join(pieces).split("\nAnn:")[0] == text.text
    assert "".join(pieces[: text.n_tokens_kept]) + text.remainder == text.text
