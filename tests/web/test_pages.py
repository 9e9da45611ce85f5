"""The plain pages over real HTTP: settings, people, personas, characters, the shelf of stories."""

import datetime as dt
import io
import re

import pytest
from PIL import Image
from sqlalchemy import text

from store import accounts, characters, chats, edits, personas, pictures, turns
from tests.harness.people import PASSWORD, Browser
from tests.harness.socket_client import Closed
from web.stories import home

NEW_PASSWORD = "another seat, warmer still"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def photo(size=(640, 480), kind="JPEG", **options):
    out = io.BytesIO()
    Image.new("RGB", size, "#b3421a").save(out, kind, **options)
    return out.getvalue()


class Member(Browser):
    """Somebody who has signed up."""

    def __init__(self, site, name="Ada", role="adult"):
        super().__init__(site.address)
        self.sign_up(site.invite(role), name)
        self.view = accounts.find_user(site.database, name)

    def send(self, action, form=None, page="/", files=None):
        """Send a form as the page would; follow no redirects."""
        token = TOKEN.search(self.get(page).text).group(1)
        data = {**(form or {}), "csrf_token": token}
        return self.http.post(self.address + action, data=data, files=files, timeout=60, allow_redirects=False)

    def character(self, files=None, **form):
        answer = self.send("/characters", {"name": "Mo", **form}, files=files)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"].rsplit("/", 1)[1]


@pytest.fixture
def member(site):
    return lambda name="Ada", role="adult": Member(site, name, role)


@pytest.fixture
def me(member):
    return member()


@pytest.fixture
def boss(member):
    return member("Root", "admin")


def code_of(answer):
    return re.search(r'data-code="([\w-]+)"', answer.text).group(1)


@pytest.mark.parametrize(
    ("page", "link"),
    [("/", "to-stories"), ("/books", "to-books"), ("/personas", "to-personas"), ("/settings", "to-settings")],
)
def test_the_navigation_marks_the_page(ada, page, link):
    marked = re.findall(r'aria-current="page"[^>]*data-testid="([^"]+)"', ada.get(page).text)
    assert marked == [link]


class TestSettings:
    def test_how_a_reply_is_told_is_kept(self, me, database):
        for form in ({"notify": "on", "sound": "on"}, {"sound": "on"}, {}):
            me.send("/settings/done", form)
            kept = accounts.get_user(database, me.view.id)
            assert (kept.notify, kept.sound) == ("notify" in form, "sound" in form)

    def test_theme_and_language_are_kept(self, me, database):
        me.send("/settings/look", {"theme": "dark", "locale": "zh", "text_size": "large"})
        kept = accounts.get_user(database, me.view.id)
        assert (kept.theme, kept.locale, kept.text_size) == ("dark", "zh", "large")
        assert 'data-text="large"' in me.get("/").text
        page = me.get("/settings").text
        assert 'name="color-scheme" content="dark"' in page
        assert re.search(r'dark\.css">', page)
        me.send("/settings/look", {"theme": "pink", "locale": "zh"})
        assert code_of(me.get("/settings")) == "bad_preference"

    def test_a_new_password_needs_the_old_one_and_ends_other_sessions(self, site, me):
        other = Browser(site.address)
        other.submit("/login", {"name": "Ada", "password": PASSWORD})
        wrong = me.send("/settings/password", {"old_password": "not mine", "new_password": NEW_PASSWORD})
        assert (wrong.status_code, wrong.headers["Location"]) == (302, "/settings#change-password")
        page = me.get("/settings").text
        assert "This is not your password." in page
        assert re.search(r'aria-invalid="true"[^>]*id="old_password"|id="old_password" aria-invalid="true"', page)
        assert page.count('id="password"') == 1, "the label of the last form names its own field"
        assert me.get("/settings").text != page, "it is said once"
        me.send("/settings/password", {"old_password": PASSWORD, "new_password": "short"})
        assert 'data-testid="new-password-error">A password has 8 characters or more' in me.get("/settings").text
        assert other.get("/settings").url == site.address + "/settings"
        assert (
            me.send("/settings/password", {"old_password": PASSWORD, "new_password": NEW_PASSWORD}).status_code == 302
        )
        assert me.get("/settings").url == site.address + "/settings"
        assert other.get("/settings").url.startswith(site.address + "/login")
        assert other.submit("/login", {"name": "Ada", "password": NEW_PASSWORD}).url == site.address + "/"

    def test_signing_out_everywhere_else(self, site, me):
        other = Browser(site.address)
        other.submit("/login", {"name": "Ada", "password": PASSWORD})
        assert me.send("/settings/sign-out-everywhere").status_code == 302
        assert me.get("/").url == site.address + "/"
        assert other.get("/").url.startswith(site.address + "/login")

    def test_my_data_is_a_file_with_everything_and_no_secret(self, site, me):
        me.begin_chat(site.mara)
        answer = me.get("/settings/data")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Cache-Control"] == "no-store"
        data = answer.json()
        assert (data["account"]["name"], len(data["chats"]), "argon2" in answer.text) == ("Ada", 1, False)
        assert [me.get("/settings/data").status_code for _ in range(6)][-1] == 429

    def test_leaving_needs_the_password_and_leaves_nothing(self, site, me, database):
        me.begin_chat(site.mara)
        assert me.send("/settings/delete", {"password": "not mine"}).headers["Location"] == "/settings#leave"
        assert 'data-testid="farewell-password-error">This is not your password.' in me.get("/settings").text
        assert me.send("/settings/delete", {"password": PASSWORD}).headers["Location"] == "/login"
        assert accounts.get_user(database, me.view.id) is None
        assert me.get("/").url.startswith(site.address + "/login")

    def test_the_last_admin_stays(self, boss, database):
        assert boss.send("/settings/delete", {"password": PASSWORD}).headers["Location"] == "/settings#leave"
        assert "only admin" in boss.get("/settings").text
        assert accounts.has_admin(database)

    def test_guessing_the_password_of_an_open_session_is_slowed_down(self, me):
        tries = [
            me.send("/settings/password", {"old_password": f"{n}", "new_password": NEW_PASSWORD}) for n in range(6)
        ]
        tries += [me.send("/settings/delete", {"password": f"{n}"}) for n in range(4)]
        assert [one.status_code for one in tries] == [302] * 8 + [429] * 2


def person_wrong(page):
    """The code of what is wrong in the form of a person."""
    found = re.search(r'data-testid="person-wrong" data-code="([^"]+)"', page)
    return found and found[1]


class TestPeople:
    def test_only_an_admin_gets_in(self, me, boss):
        assert me.get("/people").status_code == 403
        assert "/people" not in me.get("/").text
        assert "Root" in boss.get("/people").text

    def test_an_invitation_is_shown_once_and_works(self, site, boss):
        answer = boss.send("/people/invitations", {"role": "child", "days": "1"}, page="/people")
        link = re.search(r'value="(http[^"]+/invite/[^"]+)"', answer.text).group(1)
        assert link.startswith(site.address)
        assert 'data-testid="only-here"' in answer.text, "this server listens on 127.0.0.1"
        assert 'data-testid="qr"' in answer.text
        assert link not in boss.get("/people").text
        child = Browser(site.address).sign_up(link.removeprefix(site.address), "Kim")
        assert "/people" not in child.get("/").text
        assert accounts.find_user(site.database, "Kim").role == "child"
        assert 'data-state="used"' in boss.get("/people").text

    def test_an_invitation_can_be_revoked(self, site, boss, database):
        boss.send("/people/invitations", {"role": "teen", "days": "30"})
        invite = next(one for one in accounts.list_invites(database) if one.created_by == boss.view.id)
        assert invite.expires_at - invite.created_at == 30 * 86_400
        boss.send(f"/people/invitations/{invite.id}/revoke")
        assert accounts.list_invites(database)[0].revoked_at
        boss.send("/people/invitations", {"role": "king"})
        assert code_of(boss.get("/people")) == "bad_role"

    def test_limits_and_roles(self, me, boss, database):
        form = {"role": "teen", "daily_minutes": "45", "quiet_from": "21:00", "quiet_until": "07:00"}
        boss.send(f"/people/{me.view.id}", form)
        kim = accounts.get_user(database, me.view.id)
        assert (kim.role, kim.daily_minutes, kim.quiet_from, kim.quiet_until) == ("teen", 45, "21:00", "07:00")
        for wrong in ("0", "-5", "1.5", "９", "9" * 30):
            answer = boss.submit("/people", {**form, "role": "child", "daily_minutes": wrong}, f"/people/{me.view.id}")
            assert person_wrong(answer.text) == "bad_limit.minutes"
            assert f'name="daily_minutes" type="number" min="1" max="1440" value="{wrong}"' in answer.text
            assert '<option value="child" selected>' in answer.text, "what else was typed is there, too"
            assert accounts.get_user(database, me.view.id) == kim, "and nothing of it is saved"
        half = boss.submit("/people", {**form, "quiet_until": ""}, f"/people/{me.view.id}")
        assert person_wrong(half.text) == "bad_limit.half"
        assert person_wrong(boss.get("/people").text) is None
        boss.send(f"/people/{me.view.id}", {"role": "adult", "daily_minutes": ""})
        assert accounts.get_user(database, me.view.id).daily_minutes is None
        last = boss.submit("/people", {"role": "adult", "daily_minutes": "30"}, f"/people/{boss.view.id}")
        assert person_wrong(last.text) == "last_admin"
        assert accounts.get_user(database, boss.view.id).daily_minutes is None


class TestQuietTime:
    """It is said on the home page and above the box, before it is met as a refusal."""

    @pytest.mark.parametrize(
        ("starts_in_min", "home", "chat"), [(120, "later", "later"), (45, "soon", "later"), (15, "soon", "soon")]
    )
    def test_it_is_said_before(self, site, me, database, starts_in_min, home, chat):
        moment = dt.datetime.now() + dt.timedelta(minutes=starts_in_min)
        end = moment + dt.timedelta(hours=8)
        accounts.set_limits(database, me.view.id, None, f"{moment:%H:%M}", f"{end:%H:%M}")
        assert f'data-soon="60" data-state="{home}"' in me.get("/").text
        page = me.get(f"/chat/{me.begin_chat(site.mara)}").text
        assert f'data-soon="30" data-state="{chat}"' in page
        assert f"Quiet time begins at {moment:%H:%M}" in page

    def test_and_while_it_is(self, me, database):
        now = dt.datetime.now()
        times = (f"{now - dt.timedelta(minutes=5):%H:%M}", f"{now + dt.timedelta(minutes=30):%H:%M}")
        accounts.set_limits(database, me.view.id, None, *times)
        assert 'data-state="now"' in me.get("/").text
        assert f"It is quiet time until {times[1]}" in me.get("/").text

    def test_who_has_none_reads_nothing_of_it(self, me):
        assert "quiet-time" not in me.get("/").text


CARD = {
    "name": "Mo",
    "first_mes": "Good evening, {{user}}. <b>{{persona}}</b>",
    "alternate_greetings": ["", "Meow, {{user}}!"],
}


class TestOpenings:
    """How a story with a character begins is shown before, for each persona."""

    @pytest.fixture
    def mo(self, database, me):
        return characters.save_character(database, me.view, CARD)

    def test_it_follows_the_persona_and_has_all_greetings(self, me, mo, database):
        captain = personas.save_persona(database, me.view.id, "Ann", "{{user}} is a captain of {{char}}.")
        page = me.get(f"/characters/{mo.id}").text
        assert page.count("data-opening=") == 2
        assert "Good evening, Ada." in page
        piece = me.get(f"/characters/{mo.id}/openings?persona={captain.id}").text
        assert "Good evening, Ann. &lt;b&gt;Ann is a captain of Mo.&lt;/b&gt;" in piece
        assert "Meow, Ann!" in piece
        named = me.get(f"/characters/{mo.id}/openings?persona={captain.id}&name=Cap").text
        assert "Meow, Cap!" in named
        assert "Cap is a captain" in named

    def test_a_name_that_cannot_be_one_is_that_of_the_persona(self, me, mo):
        assert "Meow, Ada!" in me.get(f"/characters/{mo.id}/openings?name={'x' * 41}").text
        assert "Meow, Ada!" in me.get(f"/characters/{mo.id}/openings?name=%00").text

    def test_a_persona_of_somebody_else_is_not_there(self, boss, me, mo, database):
        foreign = personas.save_persona(database, boss.view.id, "Root", "A secret.")
        assert me.get(f"/characters/{mo.id}/openings?persona={foreign.id}").status_code == 404

    @pytest.mark.parametrize(("opening", "text"), [("1", "Meow, Ada!"), ("0", "Good evening"), ("7", "Good evening")])
    def test_a_story_begins_with_the_greeting_that_was_looked_at(self, me, mo, database, opening, text):
        me.send("/chats", {"character": mo.id, "opening": opening})
        (chat,) = chats.list_chats(database, me.view.id)
        assert chats.transcript(database, chat.id)[0].text.startswith(text)

    @pytest.mark.parametrize("opening", ["-1", "x", "9" * 5000])
    def test_an_opening_that_makes_no_sense_is_the_first(self, me, mo, database, opening):
        me.send("/chats", {"character": mo.id, "opening": opening})
        (chat,) = chats.list_chats(database, me.view.id)
        assert chats.transcript(database, chat.id)[0].text.startswith("Good evening")


class TestPersonas:
    def test_make_change_and_remove_one(self, me, database):
        me.send("/personas", {"name": "Captain Ann", "description": "A <b>sailor</b>."})
        (ann,) = personas.list_personas(database, me.view.id)
        page = me.get(f"/personas/{ann.id}").text
        assert "A &lt;b&gt;sailor&lt;/b&gt;." in page
        me.send(f"/personas/{ann.id}", {"name": "Ann", "description": ""})
        assert [one.name for one in personas.list_personas(database, me.view.id)] == ["Ann"]
        nameless = me.send(f"/personas/{ann.id}", {"name": " ", "description": "kept"})
        assert (nameless.status_code, "kept" in nameless.text) == (422, True)
        me.send(f"/personas/{ann.id}/delete")
        assert personas.list_personas(database, me.view.id) == ()

    def test_a_story_begins_as_one_of_them(self, site, me, database):
        ann = personas.save_persona(database, me.view.id, "Captain Ann", "A sailor.")
        assert "as-persona" in me.get(f"/characters/{site.mara}").text
        begun = me.send("/chats", {"character": site.mara, "persona": ann.id, "name": ""})
        chat = chats.get_chat(database, me.view.id, begun.headers["Location"].rsplit("/", 1)[1])
        assert (chat.user_name, chat.user_persona) == ("Captain Ann", "A sailor.")
        begun = me.send("/chats", {"character": site.mara, "persona": ann.id, "name": "Annie"})
        chat = chats.get_chat(database, me.view.id, begun.headers["Location"].rsplit("/", 1)[1])
        assert (chat.user_name, chat.user_persona) == ("Annie", "A sailor.")
        wrong = me.send("/chats", {"character": site.mara, "name": "x" * 41})
        assert (wrong.status_code, "1 to 40 characters" in wrong.text) == (422, True)


class TestCharacters:
    def test_write_one_by_hand(self, site, me, database):
        answer = me.send(
            "/characters",
            {
                "name": "Mo",
                "tagline": "Purrs.",
                "description": "A cat.\r\nGrey.",
                "first_mes": "Hello, {{user}}.",
                "greeting": ["Purr.", "  ", "Meow."],
                "tags": "cats, Cosy，cats",
                "rating": "teen",
                "locale": "zh",
                "status_source": ["", ""],
                "status_name": ["Mood", "Hunger"],
                "status_type": ["one_of", "integer"],
                "status_options": ["calm, merry", ""],
                "status_minimum": ["", "0"],
                "status_maximum": ["", "9"],
                "status_unit": ["", ""],
                "status_max_length": ["", ""],
            },
            files={"picture": ("a.jpg", photo(), "image/jpeg")},
        )
        assert answer.status_code == 302, answer.text
        made = characters.get_character(database, me.view, answer.headers["Location"].rsplit("/", 1)[1])
        assert (made.name, made.tagline, made.rating, made.locale) == ("Mo", "Purrs.", "teen", "zh")
        assert made.card["description"] == "A cat.\nGrey."
        assert made.card["alternate_greetings"] == ["Purr.", "Meow."]
        assert made.card["tags"] == ["cats", "Cosy"]
        assert made.card["extensions"]["inglenook"]["status"] == [
            {"name": "Mood", "type": "one_of", "options": ["calm", "merry"]},
            {"name": "Hunger", "type": "integer", "minimum": 0, "maximum": 9},
        ]
        page = me.get(f"/characters/{made.id}").text
        assert "Hello, Ada." in page
        assert made.avatar.removeprefix("picture:") in me.get("/").text

    def test_what_makes_no_sense_comes_back_with_what_was_written(self, me):
        nameless = me.send("/characters", {"name": " ", "description": "A cat."})
        assert (nameless.status_code, code_of(nameless), "A cat." in nameless.text) == (422, "bad_card", True)
        row = dict.fromkeys(("source", "unit", "minimum", "maximum", "options", "max_length"), "")
        row |= {"name": "Mood", "type": "one_of"}
        answer = me.send("/characters", {"name": "Mo", **{f"status_{key}": value for key, value in row.items()}})
        assert (answer.status_code, "status-error" in answer.text) == (422, True)

    def test_a_copy_of_a_bundled_one_is_mine(self, site, me, database):
        assert "Mara Quill" in me.get(f"/characters/new?from={site.mara}").text
        copy = me.character(source=site.mara, name="My Mara", tagline="Mine.")
        mara, mine = (characters.get_character(database, me.view, one) for one in (site.mara, copy))
        assert mine.owner_id == me.view.id
        assert (
            mine.card["extensions"] == mara.card["extensions"] or "status" not in mine.card["extensions"]["inglenook"]
        )
        assert me.get(f"/characters/{site.mara}/edit").status_code == 404

    def test_ratings_follow_the_role(self, site, member, database):
        kim = member("Kim", "child")
        assert "Adults only" not in kim.get("/characters/new").text
        assert kim.send("/characters", {"name": "Mo", "rating": "adult"}).status_code == 422
        mine = kim.character(name="Mo", rating="everyone")
        assert kim.get(f"/characters/{mine}").status_code == 200

    def test_remove_one(self, site, me, database):
        made = me.character()
        chat = me.begin_chat(made)
        me.send(f"/characters/{made}/delete")
        assert code_of(me.get(f"/characters/{made}")) == "has_chats"
        me.send(f"/chat/{chat}/delete")
        me.send(f"/characters/{made}/delete")
        assert me.get(f"/characters/{made}").status_code == 404


class TestPictures:
    def picture(self, me, data, database):
        made = me.character(files={"picture": ("x", data, "text/html")})
        view = characters.get_character(database, me.view, made)
        return "/pictures/" + view.avatar.removeprefix("picture:")

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_an_upload_is_drawn_anew_and_small(self, me, database, kind):
        path = self.picture(me, photo((2400, 1200), kind), database)
        answer = me.get(path)
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert {"private", "immutable", "max-age=31536000"} <= set(answer.headers["Cache-Control"].split(", "))
        assert Image.open(io.BytesIO(answer.content)).size == (800, 400)
        assert me.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304

    def test_a_background_stands_behind_the_stories_of_a_character(self, site, me, member, database):
        made = me.character(files={"background": ("x.jpg", photo((2400, 1200)), "image/jpeg")})
        view = characters.get_character(database, me.view, made)
        path = "/pictures/" + view.background.removeprefix("picture:")
        assert path in me.get(f"/characters/{made}/edit").text
        assert f'class="backdrop" src="{path}"' in me.get(f"/chat/{me.begin_chat(made)}").text
        assert Image.open(io.BytesIO(me.get(path).content)).size == (1600, 800)
        assert member("Kim", "adult").get(path).status_code == 404, "like the character itself"
        me.send(f"/characters/{made}/edit", {"name": "Mo"})
        assert characters.get_character(database, me.view, made).background == view.background, "it stays"
        me.send(f"/characters/{made}/edit", {"name": "Mo", "no_background": "on"})
        assert characters.get_character(database, me.view, made).background == ""
        assert me.get(path).status_code == 404

    def test_a_persona_has_a_face_in_its_own_stories(self, site, me, member, database):
        me.send("/personas", {"name": "Ann"}, files={"picture": ("x.jpg", photo((2400, 1200)), "image/jpeg")})
        (ann,) = personas.list_personas(database, me.view.id)
        path = "/pictures/" + ann.avatar.removeprefix("picture:")
        assert Image.open(io.BytesIO(me.get(path).content)).size == (800, 400)
        for page in ("/personas", f"/personas/{ann.id}", f"/characters/{site.mara}"):
            assert f'src="{path}"' in me.get(page).text, page
        for who, n_faces in (("", 0), (ann.id, 1)):
            begun = me.send("/chats", {"character": site.mara, "persona": who})
            chat = chats.get_chat(database, me.view.id, begun.headers["Location"].rsplit("/", 1)[1])
            said = turns.TurnCommand(chat.id, chat.id, "chat", chat.revision, "One lamp is enough.")
            turns.begin_turn(database, me.view.id, said)
            page = me.get(f"/chat/{chat.id}").text
            assert page.count("data-self") == n_faces
            assert page.count(f'src="{path}"') == n_faces
        assert member("Kim", "adult").get(path).status_code == 404, "its owner's only"
        broken = me.send(f"/personas/{ann.id}", {"name": "Bea"}, files={"picture": ("x.png", b"no", "image/png")})
        assert (broken.status_code, "PNG, JPEG or WEBP" in broken.text) == (422, True)
        assert 'value="Bea"' in broken.text
        assert 'aria-invalid="true"' in broken.text
        me.send(f"/personas/{ann.id}", {"name": "Ann", "no_picture": "on"})
        assert personas.list_personas(database, me.view.id)[0].avatar == ""
        assert me.get(path).status_code == 404

    def test_where_a_photo_was_taken_is_not_kept_and_it_stands_upright(self, me, database):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "a telling camera"
        drawn = Image.open(io.BytesIO(me.get(self.picture(me, photo(exif=exif), database)).content))
        assert (drawn.size, dict(drawn.getexif())) == ((480, 640), {})

    @pytest.mark.parametrize(
        "data",
        [
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"\x89PNG\r\n\x1a\n" + b"<script>alert(1)</script>" * 9,
            photo(kind="PNG")[:60],
            photo(kind="GIF"),
            photo((5000, 4000), kind="PNG"),
        ],
        ids=["svg", "polyglot", "cut off", "gif", "bomb"],
    )
    def test_anything_else_is_refused(self, me, database, data):
        answer = me.send("/characters", {"name": "Mo"}, files={"picture": ("a.png", data, "image/png")})
        assert (answer.status_code, code_of(answer)) == (422, "bad_picture")
        assert not [one for one in characters.list_characters(database, me.view) if one.owner_id]

    def test_what_is_too_large_is_refused(self, me):
        big = {"picture": ("a.png", b"x" * (10 << 20), "image/png")}
        assert me.send("/characters", {"name": "Mo"}, files=big).status_code == 413
        assert me.send("/personas", {"name": "Mo", "description": "x" * (300 << 10)}).status_code == 413

    def test_a_new_picture_has_a_new_address_and_the_old_one_is_gone(self, me, database):
        old = self.picture(me, photo(), database)
        made = next(one for one in characters.list_characters(database, me.view) if one.owner_id)
        me.send(f"/characters/{made.id}/edit", {"name": "Mo"}, files={"picture": ("b.png", photo(kind="PNG"))})
        new = characters.get_character(database, me.view, made.id).avatar.removeprefix(pictures.PREFIX)
        assert (me.get(old).status_code, me.get(f"/pictures/{new}").status_code) == (404, 200)


class TestShelf:
    def test_rename_and_find_and_delete(self, site, me, database):
        chat = me.begin_chat(site.mara)
        me.send(f"/chats/{chat}/rename", {"title": "A night on the Rock"})
        assert "A night on the Rock" in me.get("/chats").text
        me.send(f"/chats/{chat}/rename", {"title": " "})
        assert code_of(me.get("/chats")) == "bad_title"
        me.send(f"/chat/{chat}/delete")
        assert "A night on the Rock" not in me.get("/chats").text


def test_no_page_has_inline_code_or_a_foreign_address(site, boss, database):
    ann = personas.save_persona(database, boss.view.id, "Ann", "")
    mine = boss.character()
    boss.begin_chat(mine)
    pages = ["/", "/chats", "/personas", "/personas/new", f"/personas/{ann.id}", "/settings", "/people"]
    pages += [f"/characters/{mine}", f"/characters/{site.mara}", f"/characters/{mine}/edit", "/characters/new"]
    for path in pages:
        answer = boss.get(path)
        assert answer.status_code == 200, path
        assert not re.search(r"<script>| on\w+=| style=|https?://", answer.text), path
        assert answer.text.count('<form class="panel"') <= answer.text.count('name="csrf_token"')


def test_without_a_database_there_is_still_a_page(me, database):
    with database.session() as session:
        session.execute(text("ALTER TABLE users RENAME TO gone"))
    answer = me.get("/")
    assert (answer.status_code, code_of(answer)) == (503, "database")
    assert "Sign out" not in answer.text


def test_a_tab_that_is_signed_out_elsewhere_gets_nothing_more(site, me):
    chat = me.begin_chat(site.mara)
    other = Browser(site.address)
    other.submit("/login", {"name": "Ada", "password": PASSWORD})
    tab = other.socket()
    assert tab.open(chat)["type"] == "opened"
    me.send("/settings/sign-out-everywhere")
    with pytest.raises(Closed) as closed:
        tab.open(chat)
    assert closed.value.code == 1008


def test_several_stories_are_deleted_at_once(site, me):
    made = [chats.create_chat(site.database, me.view.id, site.mara, "Ada").id for _ in range(3)]
    assert me.get("/chats").text.count('data-testid="pick"') == 3
    answer = me.send("/chats/delete", {"chat": made[:2]}, "/chats")
    assert answer.headers["Location"] == "/chats"
    page = me.get("/chats").text
    assert "The chosen stories are deleted." in page
    assert [chat.id for chat in chats.list_chats(site.database, me.view.id)] == made[2:]


def test_of_several_stories_those_that_are_busy_stay_and_none_chosen_is_said(site, me):
    made = [chats.create_chat(site.database, me.view.id, site.mara, "Ada") for _ in range(2)]
    turns.begin_turn(site.database, me.view.id, turns.TurnCommand("0" * 32, made[0].id, "chat", 1, "Hello"))
    me.send("/chats/delete", {"chat": [chat.id for chat in made]}, "/chats")
    assert "Some stories are still there" in me.get("/chats").text
    assert [chat.id for chat in chats.list_chats(site.database, me.view.id)] == [made[0].id]
    me.send("/chats/delete", {}, "/chats")
    assert "No story was chosen" in me.get("/chats").text


def test_a_list_says_what_was_said_last_how_long_a_story_is_and_what_it_branched_off(site, me):
    chat = chats.create_chat(site.database, me.view.id, site.mara, "Ada")
    chats.change_chat(site.database, me.view.id, chat.id, title="Tea & rain")
    (greeting,) = chats.transcript(site.database, chat.id)
    edits.branch(site.database, me.view.id, greeting.id)
    for path in ("/", "/chats"):
        page = me.get(path).text
        assert "branch of “Tea &amp; rain”" in page
        assert page.count("1 message<") == 2
        assert page.count('data-testid="last-line"') == 2


def test_a_long_list_shows_the_newest_and_all_when_asked(site, me, monkeypatch):
    for _ in range(4):
        chats.create_chat(site.database, me.view.id, site.mara, "Ada")
    monkeypatch.setattr(home, "MAX_LISTED", 3)
    page = me.get("/chats").text
    assert (page.count('data-testid="pick"'), "Show all 4 stories" in page) == (3, True)
    assert me.get("/chats?all=1").text.count('data-testid="pick"') == 4
