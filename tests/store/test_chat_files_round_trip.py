"""Chat files: lines of JSON from other programs and our own JSON, there and back with nothing lost."""

import contextlib
import dataclasses
import json

import pytest
from chat_file_cases import HEADER, LINES, jsonl_of, tales
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store import chat_files
from store.chat_files import dates, jsonl, jsonl_line, limits, markdown, native
from store.error_texts import TEXTS
from store.errors import Refused

NOW = 1_700_000_000.0


def read(data: bytes):
    return chat_files.read(data, NOW)


def rows_of(data: bytes) -> list:
    return [json.loads(line) for line in data.split(b"\n") if line]


def reasons(found) -> dict[str, dict]:
    return {finding.reason: dict(finding.values) for finding in found.findings}


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        read(data)
    assert refused.value.reason in TEXTS
    return refused.value.code


def test_a_file_of_another_program():
    found = read(jsonl_of(HEADER, *LINES))
    document = found.document
    assert (document.character_name, document.user_name, document.author_note) == ("Mara", "Ada", "Be brief.")
    assert document.created_at == dates.read(HEADER["create_date"])
    said = [(one.role, one.name, one.text, one.active, len(one.alternatives), one.answer) for one in document.messages]
    assert said == [
        ("character", "Mara", "Hello.", 1, 3, False),
        ("user", "Ada", "Hi.", 0, 1, False),
        ("narrator", "System", "Snow falls.", 0, 1, True),
        ("character", "Bo", "Me too.", 0, 1, True),
        ("character", "Mara", "Nobody sees me.", 0, 1, True),
    ]
    told = reasons(found)
    assert told["chat_messages"] == {"n": 5}
    assert told["chat_swipes"] == {"n": 2}
    assert told["chat_group"] == {"names": "Mara, Bo"}
    assert (told["chat_hidden"], told["chat_remarks"], told["chat_dates"]) == ({"n": 1}, {"n": 1}, {"n": 1})
    assert {"chat_note", "unused", "unknown"} <= set(told)
    assert [finding.field for finding in found.findings if finding.reason == "unknown"] == ["force_avatar"]


def test_it_comes_out_as_it_came():
    data = jsonl_of(HEADER, *LINES)
    assert rows_of(jsonl.write(read(data).document)) == rows_of(data)


@pytest.mark.parametrize(
    "torn", [b"{broken", b"\xff\xfe\x00", b'"a text"', b"[1]", b'{"mes": NaN}', b'{"a": 1e999}', b"[" * 5_000]
)
def test_a_line_that_cannot_be_read_is_told_and_kept_where_it_was(torn):
    good = jsonl_of(HEADER, *LINES[:2]).rstrip(b"\n").split(b"\n")
    for at in (1, 3):
        data = b"\n".join([*good[:at], torn, *good[at:]]) + b"\n"
        found = read(data)
        assert [one.text for one in found.document.messages] == ["Hello.", "Hi."]
        assert reasons(found)["chat_unread"] == {"n": 1, "lines": str(at + 1)}
        rows = jsonl.write(found.document).rstrip(b"\n").split(b"\n")
        assert rows.index(torn) == at
        assert jsonl.write(read(native.write(found.document)).document) == jsonl.write(found.document)


def test_a_line_that_is_too_long_is_kept_too():
    long = json.dumps({"mes": "x" * limits.LINE.max_bytes}).encode()
    found = read(jsonl_of(HEADER, *LINES[:1]) + long)
    assert reasons(found)["chat_unread"] == {"n": 1, "lines": "3"}
    assert jsonl.write(found.document).rstrip(b"\n").endswith(long)


def test_names_are_found_where_the_header_has_none():
    assert read(jsonl_of(*LINES)).document.user_name == "Ada"
    assert jsonl.write(read(jsonl_of(*LINES)).document) == jsonl.write(
        read(jsonl.write(read(jsonl_of(*LINES)).document)).document
    )
    group = read(jsonl_of({"user_name": "unused", "character_name": "unused"}, *LINES)).document
    assert (group.user_name, group.character_name) == ("Ada", "Mara")
    nameless = read(jsonl_of(HEADER, {"mes": "Hm."}, {"mes": "Ah.", "is_user": True})).document
    assert [one.name for one in nameless.messages] == ["Mara", "Ada"]


def test_what_was_changed_here_is_in_the_file_and_the_rest_stays():
    document = read(jsonl_of(HEADER, *LINES)).document
    first, second, *others = document.messages
    edited = dataclasses.replace(first.alternatives[1], text="Welcome.")
    first = dataclasses.replace(first, alternatives=(first.alternatives[0], edited), active=1, pinned=True)
    changed = dataclasses.replace(document, messages=(first, second, *others), author_note="Be long.")
    header, line, *rest = rows_of(jsonl.write(changed))
    assert header == HEADER | {"chat_metadata": HEADER["chat_metadata"] | {"note_prompt": "Be long."}}
    assert (line["mes"], line["swipes"], line["swipe_id"]) == ("Welcome.", ["Hey.", "Welcome."], 1)
    assert line["extra"] == LINES[0]["extra"] | {"inglenook": {"pinned": True}}
    assert line["send_date"] == LINES[0]["send_date"]
    assert rest == LINES[1:]
    assert read(jsonl.write(changed)).document.messages[0].pinned


@settings(deadline=None)
@given(tales())
def test_our_own_file_keeps_everything(document):
    data = native.write(document)
    assert native.is_native(data)
    assert read(data).document == document
    assert json.loads(native.write(read(data).document)) == json.loads(data)


@settings(deadline=None)
@given(tales())
def test_lines_of_ours_come_back_equal(document):
    first = jsonl.write(document)
    found = read(first)
    assert [one.texts for one in found.document.messages] == [one.texts for one in document.messages]
    assert [one.active for one in found.document.messages] == [one.active for one in document.messages]
    assert [one.pinned for one in found.document.messages] == [one.pinned for one in document.messages]
    assert [one.role for one in found.document.messages] == [one.role for one in document.messages]
    assert jsonl.write(found.document) == first


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=9) | st.sampled_from(["narrator", "2024-01-05@12h34m56s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from([*sorted(jsonl_line.KNOWN), "x", "chat_metadata"])
SAID = {"swipes": st.lists(st.text(max_size=4), max_size=3), "swipe_id": st.integers(-1, 4), "extra": ANYTHING}
LINE = st.dictionaries(KEYS, ANYTHING, max_size=8) | st.fixed_dictionaries({"mes": st.text(max_size=9)}, optional=SAID)


@settings(deadline=None)
@example([{"extra": None, "gen_finished": None, "swipes": ["0"]}])
@given(st.lists(LINE, max_size=6))
def test_whatever_stands_in_the_lines_comes_out_again(given_lines):
    data = jsonl_of(*given_lines, {"mes": "end"})
    found = read(data)
    assert rows_of(jsonl.write(found.document)) == rows_of(data)
    assert jsonl.write(read(native.write(found.document)).document) == jsonl.write(found.document)
    for message in found.document.messages:
        message.text.encode()
        assert message.role in ("user", "character", "narrator", "system")


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: b'{"format": "inglenook chat",' + data))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(Refused):
        read(data)


MANY_WORDINGS = jsonl_of({"mes": ".", "swipes": ["."] * 110_000})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_chat"),
        (b"\x89PNG\r\n\x1a\n", "not_a_chat"),
        (b"Once upon a time\n", "not_a_chat"),
        (jsonl_of(HEADER), "chat_empty"),
        (jsonl_of(HEADER, {"mes": "  "}), "chat_empty"),
        (jsonl_of(*LINES) + b"x\n" * (limits.MAX_VALUES), "chat_broken"),
        (b"," * (limits.MAX_VALUES + 1), "chat_too_large"),
        (b" " * (chat_files.MAX_FILE_BYTES + 1), "chat_too_large"),
        (b'{"mes":"."}\n' * 50_001, "chat_too_large"),
        (MANY_WORDINGS + MANY_WORDINGS, "chat_too_large"),
    ],
)  # fmt: skip
def test_refusals(data, code):
    assert refusal(data) == code


def test_refusals_of_our_own_file():
    data = native.write(read(jsonl_of(HEADER, *LINES)).document)
    assert refusal(data.replace(b'"version": 1', b'"version": 2')) == "chat_newer"
    assert refusal(data[:-20]) == "chat_damaged"
    assert refusal(data.replace(b'"role": "user"', b'"role": "cat"')) == "chat_damaged"
    assert refusal(data.replace(b'"active": 1', b'"active": 9')) == "chat_damaged"
    assert refusal(data.replace(b'"title"', b'"tokens"')) == "chat_damaged"
    assert (
        refusal(data.replace(b'"settings": {}', b'"settings": ' + b'{"a":' * 90 + b"1" + b"}" * 90)) == "chat_damaged"
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2024-01-05T12:34:56.789Z", 1704458096.789),
        (1704458096789, 1704458096.789),
        (1704458096, 1704458096.0),
        ("1704458096789", 1704458096.789),
        ("", None), ("soon", None), ("Foo 5, 2024 1:02pm", None), ("2024-13-05@12h34m56s", None), (True, None),
        (-1, None), (1e300, None), ([], None), ("٣٣", None), ("9" * 5_000, None),
    ],
)  # fmt: skip
def test_dates_with_a_zone_and_none(written, seconds):
    assert dates.read(written) == seconds


def test_dates_of_local_time_mean_the_same_moment():
    shapes = [
        "2024-1-5 @12h 34m 56s 000ms",
        "2024-01-05@12h34m56s",
        "2024-01-05T12:34:56",
        "January 5, 2024 12:34:56pm",
        "Jan 5, 2024, 12:34:56 PM",
    ]
    assert len({dates.read(shape) for shape in shapes}) == 1
    assert dates.read("January 5, 2024 12:34am") == dates.read("2024-01-05T00:34:00")


@given(st.integers(0, 10**12).map(lambda ms: ms / 1000))
def test_dates_come_back(seconds):
    assert dates.write(dates.read(dates.write(seconds))) == dates.write(seconds)


def test_markdown_is_a_story_to_read():
    text = markdown.write(read(jsonl_of(HEADER | {"user_name": "A*da"}, *LINES)).document).decode()
    assert text.startswith("# Mara\n\n*Mara · A\\*da · 2024-01-05*\n")
    assert "**Mara**\n\nHello.\n" in text
    assert "> Snow falls.\n" in text
    assert "Hey." not in text
