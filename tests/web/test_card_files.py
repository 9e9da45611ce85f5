"""Cards over HTTP: brought one by one and together, reported, named, doubled, taken along; in both languages."""

import ast
import io
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CHATS = [*(ROOT / "store" / "chat_files").glob("*.py"), ROOT / "store" / "chat_transfer.py"]
sys.path.insert(0, str(ROOT / "tests" / "store"))

from card_files import DATA, as_charx, as_json, as_png, packed, picture, text, v2, v3  # noqa: E402

from store import accounts, card_import, characters  # noqa: E402
from store.bundled import character_id  # noqa: E402
from store.cards import png  # noqa: E402
from store.cards.errors import PROBLEMS  # noqa: E402
from store.cards.files import read_card  # noqa: E402
from store.cards.stored_card import data_of, envelope  # noqa: E402
from store.import_findings import Finding  # noqa: E402
from store.lore import report as lore_report  # noqa: E402
from web.characters import card_files  # noqa: E402
from web.i18n.catalogue import translations_of  # noqa: E402
from web.i18n.sentences import SENTENCES  # noqa: E402
from web.rendering import field_labels, import_report  # noqa: E402


def send(browser, *files, page="/characters/bring"):
    """What comes back when these (name, bytes) are brought in."""
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(page).text)[1]
    parts = [("cards", (name, io.BytesIO(data))) for name, data in files]
    return browser.post("/characters/bring", {}, token, files=parts)


def mine(site, name="Ada"):
    who = accounts.find_user(site.database, name)
    return [one for one in characters.list_characters(site.database, who) if one.owner_id]


def codes(page):
    return re.findall(r'data-testid="arrival" data-code="(\w*)"', page)


@pytest.fixture
def kim(site):
    return site.browser().sign_up(site.invite("teen"), "Kim")


def test_a_card_comes_in_is_reported_named_and_rated(site, ada):
    answer = send(ada, ("Mo.png", as_png(v2())))
    (mo,) = mine(site)
    assert answer.url.endswith(f"/characters/{mo.id}/report")
    assert (mo.name, mo.rating, mo.card["tags"]) == ("Mo", "adult", ["cats", "cosy"])
    for verdict in import_report.VERDICTS:
        assert f'data-verdict="{verdict}"' in answer.text
    assert "Field “their/own”" in answer.text
    told = re.findall(r'class="field-name">(?!Field “)([^<]+)', answer.text)
    assert [name for name in told if re.search(r"[_.\[]|[a-z][A-Z]", name)] == []
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)[1]
    wrong = ada.post(f"/characters/{mo.id}/report", {"name": "x" * 81, "rating": "teen"}, token)
    assert (wrong.status_code, "x" * 81 in wrong.text) == (422, True)
    page = ada.post(f"/characters/{mo.id}/report", {"name": "Moritz", "rating": "teen"}, token)
    assert page.url.endswith(f"/characters/{mo.id}")
    assert f"/characters/{mo.id}/report" in page.text, "the report stays in reach"
    assert [(one.name, one.rating) for one in mine(site)] == [("Moritz", "teen")]


def test_the_picture_in_a_card_is_drawn_anew(site, ada):
    send(ada, ("Mo.png", picture(text(b"chara", packed(v2())), text(b"Comment", b"secret"))))
    (mo,) = mine(site)
    shown = ada.get("/pictures/" + mo.avatar.removeprefix("picture:"))
    assert shown.headers["Content-Type"] == "image/webp"
    assert b"secret" not in shown.content


def test_a_card_with_a_picture_that_cannot_be_read_comes_without(site, ada):
    answer = send(ada, ("Mo.charx", as_charx(v3(), {"assets/main.png": b"no picture at all"})))
    (mo,) = mine(site)
    assert mo.avatar == ""
    assert import_report.REASONS["no_picture"] in answer.text


def test_a_background_in_a_card_is_shown_behind_its_stories(site, ada):
    out = io.BytesIO()
    Image.new("RGB", (1800, 900), "navy").save(out, "PNG")
    assets = [{"type": "background", "uri": "embeded://sea.png", "name": "main", "ext": "png"}]
    answer = send(ada, ("Mo.charx", as_charx(v3({**DATA, "assets": assets}), {"sea.png": out.getvalue()})))
    (mo,) = mine(site)
    assert import_report.REASONS["background"] in answer.text
    assert import_report.REASONS["assets_unused"] not in answer.text
    shown = ada.get("/pictures/" + mo.background.removeprefix("picture:"))
    with Image.open(io.BytesIO(shown.content)) as drawn:
        assert (drawn.format, drawn.size) == ("WEBP", (1600, 800))
    broken = as_charx(v3({**DATA, "name": "Jo", "assets": assets}), {"sea.png": b"no picture"})
    assert import_report.REASONS["assets_unused"] in send(ada, ("Jo.charx", broken)).text


def test_several_files_at_once_each_by_itself(site, ada):
    files = [("a.json", as_json(v3())), ("b.gif", b"GIF89a"), ("c.png", picture()), ("d.json", as_json(v2()))]
    answer = send(ada, *files)
    assert answer.status_code == 200
    assert codes(answer.text) == ["", "unknown_file", "no_card_in_picture", ""]
    assert "This picture has no card." in answer.text
    assert "You have this character already." in answer.text
    assert len(mine(site)) == 1


def test_nothing_but_refused_files(ada):
    answer = send(ada, ("b.gif", b"GIF89a"))
    assert (answer.status_code, codes(answer.text)) == (422, ["unknown_file"])
    assert send(ada).status_code == 422
    assert send(ada, *[(f"{n}.gif", b"GIF89a") for n in range(12)]).text.count("too_many_files") == 2


def test_files_and_forms_that_are_too_large(ada, monkeypatch):
    assert codes(send(ada, ("a.json", b"{" + b" " * (8 << 20))).text) == ["file_too_large"]
    monkeypatch.setattr(card_files, "MAX_BYTES", 0)
    assert send(ada, ("a.json", b"{" + b" " * (2 << 20))).status_code == 413


def test_a_second_copy_on_wish(site, ada):
    send(ada, ("a.json", as_json(v3())))
    answer = send(ada, ("a.png", as_png(v3())))
    action = re.search(r'action="(/characters/\w+/copy)"', answer.text)[1]
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', answer.text)[1]
    assert len(mine(site)) == 1
    assert ada.post(action, {}, token).url.endswith("/report")
    assert [one.name for one in mine(site)] == ["Mo", "Mo"]


def test_a_card_without_a_name_is_asked_for_one(site, ada):
    answer = send(ada, ("my_cat.json", as_json(v3({**DATA, "name": ""}))))
    assert "What are they called?" in answer.text
    assert [one.name for one in mine(site)] == ["my cat"]


def test_only_adults_bring_cards(site, kim):
    page = kim.get("/characters/bring")
    assert 'data-testid="adults-bring"' in page.text
    assert "bring-character" not in kim.get("/").text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)[1]
    answer = kim.post("/characters/bring", {}, token, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "adults_bring")
    assert mine(site, "Kim") == []


def test_the_rule_stands_where_cards_come_in(ada):
    assert "nothing sexual with anybody under age" in ada.get("/characters/bring").text


@pytest.mark.parametrize("ending", ["png", "json"])
def test_what_is_taken_along_comes_in_the_same(site, ada, ending):
    odd = v3({**DATA, "description": "Two\r\nlines, 猫", "extensions": {"x": [1, 2.5, None]}}, their=[{"own": 1}])
    send(ada, ("a.png", as_png(odd, b"ccv3")))
    (mo,) = mine(site)
    answer = ada.get(f"/characters/{mo.id}/card.{ending}")
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="Mo.{ending}"')
    assert answer.headers["Cache-Control"] == "no-store"
    out = read_card(answer.content, "x").card
    assert envelope(out) == odd
    assert "You have this character already." in send(ada, ("b." + ending, answer.content)).text


@pytest.mark.parametrize("slug", ["mara", "yanqiu"])
def test_bundled_characters_are_taken_along_too(site, kim, slug):
    address = f"/characters/{character_id(slug)}/card"
    answer = kim.get(address + ".png")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (400, 400)
    who = accounts.find_user(site.database, "Kim")
    character = characters.get_character(site.database, who, character_id(slug))
    card = data_of(read_card(answer.content, "x").card)
    assert card["extensions"]["inglenook"]["tagline"] == character.tagline
    assert {**card, "extensions": 0, "name": 0} == {**card, **character.card, "extensions": 0, "name": 0}
    assert json.loads(kim.get(address + ".json").content)["data"] == card
    name = answer.headers["Content-Disposition"]
    assert name.isascii()
    assert "filename*=UTF-8''" in name


def test_who_has_no_picture_gets_a_plain_one(site, ada):
    send(ada, ("a.json", as_json(v3())))
    (mo,) = mine(site)
    data = ada.get(f"/characters/{mo.id}/card.png").content
    assert set(png.texts(data, ("chara", "ccv3"))) == {"chara", "ccv3"}


def test_what_a_card_says_of_itself_is_shown_and_harmless(site, ada):
    hostile = {**DATA, "creator": "<script>x</script>", "creator_notes": "<img src=x onerror=x>", "<em id=x>": 1}
    report = send(ada, ("<i>.json", as_json(v3({**hostile, "name": "<u>Mo"})))).text
    (mo,) = mine(site)
    page = ada.get(f"/characters/{mo.id}").text
    for bad in ("<script>x", "<img src=x", "<em id=x>", "<u>Mo", "<i>"):
        assert bad not in report, bad
        assert bad not in page, bad
    assert "made by &lt;script&gt;" in page


def test_notes_for_people_in_their_language(site, ada):
    send(ada, ("a.json", as_json(v3())))
    (mo,) = mine(site)
    assert "A good cat." in ada.get(f"/characters/{mo.id}").text
    ada.submit("/settings", {"locale": "zh", "theme": "auto"}, "/settings/look")
    page = ada.get(f"/characters/{mo.id}").text
    assert "一只好猫。" in page
    report = ada.get(f"/characters/{mo.id}/report").text
    assert translations_of("zh").gettext("Always known to the storyteller.") in report


class TestWords:
    def test_every_problem_of_a_file_can_be_said_in_chinese(self):
        assert set(PROBLEMS) <= set(SENTENCES)
        for sentence in PROBLEMS.values():
            assert translations_of("zh").gettext(sentence) != sentence

    def test_every_reason_of_a_finding_has_a_sentence(self):
        """Every text that stands third in a Finding(...), or in a table of such, is a reason that web knows."""
        used = set()
        for path in [*(ROOT / "store" / "cards").glob("*.py"), *(ROOT / "store" / "lore").glob("report.py"), *CHATS]:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding" and len(node.args) > 2:
                    used |= {one.value for one in ast.walk(node.args[2]) if isinstance(one, ast.Constant)}
                if isinstance(node, ast.Tuple | ast.List):
                    words = [one.value for one in node.elts if isinstance(one, ast.Constant)]
                    if words and words[0] in import_report.VERDICTS:
                        used |= {word for word in words[-1:] if isinstance(word, str)} - set(import_report.VERDICTS)
        assert len(used) > 20
        assert used - set(import_report.REASONS) - {"", *map(str, range(9))} == set()

    def test_no_field_that_lorebooks_of_other_programs_have_is_told_by_its_raw_name(self):
        names = lore_report._APPLIED | lore_report._PLACES | lore_report._BOOK | lore_report._RECURSION
        others = {"vectorized", "group", "groupWeight", "automationId", "selectiveLogic", "useGroupScoring"}
        for name in names | others:
            assert name in field_labels.LABELS
        assert field_labels.field_label("data.character_book.entries[].extensions.sticky") == "Sticky"
        assert field_labels.field_label("book.entries[].content @@odd") == "@@odd"
        assert field_labels.field_label("data.extensions.their/own") == "Field “their/own”"

    def test_findings_that_say_the_same_share_a_line(self):
        told = import_report.report_lines([Finding("kept", f"data.{name}", "unused") for name in ("a", "b")])
        (line,) = told["kept"]
        assert line.fields == ("Field “a”", "Field “b”")
        assert import_report.sentence(Finding("kept", "x", "nobody_wrote_this")) == "nobody_wrote_this"
        assert card_import.IMPORT_ROLES
