"""Chat files for tests: one of another program with a bit of everything, and any chat that hypothesis can think of."""

import json

from hypothesis import strategies as st

from store.chat_files.document import ChatDocument, DocAlternative, DocMessage

HEADER = {
    "user_name": "Ada",
    "character_name": "Mara",
    "create_date": "2024-01-05@12h34m56s789ms",
    "chat_metadata": {"note_prompt": "Be brief.", "variables": {"a": [1, 2.5, None]}},
}
LINES = [
    {"name": "Mara", "is_user": False, "is_system": False, "send_date": "January 5, 2024 12:34pm", "mes": "Hello.",
     "extra": {"api": "x"}, "swipes": ["Hey.", "Hello.", "Ho."], "swipe_id": 1, "swipe_info": [{}, {}, {}],
     "gen_started": "2024-01-05T11:34:00.000Z", "gen_finished": None},
    {"name": "Ada", "is_user": True, "is_system": False, "send_date": 1704458096789, "mes": "Hi.", "extra": {},
     "force_avatar": "ada.png"},
    {"name": "Help", "is_user": False, "is_system": True, "send_date": "?", "mes": "Press", "extra": {"type": "help"}},
    {"name": "System", "is_user": False, "is_system": False, "send_date": "2024-01-05T12:35:56.789Z",
     "mes": "Snow falls.", "extra": {"type": "narrator"}},
    {"name": "Bo", "is_user": False, "is_system": False, "mes": "Me too.", "extra": {}},
    {"name": "Mara", "is_user": False, "is_system": True, "send_date": 1704458099, "mes": "Nobody sees me."},
]  # fmt: skip


def jsonl_of(*rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=30)
LINE = st.text(st.characters(min_codepoint=33, exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=20)
TIMES = st.integers(0, 10**12).map(lambda ms: ms / 1000)
FACTS = st.fixed_dictionaries({"name": LINE, "value": LINE | st.integers(-9, 9), "unit": st.sampled_from(["", "%"])})
FINISHES = st.sampled_from([None, "stop", "edited"])


@st.composite
def messages(draw) -> DocMessage:
    alternative = st.builds(
        DocAlternative, WORDS, TIMES, FINISHES, hint=WORDS, status=st.none() | st.lists(FACTS, max_size=2).map(tuple)
    )
    alternatives = draw(
        st.lists(alternative, min_size=1, max_size=3).filter(lambda all_: any(one.text.strip() for one in all_))
    )
    return DocMessage(
        role=draw(st.sampled_from(["user", "character", "narrator", "system"])),
        name=draw(LINE),
        alternatives=tuple(alternatives),
        created_at=draw(TIMES),
        active=draw(st.integers(0, len(alternatives) - 1)),
        pinned=draw(st.booleans()),
        answer=draw(st.booleans()),
    )


def tales():
    return st.builds(
        ChatDocument,
        character_name=LINE.filter(bool),
        user_name=LINE.filter(bool),
        messages=st.lists(messages(), min_size=1, max_size=4).map(tuple),
        created_at=TIMES,
        title=LINE,
        user_persona=WORDS,
        author_note=WORDS.map(str.strip),
        reference=WORDS,
        settings=st.dictionaries(st.sampled_from(["temperature", "top_p"]), st.floats(0, 1), max_size=2),
        lore=st.dictionaries(LINE, st.lists(LINE, max_size=2), max_size=2),
    )
