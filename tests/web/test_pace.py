"""Nobody takes the web server from the others: the pace of a person, the turnstile, and who a request counts for."""

import re

import pytest

from store import accounts, chat_files
from store.chat_files import jsonl, native
from store.chat_files.document import ChatDocument, DocAlternative, DocMessage
from tests.harness.people import PASSWORD
from web.assets import STATIC
from web.auth.known_browsers import COOKIE
from web.live.connection import FRAME_S, _Paced
from web.live.liveness import LOST_S
from web.pace import LONGEST_WAIT_S, MOST_KEYS, UNBROKEN_S, WORK_S, Pace, Rests, person_key
from web.server.request_intake import SMALL_BODY
from web.server.turnstile import AT_ONCE, PRESSED, WAITING_ALL, WAITING_BYTES, WAITING_EACH, Place, Turnstile
from web.server.who_asks import WhoAsks

SHARE, BURST_S = 0.25, 3.0  # as the settings have it
PAGE_S, ASSET_S, SOCKET_S = 0.1, 0.01, 0.1  # of the processor, on a machine three times slower than ours


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(SHARE, BURST_S, clock)


def test_a_loop_gets_its_share_and_no_more(clock, pace):
    n_pages = 0
    while clock.now < 100.0:
        clock.now += pace.wait_s("ada")
        pace.charge("ada", PAGE_S)
        clock.now += PAGE_S
        n_pages += 1
    assert n_pages * PAGE_S == pytest.approx(BURST_S + 100.0 * SHARE, rel=0.02)
    assert not pace.wait_s("bo")


def test_five_tabs_that_come_back_at_once_wait_for_nothing(pace):
    for _ in range(5):
        pace.charge("ada", PAGE_S + 12 * ASSET_S + SOCKET_S + FRAME_S)
    assert not pace.wait_s("ada")


def test_who_has_done_something_long_waits_for_a_moment_only(clock, pace):
    pace.charge("ada", 1_000.0)
    assert pace.wait_s("ada") == pytest.approx(LONGEST_WAIT_S)
    clock.now += LONGEST_WAIT_S
    assert not pace.wait_s("ada")


def test_no_page_takes_its_line_for_dead_while_it_waits():
    script = (STATIC / "js" / "chat" / "socket.js").read_text(encoding="utf-8")
    within_s = int(re.search(r"ANSWER_WITHIN_MS = (\d+)", script)[1]) / 1000
    assert min(within_s, LOST_S) >= LONGEST_WAIT_S + 2


def test_those_who_come_together_go_on_one_after_the_other(pace):
    pace.charge("ada", BURST_S)
    waits = [pace.reserve("ada", FRAME_S) for _ in range(4)]
    assert waits == pytest.approx([n * FRAME_S / SHARE for n in range(4)])


def test_without_a_share_nobody_waits(clock):
    free = Pace(0.0, BURST_S, clock)
    free.charge("ada", 1_000.0)
    assert (free.wait_s("ada"), free.is_pressed("ada"), len(free)) == (0.0, False, 0)


def test_who_has_paid_is_forgotten(clock, pace):
    for number in range(3 * MOST_KEYS):
        pace.charge(f"address:{number}", 0.001)
        clock.now += 0.01
    assert len(pace) <= MOST_KEYS


def test_a_flood_of_frames_is_slowed_and_none_is_lost(pace):
    done, rests = [], []
    paced = _Paced(done.append, pace, "ada", rests.append)
    n_free = int(BURST_S / FRAME_S)
    for number in range(2 * n_free):
        paced(str(number))
    assert done == [str(number) for number in range(2 * n_free)]
    assert len(rests) >= n_free - 1  # the clock stands still
    assert max(rests) == pytest.approx(LONGEST_WAIT_S)


def test_frames_of_two_tabs_share_the_pace_of_their_person(pace):
    rests = []
    for _ in range(int(BURST_S / FRAME_S) + 1):
        _Paced(lambda _: None, pace, "ada", rests.append)("{}")
        _Paced(lambda _: None, pace, "bo", rests.append)("{}")
    assert len(rests) <= 2 * 5
    assert all(rest > 0 for rest in rests)


def test_long_work_rests_as_long_as_it_works():
    cpu, rests = Clock(), []
    rest = Rests(rests.append, cpu)
    while cpu.now < UNBROKEN_S - WORK_S:
        cpu.now += 0.0001
        rest()
    assert rests == []
    for _ in range(int(10.0 / 0.0001)):
        cpu.now += 0.0001
        rest()
    assert sum(rests) == pytest.approx(10.0, rel=0.1)
    assert max(rests) < UNBROKEN_S


@pytest.mark.parametrize("write", [jsonl.write, native.write])
def test_a_large_file_is_read_with_rests(write):
    messages = tuple(DocMessage("user", "Ada", (DocAlternative(str(n), 5.0),), 5.0) for n in range(500))
    pauses = []
    found = chat_files.read(write(ChatDocument("Mo", "Ada", messages, 5.0)), 5.0, lambda: pauses.append(1))
    assert len(found.document.messages) == 500
    assert len(pauses) >= 500


def test_requests_go_on_at_once_as_many_as_a_browser_sends(pace):
    turnstile = Turnstile(pace)
    places = [turnstile.arrive("ada", number) for number in range(AT_ONCE + 2)]
    assert places == [Place.GO] * AT_ONCE + [Place.WAIT] * 2
    assert turnstile.arrive("bo", 99) is Place.GO
    assert turnstile.due() == []
    turnstile.leave("ada")
    assert turnstile.due() == [AT_ONCE]
    assert turnstile.next_s() is None


def test_who_is_over_the_pace_waits_in_order_and_goes_on_in_pairs(clock, pace):
    turnstile = Turnstile(pace)
    pace.charge("ada", BURST_S + SHARE)
    assert {turnstile.arrive("ada", number) for number in range(5)} == {Place.WAIT}
    assert turnstile.next_s() == pytest.approx(1.0)
    clock.now += 1.01
    assert turnstile.due() == list(range(PRESSED))
    turnstile.leave("ada")
    assert turnstile.due() == [PRESSED]


def test_too_many_who_wait_are_turned_away_but_nobody_else(pace):
    turnstile = Turnstile(pace)
    pace.charge("ada", 2 * BURST_S)
    assert WAITING_EACH >= 5 * 60, "five tabs over HTTP/2, each with all modules and many pictures"
    places = [turnstile.arrive("ada", number) for number in range(WAITING_EACH + 1)]
    assert places == [Place.WAIT] * WAITING_EACH + [Place.TURNED_AWAY]
    assert turnstile.arrive("bo", 1) is Place.GO


def test_large_forms_that_wait_have_a_budget(clock, pace):
    turnstile = Turnstile(pace)
    pace.charge("ada", BURST_S + SHARE)
    n_forms = WAITING_BYTES // SMALL_BODY
    places = [turnstile.arrive("ada", number, SMALL_BODY) for number in range(n_forms + 1)]
    assert places == [Place.WAIT] * n_forms + [Place.TURNED_AWAY]
    clock.now += 60.0
    assert turnstile.due() == list(range(AT_ONCE))
    assert turnstile.arrive("ada", 0, SMALL_BODY) is Place.WAIT


def test_who_fills_the_place_gives_way_to_others(pace):
    turnstile = Turnstile(pace)
    for number in range(WAITING_ALL // WAITING_EACH):
        pace.charge(f"mallory {number}", 2 * BURST_S)
        for place in range(WAITING_EACH):
            assert turnstile.arrive(f"mallory {number}", (number, place), 1_000) is Place.WAIT
    places = [turnstile.arrive("ada", place, 1_000) for place in range(100)]
    assert places == [Place.GO] * AT_ONCE + [Place.WAIT] * (100 - AT_ONCE)
    displaced = turnstile.displaced()
    assert len(displaced) == 100 - AT_ONCE
    assert min(place for _, place in displaced) >= WAITING_EACH - 100
    assert turnstile.arrive("bo", 0, SMALL_BODY) is Place.GO
    assert turnstile.displaced() == []


def test_large_forms_of_one_person_keep_nobody_else_out(pace):
    turnstile = Turnstile(pace)
    pace.charge("mallory", 2 * BURST_S)
    pace.charge("ada", 2 * BURST_S)
    for number in range(WAITING_BYTES // SMALL_BODY):
        turnstile.arrive("mallory", number, SMALL_BODY)
    assert turnstile.arrive("ada", "a word", 500) is Place.WAIT
    assert turnstile.displaced() == [WAITING_BYTES // SMALL_BODY - 1]


def test_not_more_wait_than_there_is_room_for(pace):
    turnstile = Turnstile(pace)
    for number in range(2 * WAITING_ALL):
        pace.charge(f"address:{number}", 2 * BURST_S)
        turnstile.arrive(f"address:{number}", number)
    assert len(turnstile.due(all_of_them=True)) == WAITING_ALL  # the server stops: nobody is left behind
    assert turnstile.due(all_of_them=True) == []


@pytest.fixture
def who(site):
    return WhoAsks(site.app)


def cookies(browser, *names):
    kept = browser.http.cookies.get_dict()
    return "; ".join(f"{name}={kept[name]}" for name in names or kept)


def test_a_person_is_counted_wherever_they_come_from(who, site, database, ada):
    key = person_key(accounts.find_user(database, "Ada").id)
    other = site.browser()
    assert other.submit("/login", {"name": "Ada", "password": PASSWORD}).ok
    for browser in (ada, other):
        assert who.key(cookies(browser), "/", "1.2.3.4") == key
        assert who.key(cookies(browser), "/healthz", "5.6.7.8") == key


def test_browsers_that_are_known_have_one_count_beside_strangers(who, site, ada, bo):
    known = who.key(cookies(ada, COOKIE), "/login", "1.2.3.4")
    assert known.startswith("browsers:")
    other = site.browser()
    assert other.submit("/login", {"name": "Ada", "password": PASSWORD}).ok
    assert cookies(other, COOKIE) != cookies(ada, COOKIE)
    assert who.key(cookies(other, COOKIE), "/", "5.6.7.8") == known
    assert who.key(cookies(bo, COOKIE), "/", "5.6.7.8") != known


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "inglenook=made.up.cookie",
        "inglenook=;;=",
        "inglenook_browser=WyJ4IiwgeyJ5IjogMX1d.x",
        "\x80\xff=\xfe; inglenook=\xff; inglenook_browser=\x80.\x80",
        'inglenook="\\377\\200"; =; ;',
        "inglenook=" + "." * 60_000,
    ],
    ids=range(7),
)
def test_a_made_up_cookie_counts_as_its_address(who, cookie):
    assert who.key(cookie, "/", "1.2.3.4") == "address:1.2.3.4"
    assert who.key(cookie, "/healthz", "1.2.3.4") == "watch:1.2.3.4"


def test_a_cookie_without_a_person_counts_as_its_address(who, site):
    stranger = site.browser()
    stranger.get("/login")
    assert who.key(cookies(stranger), "/login", "1.2.3.4") == "address:1.2.3.4"
