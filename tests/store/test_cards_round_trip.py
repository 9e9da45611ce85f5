"""Whatever a card has, in whatever shape: in, kept, out and in again, nothing is lost and nothing is different."""

import base64
import copy
import json

from card_files import as_charx, as_json, as_webp, packed, picture, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import card_import, characters
from store.cards.files import read_card, write_json, write_png
from store.cards.normalize import KNOWN, TEXTS, repaired
from store.cards.report import findings
from store.cards.stored_card import data_of, envelope, record_of
from tests.harness.soak import n_examples

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
EXTENSIONS = st.dictionaries(
    WORDS | st.sampled_from(["depth_prompt", "world", "fav", "inglenook"]), ANYTHING, max_size=4
)
ENTRY = st.fixed_dictionaries(
    {"keys": st.lists(WORDS, max_size=3), "content": WORDS},
    optional={
        "extensions": EXTENSIONS,
        "enabled": st.booleans(),
        "constant": st.booleans() | st.none(),
        "selective": st.booleans(),
        "secondary_keys": st.lists(WORDS, max_size=2) | WORDS,
        "use_regex": st.booleans(),
        "case_sensitive": st.booleans() | st.none(),
        "insertion_order": NUMBERS | WORDS,
        "position": st.sampled_from(["before_char", "after_char", 0, 1, 4, "4", None]),
        "priority": NUMBERS,
        "id": NUMBERS | WORDS,
        "name": WORDS,
        "comment": WORDS,
        "their_own": ANYTHING,
    },
)
BOOK = st.fixed_dictionaries(
    {"entries": st.lists(ENTRY, max_size=4)},
    optional={
        "name": WORDS,
        "description": WORDS,
        "scan_depth": NUMBERS | WORDS | st.none(),
        "token_budget": NUMBERS,
        "recursive_scanning": st.booleans(),
        "extensions": EXTENSIONS,
        "their_own": ANYTHING,
    },
)
WORLD_INFO = st.builds(
    lambda entries: {"entries": {str(n): one for n, one in enumerate(entries)}}, st.lists(ENTRY, max_size=3)
)
ODD = ANYTHING  # every field is now and then of a shape that it should not have
FIELDS = {
    **dict.fromkeys(TEXTS, WORDS | st.none() | ODD),
    **dict.fromkeys(
        ["alternate_greetings", "group_only_greetings", "tags", "source"], st.lists(WORDS, max_size=3) | WORDS | ODD
    ),
    "extensions": EXTENSIONS | ODD,
    "character_book": BOOK | WORLD_INFO | st.lists(ENTRY, max_size=2) | ODD,
    "nickname": WORDS | ODD,
    "assets": st.lists(st.fixed_dictionaries({"type": WORDS, "uri": WORDS, "name": WORDS, "ext": WORDS}), max_size=2)
    | ODD,
    "creator_notes_multilingual": st.dictionaries(WORDS, WORDS, max_size=2) | ODD,
    "creation_date": NUMBERS | ODD,
    "modification_date": NUMBERS | ODD,
}
OPTIONAL = {name: field for name, field in FIELDS.items() if name != "name"}
OTHERS = st.dictionaries(
    WORDS.filter(lambda key: key not in {*KNOWN, "spec", "spec_version", "data", "entries"}), ANYTHING, max_size=3
)


@st.composite
def cards(draw):
    """A card of any version; fields may stand in `data`, outside of it, or in both places."""
    data = draw(st.fixed_dictionaries({"name": WORDS}, optional=OPTIONAL)) | draw(OTHERS)
    outer = draw(OTHERS)
    form = draw(st.sampled_from(["flat", "v2", "v3", "newer", "unnamed"]))
    if form == "flat":
        return {**outer, **data}
    for name in draw(st.lists(st.sampled_from(sorted(data)), max_size=2)):
        outer[name] = copy.deepcopy(data[name])
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2)):
        outer[name] = draw(FIELDS[name])
    spec = {
        "v2": {"spec": "chara_card_v2", "spec_version": "2.0"},
        "v3": {"spec": "chara_card_v3", "spec_version": "3.0"},
        "newer": {"spec": "chara_card_v9", "spec_version": draw(st.sampled_from(["9.1", 4, 3.5, "9"]))},
        "unnamed": {},
    }[form]
    return {**spec, "data": data, **outer}


CONTAINERS = {
    "json": as_json,
    "chara": lambda card: picture(text(b"chara", packed(card))),
    "ccv3": lambda card: picture(text(b"CCV3", packed(card).rstrip(b"="))),
    "lines": lambda card: picture(text(b"chara", base64.encodebytes(as_json(card)))),
    "charx": as_charx,
    "webp": lambda card: as_webp(packed(card)),
}


def same(one, other):
    """Equal as JSON: 1, 1.0 and true are three things."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def known_fields_are_whole(data, out):
    for name in {name for name in data if data[name] is not None} & KNOWN - {"name"}:
        mend = repaired(name, data[name])
        assert same(out.get(name), data[name]) or same(out.get(name), mend), name


@settings(max_examples=n_examples(80, 3000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cards(), st.sampled_from(sorted(CONTAINERS)))
def test_nothing_is_lost_on_the_way_in_and_out(card, container):
    read = read_card(CONTAINERS[container](card), "file.png").card
    kept = json.loads(json.dumps(read))  # as the database does
    assert same(kept, read)
    outs = write_json(kept), write_png(picture(), kept), picture(text(b"chara", base64.b64encode(write_json(kept))))
    for out in outs:
        again = read_card(out, "file.png").card
        assert same(data_of(again), data_of(kept))
        assert same(record_of(again).get("outer"), record_of(kept).get("outer"))
        assert same(envelope(again), envelope(kept))
    unknown_fields_are_untouched(card, envelope(kept))
    assert findings(kept)


def unknown_fields_are_untouched(card, out):
    flat = not isinstance(card.get("data"), dict)
    data = card if flat else card["data"]
    for name, value in card.items():
        if name not in KNOWN and name not in ("spec", "spec_version", "data"):
            assert same(out[name], value), name
    if not flat:
        for name in set(data) - KNOWN:
            assert same(out["data"][name], data[name]), name
        known_fields_are_whole(data, out["data"])


def test_a_card_goes_through_the_database_and_back(database, user):
    """The same on a real database, on fewer cards: what is kept there is what was read."""

    @settings(
        max_examples=n_examples(15, 300), deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(cards())
    def each(card):
        file = read_card(as_json(card), "file.json")
        brought = card_import.import_card(database, user, file.card)
        found = brought.character
        assert same(found.card, file.card)
        out = write_json(found.card)
        assert (
            card_import.import_card(database, user, read_card(out, "x").card).duplicate_of.id
            == (brought.duplicate_of or found).id
        )
        if not brought.duplicate_of:
            characters.delete_character(database, user, found.id)

    each()
