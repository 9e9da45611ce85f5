"""The door while strangers try names: one count for all spellings, and nobody is locked out by them."""

import threading

import pytest
import requests

from store import accounts
from store.broker import keys
from store.broker.sign_in_tries import FIRST_S, FORGET_S, FREE, LONGEST_S, SignInTries
from tests.harness.people import PASSWORD, Browser
from web.auth import hashing_queue
from web.auth.rate_limits import PER_ADDRESS
from web.errors import Problem

SPELLINGS = ("Ada", "ada", "ADA", "\uff21da", "\uff41\uff44\uff41", " ada ", "A\uff44a", "\U0001d400da", "\u24b6da")


def try_as(browser: Browser, name: str, password: str = "a guess of a stranger") -> requests.Response:
    return browser.submit("/login", {"name": name, "password": password})


def lock(browser: Browser, name: str) -> None:
    while try_as(browser, name).status_code == 422:
        pass


def test_all_spellings_of_a_name_have_one_count(site, ada):
    stranger = site.browser()
    codes = [try_as(stranger, SPELLINGS[n % len(SPELLINGS)]).status_code for n in range(FREE + 3)]
    assert codes == [422] * FREE + [429] * 3


def test_a_stranger_cannot_lock_a_name_out_of_its_own_browser(site, ada):
    ada.submit("/", {}, "/logout")
    lock(site.browser(), "Ada")
    assert try_as(site.browser(), "Ada", PASSWORD).status_code == 429, "a browser that was never hers waits, too"
    assert try_as(ada, "Ada", "not quite it").status_code == 422
    assert try_as(ada, "ada", PASSWORD).url == site.address + "/"


def test_her_own_browser_is_counted_too(site, ada):
    ada.submit("/", {}, "/logout")
    lock(ada, "Ada")
    assert try_as(site.browser(), "Ada", PASSWORD).url == site.address + "/", "a count of its own"


def test_who_was_somebody_else_is_a_stranger(site, ada, bo):
    bo.submit("/", {}, "/logout")
    lock(site.browser(), "Ada")
    assert try_as(bo, "Ada").status_code == 429


def test_a_browser_is_known_no_longer_after_signing_out_everywhere(site, ada, database):
    accounts.sign_out_everywhere(database, accounts.find_user(database, "Ada").id)
    lock(site.browser(), "Ada")
    assert try_as(ada, "Ada", PASSWORD).status_code == 429


@pytest.mark.parametrize("cookie", ["", "x", "W10.x", "\u00e9", "a" * 4000])
def test_a_made_up_cookie_is_no_cookie(site, ada, cookie):
    lock(site.browser(), "Ada")
    answer = site.browser().get("/login", headers={"Cookie": f"inglenook_browser={cookie}".encode().decode("latin-1")})
    assert answer.status_code == 200
    forged = site.browser()
    forged.http.cookies.set("inglenook_browser", cookie.encode().decode("latin-1"))
    assert try_as(forged, "Ada", PASSWORD).status_code == 429


def test_scripts_do_not_see_the_cookie(site, ada):
    ada.submit("/", {}, "/logout")
    signed_in = try_as(ada, "Ada", PASSWORD).history[0]
    cookies = [
        cookie for cookie in signed_in.raw.headers.getlist("Set-Cookie") if cookie.startswith("inglenook_browser")
    ]
    assert [{"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; ")) for cookie in cookies] == [True]


def test_one_address_for_all_locks_nobody_out(site, ada):
    """As behind a gateway: a stranger with Ada's address tries many names."""
    stranger, most = site.browser(), int(PER_ADDRESS.split()[0])
    assert {try_as(stranger, f"Name {n}").status_code for n in range(most + 5)} == {422}
    assert try_as(site.browser(), "Ada", PASSWORD).url == site.address + "/"
    site.browser().sign_up(site.invite(), "Bo")


def test_at_an_address_of_nobody_strangers_are_counted_together(site):
    most = int(PER_ADDRESS.split()[0])
    codes = [try_as(site.browser(), f"Name {n}").status_code for n in range(most + 1)]
    assert codes == [422] * most + [429]
    site.browser().sign_up(site.invite(), "Ada")  # an invitation opens all the same


def test_too_many_passwords_at_once_are_told_to_come_back():
    queue, inside, leave = hashing_queue.HashingQueue(), threading.Semaphore(0), threading.Event()

    def hash_something() -> None:
        with queue.turn():
            inside.release()
            leave.wait(60)

    threads = [threading.Thread(target=hash_something) for _ in range(hashing_queue.AT_ONCE + hashing_queue.WAITING)]
    for thread in threads:
        thread.start()
    for _ in range(hashing_queue.AT_ONCE):
        assert inside.acquire(timeout=60)
    while queue._places._value:
        pass
    with pytest.raises(Problem, match="Too many people are signing in"), queue.turn():
        pass
    leave.set()
    for thread in threads:
        thread.join()
    with queue.turn():
        pass


def test_strangers_hash_one_at_a_time():
    inside, leave = threading.Semaphore(0), threading.Semaphore(0)

    def hash_something() -> None:
        with hashing_queue.STRANGERS.turn():
            inside.release()
            leave.acquire(timeout=30)

    threads = [threading.Thread(target=hash_something) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=30)
    assert not inside.acquire(timeout=0.2), "the second one waits"
    leave.release()
    assert inside.acquire(timeout=30)
    leave.release()
    for thread in threads:
        thread.join()


class TestDelays:
    def test_they_grow_to_a_minute_and_are_forgotten_by_a_right_password(self, redis):
        tries, waits = SignInTries(redis), []
        for _ in range(FREE + 8):
            waits.append(round(tries.begin("x")))
            for key in redis.scan_iter(keys.sign_in_door("*")):
                waits[-1] = redis.ttl(key)  # the door is closed for so long; then it is opened, as time would do it
                redis.delete(key)
        assert waits == [0] * (FREE - 1) + [FIRST_S, 8, 16, 32] + [LONGEST_S] * 5
        tries.succeed("x")
        assert tries.begin("x") == 0
        assert list(redis.scan_iter(keys.sign_in_door("*"))) == []

    def test_a_try_at_a_closed_door_does_not_count(self, redis):
        tries = SignInTries(redis)
        assert [tries.begin("x") == 0 for _ in range(FREE + 20)] == [True] * FREE + [False] * 20
        assert [int(redis.get(key)) for key in redis.scan_iter(keys.sign_in_tries("*"))] == [FREE]

    def test_without_redis_this_process_counts(self):
        class Gone:
            def __getattr__(self, _name):
                from redis.exceptions import ConnectionError as Lost

                raise Lost

        now = [0.0]
        tries = SignInTries(Gone(), lambda: now[0])
        assert [tries.begin("x") for _ in range(FREE + 1)] == [0.0] * FREE + [FIRST_S]
        now[0] = FIRST_S
        assert [tries.begin("x"), tries.begin("x"), tries.begin("y")] == [0.0, 2 * FIRST_S, 0.0]
        now[0] = 2 * FORGET_S + 1.0
        assert [tries.begin("x") for _ in range(FREE)] == [0.0] * FREE
        tries.note_address("10.0.0.2")
        assert [tries.knows_address("10.0.0.2"), tries.knows_address("10.0.0.3")] == [True, False]
