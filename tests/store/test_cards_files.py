"""Cards come in from every container in every wording, and go out again with all that they had."""

import base64
import copy
import io
import json
import struct
import zlib

import card_files as files
import pytest
from card_files import DATA, ENTRY, V1, as_charx, as_json, as_png, as_webp, packed, picture, text, v2, v3

from store.cards import charx, png
from store.cards.errors import MAX_FILE_BYTES, PROBLEMS, CardError
from store.cards.files import read_card, write_json, write_png
from store.cards.report import findings
from store.cards.stored_card import data_of, envelope, is_same, notes_of, record_of, tagline_of, with_tagline

CONTAINERS = {
    "json": as_json,
    "json with a mark": lambda card: b"\xef\xbb\xbf" + as_json(card),
    "png chara": as_png,
    "png ccv3": lambda card: as_png(card, b"ccv3"),
    "png CHARA": lambda card: as_png(card, b"CHARA"),
    "png zTXt": lambda card: picture(files.ztext(b"chara", packed(card))),
    "png iTXt": lambda card: picture(files.itext(b"ccv3", packed(card))),
    "png iTXt packed": lambda card: picture(files.itext(b"ccv3", packed(card), compressed=True)),
    "png plain": lambda card: picture(text(b"chara", as_json(card))),
    "png without padding": lambda card: picture(text(b"chara", packed(card).rstrip(b"="))),
    "png for URLs": lambda card: picture(text(b"chara", packed(card).translate(bytes.maketrans(b"+/", b"-_")))),
    "png in lines": lambda card: picture(text(b"chara", base64.encodebytes(as_json(card)))),
    "charx": as_charx,
    "charx behind a photo": lambda card: b"\xff\xd8\xff\xe0 a photo" + as_charx(card),
    "webp": lambda card: as_webp(as_json(card)),
    "webp base64": lambda card: as_webp(packed(card), order=">"),
    "webp wide": lambda card: as_webp(as_json(card).decode().encode("utf-16-le"), encoding=b"UNICODE\0"),
    "webp description": lambda card: as_webp(packed(card), tag=0x010E),
}


def refusal(data, filename="mo.png"):
    with pytest.raises(CardError) as refused:
        read_card(data, filename)
    assert "{" not in PROBLEMS[refused.value.reason].format(**refused.value.values)
    return refused.value.code


def reasons(card, verdict=None):
    return {(one.field, one.reason) for one in findings(card) if verdict in (None, one.verdict)}


class TestContainers:
    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("wrap", [v2, v3], ids=["v2", "v3"])
    def test_a_card_comes_out_of_it(self, container, wrap):
        read = read_card(CONTAINERS[container](wrap()), "mo.png")
        assert data_of(read.card) == DATA
        assert read.name == "Mo"
        assert [one.reason for one in notes_of(read.card)] == []

    def test_the_newer_of_two_cards_counts(self):
        old, new = v2({**DATA, "name": "Old"}), v3({**DATA, "name": "New"})
        data = picture(text(b"chara", packed(old)), text(b"ccv3", packed(new)))
        assert read_card(data, "x").name == "New"

    def test_an_older_card_stands_in_for_one_that_cannot_be_read(self):
        data = picture(text(b"ccv3", b"!!"), text(b"chara", packed(v2())))
        read = read_card(data, "x")
        assert data_of(read.card) == DATA
        assert notes_of(read.card)[0].reason == "fallback"

    def test_the_picture_comes_without_the_texts(self):
        data = picture(text(b"chara", packed(v2())), text(b"Comment", b"x" * 500), files.chunk(b"eXIf", b"where"))
        assert read_card(data, "x").picture == picture()

    def test_the_main_icon_of_an_archive_is_the_picture(self):
        data = as_charx(v3(), {"assets/main.png": b"the picture", "assets/sad.png": b"another", "assets/": b""})
        read = read_card(data, "x.charx")
        assert read.picture == b"the picture"
        (note,) = notes_of(read.card)
        assert (note.reason, note.values) == ("assets_left_out", {"n": 1})

    def test_the_background_of_an_archive_comes_along_and_the_main_one_is_first(self):
        assets = [
            {"type": "background", "uri": "embeded://assets/hall.png", "name": "hall", "ext": "png"},
            {"type": "background", "uri": "embeded://assets/sea.png", "name": "main", "ext": "png"},
            {"type": "background", "uri": "https://cats.invalid/sea.png", "name": "main", "ext": "png"},
        ]
        archive = {"assets/hall.png": b"a hall", "assets/sea.png": b"the sea", "assets/main.png": b"the picture"}
        read = read_card(as_charx(v3({**DATA, "assets": [*DATA["assets"], *assets]}), archive), "x.charx")
        assert (read.picture, read.background) == (b"the picture", b"the sea")
        assert [note.values for note in notes_of(read.card)] == [{"n": 1}]
        only = read_card(as_charx(v3({**DATA, "assets": assets[2:]}), archive), "x.charx")
        assert only.background is None, "an address in a card is never followed"

    def test_a_large_background_is_refused_like_a_large_picture(self):
        assets = [{"type": "background", "uri": "embeded://sea.png", "name": "main", "ext": "png"}]
        with pytest.raises(CardError) as refused:
            read_card(as_charx(v3({**DATA, "assets": assets}), {"sea.png": b"\0" * (9 << 20)}), "x.charx")
        assert refused.value.code == "file_too_large"

    def test_many_chunks_of_pixels_are_no_harm(self):
        assert read_card(picture(text(b"chara", packed(v2())), n_pixels=80), "x").name == "Mo"


class TestRefusals:
    """Every code of PROBLEMS is met here."""

    ARCHIVE = as_charx(v3())

    CASES = (
        ("empty_file", b""),
        ("file_too_large", b"{" + b" " * MAX_FILE_BYTES),
        ("unknown_file", b"GIF89a"),
        ("no_card_in_picture", picture()),
        ("no_card_in_picture", b"\xff\xd8\xff\xe0 a photo"),
        ("no_card_in_picture", as_webp(b"A photo of a cat.")),
        ("no_card", as_json({"hello": 1})),
        ("no_card", b"[]"),
        ("is_lorebook", as_json({"spec": "lorebook_v3", "data": {"entries": []}})),
        ("is_lorebook", as_json({"entries": {"0": ENTRY}, "name": "Fish"})),
        ("is_chat", b'{"user_name":"Ada","character_name":"Mo"}\n{"name":"Mo","mes":"Meow."}\n'),
        ("cut_off", as_png(v2())[:-20]),
        ("cut_off", as_webp(as_json(v2()))[:-20]),
        ("damaged", picture(files.chunk(b"tEXt", b"chara\0" + packed(v2()), crc=1))),
        ("too_many_chunks", picture(*[text(b"a", b"b")] * 70)),
        ("bad_base64", picture(text(b"chara", b"????"))),
        ("bad_text", picture(text(b"chara", base64.b64encode(b'{"name":"\xff"}')))),
        ("bad_json", b'{"name": "Mo",\n}'),
        ("bad_json", picture(text(b"chara", base64.b64encode(as_json(v2())[:-9])))),
        ("bad_number", b'{"name": "Mo", "x": 1e999}'),
        ("bad_number", b'{"name": "Mo", "x": NaN}'),
        ("bad_number", b'{"name": "Mo", "x": ' + b"9" * 5000 + b"}"),
        ("too_deep", b'{"name": "Mo", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
        ("too_many_values", b'{"name": "Mo", "x": [' + b"0," * 200_000 + b"0]}"),
        ("card_too_large", as_json({"name": "x" * (1 << 20)})),
        ("card_too_large", picture(files.ztext(b"chara", b"a" * (64 << 20)))),
        ("bad_compression", picture(files.chunk(b"zTXt", b"chara\0\0not packed"))),
        ("bad_zip", ARCHIVE[:-22] + ARCHIVE[-22:].replace(b"PK\x05\x06\0\0", b"PK\x05\x06\0\0")[:-6] + b"\xff" * 6),
        ("zip_too_large", ARCHIVE[:-12] + struct.pack("<H", 60_000) + ARCHIVE[-10:]),
        ("zip_unsupported", ARCHIVE.replace(b"\x08\0", b"\x0c\0")),
        ("no_card_in_zip", as_charx(v3()).replace(b"card.json", b"cord.json")),
    )

    @pytest.mark.parametrize(("code", "data"), CASES, ids=[f"{n} {code}" for n, (code, _) in enumerate(CASES)])
    def test_a_file_is_refused_with_its_reason(self, code, data):
        assert refusal(data) == code

    def test_every_reason_is_met(self):
        assert {code for code, _ in self.CASES} == set(PROBLEMS)

    def test_an_archive_that_unpacks_to_too_much(self):
        bomb = as_charx(v3(), {"assets/main.png": b"\0" * (9 << 20)})
        assert refusal(bomb) == "file_too_large"
        assert refusal(as_charx({"name": "x" * (2 << 20)})) == "card_too_large"

    def test_a_bad_line_is_named(self):
        with pytest.raises(CardError) as refused:
            read_card(b'{"name": "Mo",\n\n}', "x")
        assert (refused.value.code, refused.value.values) == ("bad_json", {"line": 3})


TOLERANCES = {
    "flat": (V1, {}, set()),
    "flat and more": ({**V1, "avatar": "none", "chat": "x"}, {}, {("avatar", "unknown"), ("chat", "unknown")}),
    "tags as a text": (v2({**DATA, "tags": "cats, cosy"}), {"tags": ["cats", "cosy"]}, {("data.tags", "was_text")}),
    "one greeting": (
        v2({**DATA, "alternate_greetings": "Miau."}),
        {"alternate_greetings": ["Miau."]},
        {("data.alternate_greetings", "was_text")},
    ),
    "no greetings": (v2({**DATA, "alternate_greetings": ""}), {"alternate_greetings": []}, set()),
    "no book": (v2({**DATA, "character_book": None}), {"character_book": None}, set()),
    "book outside": (
        v2({key: value for key, value in DATA.items() if key != "character_book"}, character_book={"entries": [ENTRY]}),
        {"character_book": {"entries": [ENTRY]}},
        {("data.character_book", "outside_data")},
    ),
    "book as a list": (
        v2({**DATA, "character_book": [ENTRY]}),
        {"character_book": {"entries": [ENTRY], "extensions": {}}},
        set(),
    ),
    "nothing is null": (v3(dict.fromkeys(DATA) | {"name": "Mo"}), {"description": "", "tags": []}, set()),
    "a number for a text": (v2({**DATA, "creator": 7}), {"creator": "7"}, {("data.creator", "was_number")}),
    "an object for a text": (
        v2({**DATA, "description": {"a": 1}}),
        {"description": ""},
        {("data.description", "odd_shape")},
    ),
    "greetings of all sorts": (
        v2({**DATA, "alternate_greetings": ["a", 1, None]}),
        {"alternate_greetings": ["a"]},
        {("data.alternate_greetings", "odd_shape")},
    ),
    "extensions as a list": (v2({**DATA, "extensions": []}), {"extensions": {}}, set()),
    "newer": ({**v3(), "spec_version": "3.7"}, {}, {("spec_version", "newer_version")}),
    "newer, a number": ({**v3(), "spec_version": 4}, {}, {("spec_version", "newer_version")}),
    "no spec": ({"data": DATA}, {}, set()),
    "a very long name": (v2({**DATA, "name": "Mo " * 90}), {"name": ("Mo " * 27)[:80].strip()}, set()),
    "broken pairs": (v2({**DATA, "creator": "A\ud800\0"}), {"creator": "A\ufffd\ufffd"}, {("", "broken_characters")}),
    "everything twice": (v2(DATA, **{**V1, "description": "another"}), {}, {("description", "other_copy")}),
    "our own record": (v2({**DATA, "_inglenook": {"outer": 1}}), {}, set()),
    "data is no object": ({**V1, "data": "x"}, {}, {("data.data", "unknown")}),
    "entries have odd places": (
        v2({**DATA, "character_book": {"entries": [{**ENTRY, "position": 4}]}}),
        {},
        {("data.character_book.entries[].position", "lore_place")},
    ),
}


class TestTolerances:
    @pytest.mark.parametrize("case", TOLERANCES)
    def test_a_card_is_read_as_it_was_meant_and_says_so(self, case):
        card, changes, told = TOLERANCES[case]
        given = copy.deepcopy(card)
        read = read_card(json.dumps(card).encode(), "x.json").card
        assert {name: read.get(name) for name in changes} == changes
        assert told <= reasons(read)
        assert card == given

    @pytest.mark.parametrize("case", TOLERANCES)
    def test_what_goes_out_comes_in_the_same(self, case):
        read = read_card(json.dumps(TOLERANCES[case][0]).encode(), "x.json").card
        again = read_card(write_json(read), "x.json").card
        assert envelope(again) == envelope(read)
        assert is_same(read, again)

    def test_what_a_mend_would_lose_goes_out_as_it_came(self):
        odd = v3({**DATA, "description": {"a": 1}, "alternate_greetings": ["a", 1], "extensions": "x"}, own=[1, 2.50])
        assert envelope(read_card(as_json(odd), "x").card) == odd

    def test_until_somebody_writes_something_better(self):
        read = read_card(as_json(v3({**DATA, "description": {"a": 1}})), "x").card
        assert data_of({**read, "description": "Better."})["description"] == "Better."

    def test_mirrors_follow_what_is_changed(self):
        read = read_card(as_json(v2(DATA, name="Mo", description="another")), "x").card
        out = envelope({**read, "name": "Moritz"})
        assert (out["name"], out["data"]["name"], out["description"]) == ("Moritz", "Moritz", "another")

    @pytest.mark.parametrize(
        ("filename", "name"),
        [
            ("Mo_the_cat.png", "Mo the cat"),
            ("C:\\cards\\Mo.json", "Mo"),
            (".png", ".png"),
            ("", "?"),
            ("../a/b.c", "b"),
        ],
    )
    def test_the_file_gives_a_name_where_the_card_has_none(self, filename, name):
        read = read_card(as_json(v2({**DATA, "name": " "})), filename)
        assert read.name == name
        assert ("data.name", "no_name") in reasons(read.card)


class TestGoingOut:
    def test_a_picture_keeps_all_its_other_chunks(self):
        before = picture(text(b"Comment", b"by hand"), text(b"Chara", b"old"), files.ztext(b"ccv3", b"old"))
        card = read_card(as_json(v3()), "x").card
        after = write_png(before, card)
        plain = [one for one in png.chunks(before) if b"old" not in one[1] and one[0] != b"zTXt"]
        assert [one for one in png.chunks(after) if not one[1].startswith((b"chara\0", b"ccv3\0"))] == plain
        assert [kind for kind, _ in png.chunks(after)][-3:] == [b"tEXt", b"tEXt", b"IEND"]
        found = png.texts(after, ("chara", "ccv3"))
        assert json.loads(base64.b64decode(found["chara"])) == {**v2(), "data": DATA}
        assert json.loads(base64.b64decode(found["ccv3"])) == v3()
        assert zlib.crc32(after) == zlib.crc32(write_png(after, card))

    def test_only_a_png_takes_a_card(self):
        with pytest.raises(CardError) as refused:
            write_png(b"\xff\xd8\xff", {"name": "Mo"})
        assert refused.value.code == "unknown_file"

    def test_a_newer_card_stays_one(self):
        card = read_card(as_json({**v3(), "spec_version": "3.7"}), "x").card
        assert envelope(card)["spec_version"] == "3.7"
        assert envelope(card, 2)["spec_version"] == "2.0"

    def test_the_line_for_the_library_travels_along(self):
        card = with_tagline({"name": "Mo", "extensions": {"x": 1, "inglenook": {"status": []}}}, "Purrs.")
        assert tagline_of(read_card(write_json(card), "x").card) == "Purrs."
        assert with_tagline(card, "")["extensions"] == {"x": 1, "inglenook": {"status": []}}
        assert with_tagline({"name": "Mo"}, "") == {"name": "Mo"}

    def test_a_card_that_was_written_here_has_no_record(self):
        assert record_of({"name": "Mo"}) == {}
        assert envelope({"name": "Mo"}) == v3({"name": "Mo"})


class TestReport:
    def test_every_field_of_a_full_card_is_told(self):
        card = read_card(as_charx(v3(own=1), {"assets/main.png": b"x"}), "x").card
        told = {one.field.split(".entries")[0] for one in findings(card)}
        plain = {f"data.{name}" for name in DATA if name not in ("extensions", "assets", "first_mes")}
        assert told >= {*plain, "own", "data.extensions.fav", "data.extensions.their/own"}

    def test_it_tells_what_is_applied_and_what_is_not(self):
        card = read_card(as_json(v3()), "x").card
        assert ("data.description", "persona") in reasons(card, "applied")
        assert ("data.post_history_instructions", "after_story") in reasons(card, "applied")
        assert ("data.extensions.depth_prompt", "near_the_end") in reasons(card, "approximated")
        assert ("data.group_only_greetings", "groups_only") in reasons(card, "kept")
        assert ("data.not_in_any_version", "unknown") in reasons(card, "kept")

    def test_a_lorebook_that_is_only_named(self):
        card = {"name": "Mo", "extensions": {"world": "Fish"}}
        assert reasons(card, "kept") == {("data.extensions.world", "world")}

    def test_a_flood_of_fields_is_told_in_part(self):
        card = {"name": "Mo", **{"x" * 500 + str(n): n for n in range(3000)}}
        assert len(findings(card)) == 400
        assert max(len(one.field) for one in findings(card)) <= 80


def test_an_archive_in_which_two_files_have_one_name_gives_the_first():
    import warnings
    import zipfile

    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("card.json", b"1")
        archive.writestr("card.json", b"2")
    data = out.getvalue()
    assert charx.unpack(data, charx.list_files(data)["card.json"], 9, "no_card") == b"1"
