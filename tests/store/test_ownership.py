"""What is a person's own: account, limits, personas, characters, pictures, and all of it in one piece."""

import datetime as dt
import json
import uuid

import pytest
from sqlalchemy import Engine, event

from store import accounts, characters, chats, export, personas, pictures, turns, usage_limits
from store.errors import NotFound, Refused
from store.models import Picture, Turn
from store.presets import own_presets
from store.quotas import Quota
from store.turns import Reply, TurnCommand

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def refusal(call, *arguments, **options):
    with pytest.raises(Refused) as refused:
        call(*arguments, **options)
    return refused.value.code


def say(database, chat, now, text="hi"):
    revision = chats.get_revision(database, chat.id)
    return turns.begin_turn(
        database, chat.owner_id, TurnCommand(uuid.uuid4().hex, chat.id, "chat", revision, text), now
    ).turn


def at(clock, day=1):
    return dt.datetime.fromisoformat(f"2026-05-{day:02d}T{clock}").timestamp()


def test_a_new_password_signs_out_everywhere(database, user):
    changed = accounts.change_password(database, user.id, "another hash")
    assert (changed.password_hash, changed.session_epoch) == ("another hash", user.session_epoch + 1)
    with pytest.raises(NotFound):
        accounts.change_password(database, "0" * 32, "x")


def test_preferences_and_roles(database, user):
    assert accounts.set_preferences(database, user.id, locale="zh").locale == "zh"
    assert accounts.set_preferences(database, user.id, theme="dark").locale == "zh"
    assert refusal(accounts.set_preferences, database, user.id, theme="pink") == "bad_preference"
    assert refusal(accounts.set_preferences, database, user.id, text_size="huge") == "bad_preference"
    assert accounts.set_preferences(database, user.id, text_size="large").theme == "dark"
    assert accounts.set_preferences(database, user.id, locale="en").text_size == "large"
    assert export.export_account(database, user.id)["account"]["text_size"] == "large"
    assert accounts.set_role(database, user.id, "admin").role == "admin"
    assert refusal(accounts.set_role, database, user.id, "adult") == "last_admin"
    assert refusal(accounts.delete_account, database, user.id) == "last_admin"
    assert refusal(accounts.set_role, database, user.id, "king") == "bad_role"


def test_everybody_and_every_invitation_are_listed(database, make_user):
    for name in ("Zoe", "adam"):
        make_user(name)
    assert [person.name for person in accounts.list_users(database)] == ["adam", "Zoe"]
    invite, _ = accounts.create_invite(database, "teen")
    assert invite.id in [one.id for one in accounts.list_invites(database)]


@pytest.mark.parametrize(
    ("clock", "quiet"), [("20:59", False), ("21:00", True), ("23:59", True), ("06:59", True), ("07:00", False)]
)
def test_quiet_hours_reach_over_midnight(database, user, chat, clock, quiet):
    accounts.set_limits(database, user.id, None, "21:00", "07:00")
    if quiet:
        assert refusal(say, database, chat, at(clock)) == "quiet_hours"
        assert len(chats.transcript(database, chat.id)) == 1
    else:
        assert say(database, chat, at(clock))


@pytest.mark.parametrize(
    ("clock", "begins_in_min", "ends_in_min", "is_now"),
    [
        ("20:30", 30, 630, False),
        ("20:59:30", 0.5, 600.5, False),
        ("21:00", 24 * 60, 600, True),
        ("00:00", 21 * 60, 420, True),
        ("07:00", 14 * 60, 24 * 60, False),
    ],
)
def test_quiet_time_is_known_before(database, user, clock, begins_in_min, ends_in_min, is_now):
    kim = accounts.set_limits(database, user.id, None, "21:00", "07:00")
    quiet = usage_limits.quiet_time(kim, at(clock))
    assert (quiet.begins_in_s / 60, quiet.ends_in_s / 60, quiet.is_now) == (begins_in_min, ends_in_min, is_now)


def test_without_quiet_hours_there_is_no_quiet_time(database, user):
    assert usage_limits.quiet_time(accounts.set_limits(database, user.id, 5, None, None)) is None
    assert usage_limits.quiet_time(accounts.set_limits(database, user.id, None, "21:00", "21:00")) is None


def test_daily_minutes_count_play_and_not_pauses(database, user, chat):
    accounts.set_limits(database, user.id, 6, None, None)
    for clock in ("10:00:00", "10:02:00", "12:00:00", "12:02:30"):
        turn = say(database, chat, at(clock))
        claim = turns.claim(database, turn.id, "gpu0", 5, at(clock))
        turns.commit(database, turn.id, claim.attempt, Reply("Hello"), now=at(clock) + 30)
    with database.reading() as session:
        assert usage_limits.minutes_used(session, user.id, at("13:00")) == pytest.approx(2 + 0.5 + 2.5 + 0.5)
    turn = say(database, chat, at("12:04"))
    turns.request_cancel(database, user.id, turn.id, at("12:04"))
    assert refusal(say, database, chat, at("12:05")) == "daily_limit"
    assert say(database, chat, at("00:10", day=2))


def test_minutes_are_added_up_once_for_a_turn_and_told_with_it(database, user, chat):
    """The sum reads all turns of the day, and stands in a transaction for which every other writer waits."""
    accounts.set_limits(database, user.id, 60, None, None)
    for clock in ("10:00:00", "10:02:00"):
        turn = say(database, chat, at(clock))
        claim = turns.claim(database, turn.id, "gpu0", 5, at(clock))
        turns.commit(database, turn.id, claim.attempt, Reply("Hello"), now=at(clock) + 30)
    sums = []

    def count(_connection, _cursor, statement, *_rest):
        sums.extend([statement] if statement.startswith("SELECT turns.created_at, turns.ended_at") else [])

    command = TurnCommand(uuid.uuid4().hex, chat.id, "chat", chats.get_revision(database, chat.id), "Hello")
    event.listen(Engine, "before_cursor_execute", count)
    try:
        begun = turns.begin_turn(database, user.id, command, at("10:04:30"))
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert len(sums) == 2, "those that have ended, and those that have not"
    user = accounts.get_user(database, user.id)
    assert begun.minutes_left == usage_limits.today(database, user, at("10:04:30")).left == 56, (
        "with the pause before it"
    )
    assert turns.begin_turn(database, user.id, command, at("10:04:30")).minutes_left == 56, "also when it is sent again"


@pytest.mark.parametrize("limits", [(0, None, None), (1441, None, None), (5, "21:00", None), (5, "24:00", "07:00")])
def test_limits_that_make_no_sense_are_refused(database, user, limits):
    assert refusal(accounts.set_limits, database, user.id, *limits) == "bad_limit"


def test_personas_are_ones_own(database, user, make_user):
    made = personas.save_persona(database, user.id, " Captain  Ann ", "A sailor.\r\n")
    assert (made.name, made.description) == ("Captain Ann", "A sailor.")
    changed = personas.save_persona(database, user.id, "Ann", "", made.id)
    assert personas.list_personas(database, user.id) == (changed,)
    eve = make_user("Eve").id
    for call in (personas.get_persona, personas.delete_persona):
        with pytest.raises(NotFound):
            call(database, eve, made.id)
    with pytest.raises(NotFound):
        personas.save_persona(database, eve, "Mine", "", made.id)
    assert refusal(personas.save_persona, database, user.id, " ", "") == "bad_name"
    assert refusal(personas.save_persona, database, user.id, "Ann", "x" * 4001) == "too_long"
    personas.delete_persona(database, user.id, made.id)
    assert personas.list_personas(database, user.id) == ()


def test_a_character_of_ones_own(database, user, make_user):
    card = {"name": "Mo", "description": "A cat.", "extensions": {"unknown": {"kept": [1, None]}}}
    made = characters.save_character(database, user, card, tagline=" Purrs. ", picture=PNG)
    assert (made.name, made.tagline, made.card) == ("Mo", "Purrs.", card)
    picture = pictures.get_picture(database, made.avatar.removeprefix("picture:"))
    assert (picture.media_type, picture.data, picture.owner_id) == ("image/png", PNG, user.id)
    changed = characters.save_character(database, user, {"name": "Moe"}, character_id=made.id, picture=PNG + b"1")
    assert changed.avatar != made.avatar
    with pytest.raises(NotFound):
        pictures.get_picture(database, picture.id)
    eve, bundled = make_user("Eve"), characters.list_characters(database, user)[0]
    assert made.id not in [one.id for one in characters.list_characters(database, eve)]
    for call in (
        lambda: characters.save_character(database, eve, card, character_id=made.id),
        lambda: characters.delete_character(database, eve, made.id),
        lambda: characters.get_character(database, eve, made.id),
        lambda: characters.save_character(database, user, card, character_id=bundled.id),
    ):
        with pytest.raises(NotFound):
            call()
    chat = chats.create_chat(database, user.id, made.id, "Ann", user_persona="A sailor.")
    assert chat.user_persona == "A sailor."
    assert refusal(characters.delete_character, database, user, made.id) == "has_chats"
    chats.delete_chat(database, user.id, chat.id)
    characters.delete_character(database, user, made.id)
    assert made.id not in [one.id for one in characters.list_characters(database, user)]


@pytest.mark.parametrize(
    ("card", "options", "code"),
    [
        ({}, {}, "bad_card"),
        ({"name": "x" * 81}, {}, "bad_card"),
        ({"name": "Mo", "description": "x" * characters.MAX_CARD}, {}, "bad_card"),
        ({"name": "Mo"}, {"picture": b"GIF89a"}, "bad_picture"),
        ({"name": "Mo"}, {"picture": PNG + b"0" * (4 << 20)}, "bad_picture"),
        ({"name": "Mo"}, {"rating": "adult"}, "bad_rating"),
    ],
)
def test_a_character_that_makes_no_sense_is_refused(database, make_user, card, options, code):
    accounts.set_role(database, make_user("Tim").id, "teen")
    tim = accounts.find_user(database, "Tim")
    assert refusal(characters.save_character, database, tim, card, **options) == code


def test_a_picture_of_a_persona_is_its_owners_only(database, user, make_user):
    eve, quota = make_user("Eve"), Quota(megabytes=1)
    made = personas.save_persona(database, user.id, "Ann", "", picture=PNG)
    first = made.avatar.removeprefix("picture:")
    assert pictures.get_picture_for(database, user, first).data == PNG
    with pytest.raises(NotFound):
        pictures.get_picture_for(database, eve, first)
    assert personas.save_persona(database, user.id, "Ann", "A sailor.", made.id).avatar == made.avatar, "it stays"
    assert refusal(personas.save_persona, database, user.id, "Ann", "", made.id, b"no picture") == "bad_picture"
    large = PNG + bytes(1 << 20)
    with pytest.raises(Refused) as refused:
        personas.save_persona(database, user.id, "Ann", "", made.id, large, quota=quota)
    assert refused.value.code == "quota"
    (exported,) = export.export_account(database, user.id)["personas"]
    assert exported["picture"].startswith("data:image/png;base64,")
    assert personas.save_persona(database, user.id, "Ann", "", made.id, b"").avatar == ""
    again = personas.save_persona(database, user.id, "Ann", "", made.id, PNG)
    assert personas.faces(personas.list_personas(database, user.id)) == {"Ann": again.avatar}
    personas.delete_persona(database, user.id, made.id)
    with database.reading() as session:
        assert session.query(Picture).count() == 0, "each goes with what showed it"


def test_presets_are_ones_own(database, user, make_user):
    made = own_presets.save_preset(database, user.id, "Rain", {"top_k": 10})
    eve = make_user("Eve").id
    own_presets.save_preset(database, eve, "Rain", {"top_k": 20})
    assert own_presets.list_presets(database, user.id) == (made,)
    with pytest.raises(NotFound):
        own_presets.delete_preset(database, eve, made.id)
    own_presets.delete_preset(database, user.id, made.id)
    assert own_presets.list_presets(database, user.id) == ()


def test_everything_of_a_person_and_nothing_of_others(database, user, make_user, make_chat, chat):
    personas.save_persona(database, user.id, "Captain Ann", "A sailor.")
    own_presets.save_preset(database, user.id, "Slow rain", {})
    characters.save_character(database, user, {"name": "Mo", "odd": True})
    say(database, chat, 1.0, "a secret of mine")
    eve = make_user("Eve")
    say(database, make_chat(eve), 1.0, "a secret of Eve")
    data = json.dumps(export.export_account(database, user.id))
    assert "a secret of mine" in data
    assert "Captain Ann" in data
    assert "Slow rain" in data
    assert '"odd": true' in data
    assert "Eve" not in data
    assert user.password_hash not in data


def test_a_deleted_account_leaves_nothing(database, user, make_user, make_chat, chat):
    eve = make_user("Eve")
    others = make_chat(eve)
    personas.save_persona(database, user.id, "Captain Ann", "A sailor.", picture=PNG)
    own_presets.save_preset(database, user.id, "Slow rain", {})
    made = characters.save_character(database, user, {"name": "Mo"}, picture=PNG)
    chats.create_chat(database, user.id, made.id, "Ann")
    say(database, chat, 1.0)
    accounts.delete_account(database, user.id)
    assert accounts.get_user(database, user.id) is None
    with pytest.raises(NotFound):
        export.export_account(database, user.id)
    with database.reading() as session:
        assert session.query(Turn).count() == session.query(Picture).count() == 0
    assert chats.get_chat(database, eve.id, others.id) == others
    assert accounts.sign_up(database, accounts.create_invite(database, "adult")[1], user.name, "x")
