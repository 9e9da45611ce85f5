from concurrent.futures import ThreadPoolExecutor

import pytest

from store import accounts
from store.errors import NotFound, Refused

DAY_S = 86_400


def test_an_invitation_makes_one_account(database):
    invite, token = accounts.create_invite(database, "teen", now=100.0)
    assert accounts.find_invite(database, token, now=101.0) == invite
    user = accounts.sign_up(database, token, "  Ada  Lovelace ", "hash", now=102.0)
    assert (user.name, user.role, user.session_epoch, user.created_at) == ("Ada Lovelace", "teen", 1, 102.0)
    assert accounts.find_user(database, "ADA LOVELACE") == user
    assert accounts.get_user(database, user.id) == user
    with pytest.raises(Refused, match="bad_invite") as refused:
        accounts.sign_up(database, token, "Bob", "hash", now=103.0)
    assert refused.value.code == "bad_invite"


def test_the_token_is_kept_nowhere_and_the_hash_is_not_shown(database, tmp_path):
    _, token = accounts.create_invite(database, "adult")
    user = accounts.sign_up(database, token, "Ada", "secret-hash")
    database.close()
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert "secret-hash" not in repr(user)


def refusal(call, *args, **kwargs):
    with pytest.raises(Refused) as refused:
        call(*args, **kwargs)
    return refused.value.code


def test_bad_invitations(database):
    invite, token = accounts.create_invite(database, "adult", ttl_s=DAY_S, now=0.0)
    assert refusal(accounts.sign_up, database, token, "Ada", "h", now=DAY_S) == "bad_invite"
    assert refusal(accounts.sign_up, database, "wrong\ud800", "Ada", "h", now=1.0) == "bad_invite"
    accounts.revoke_invite(database, invite.id, now=1.0)
    assert refusal(accounts.find_invite, database, token, now=2.0) == "bad_invite"
    assert refusal(accounts.create_invite, database, "boss") == "bad_role"
    with pytest.raises(NotFound):
        accounts.revoke_invite(database, "0" * 32)


def test_a_taken_or_bad_name_leaves_the_invitation_good(database, make_user):
    make_user("Ada")
    _, token = accounts.create_invite(database, "adult")
    assert refusal(accounts.sign_up, database, token, "ａｄａ", "h") == "name_taken"
    assert refusal(accounts.sign_up, database, token, "\u200b", "h") == "bad_name"
    assert accounts.sign_up(database, token, "Bob", "h").name == "Bob"


def test_twenty_racers_with_one_invitation_make_one_account(database):
    _, token = accounts.create_invite(database, "adult")

    def race(n):
        try:
            return accounts.sign_up(database, token, f"racer {n}", "h").name
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(race, range(20)))
    assert results.count("bad_invite") == 19


def test_admins_and_signing_out(database, make_user):
    assert not accounts.has_admin(database)
    admin = make_user("Root", "admin")
    assert accounts.has_admin(database)
    assert accounts.sign_out_everywhere(database, admin.id).session_epoch == 2
    assert accounts.find_user(database, "nobody") is None
    assert accounts.get_user(database, "0" * 32) is None
