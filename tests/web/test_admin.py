"""The admin's page: what it shows and what it must never show; the pause and the line for everybody, over real HTTP."""

import re
import time

import pytest
from scripted_worker import new_turn

from store import accounts, chats, site_state, turns
from store.broker import registry
from store.broker.registry import EngineView, WorkerView
from store.turns import Outcome, Reply
from web.admin import charts
from web.admin.trend import Trend

SECRET = "the treasure lies under the third stone"
TITLE = "My most private title"


@pytest.fixture
def kim(site):
    """An admin."""
    return site.browser().sign_up(site.invite("admin"), "Kim")


def pieces(browser, query=""):
    answer = browser.get(f"/admin/now{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["pieces"]


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture
def busy(site, ada, bo, tale):
    """Ada's turn is being written, Bo's stands in line."""
    for browser, title in ((ada, TITLE), (bo, "")):
        chat = browser.begin_chat(site.mara)
        if title:
            chats.change_chat(site.database, accounts.find_user(site.database, "Ada").id, chat, title=title)
        tab = browser.socket()
        revision = tab.open(chat)["revision"]
        acked = tab.submit(chat, SECRET, revision)
        assert acked["type"] == "ack", acked
        if browser is ada:
            tale.claim(acked["id"])
            writing = turns.Progress(tale.attempt, "writing", SECRET)
            turns.renew(site.database, {acked["id"]: writing}, time.time() + 60)
        tab.close()


def test_it_says_who_holds_the_card_and_who_waits(site, kim, busy):
    found = pieces(kim)
    assert words(found["card"]).startswith("A Ada reply writing")
    assert words(found["queue"]).startswith("1 Bo reply")
    page = kim.get("/admin").text
    assert 'data-testid="holder"' in page
    assert 'data-testid="in-line"' in page


def test_each_admin_reads_it_in_their_own_language(site, kim, busy):
    """The templates are shared by all requests: no word of theirs may be made once, in the language of the first."""
    assert words(pieces(kim)["queue"]).startswith("1 Bo reply")
    browser = site.browser().sign_up(site.invite("admin"), "Zhou")
    zhou = accounts.find_user(site.database, "Zhou")
    accounts.set_preferences(site.database, zhou.id, locale="zh")
    assert words(pieces(browser)["queue"]).startswith("1 Bo 回复")
    assert "回复" in words(pieces(browser)["card"])


def test_no_text_title_or_character_of_anybody_is_in_it(site, kim, busy, tale):
    tale.tell(SECRET)
    tale.finish(Outcome((Reply(SECRET),), spent={"n_evaluated": 5, "read_s": 1.0}))
    everything = kim.get("/admin").text + str(pieces(kim)) + str(pieces(kim, "?days=30"))
    for word in (SECRET, "treasure", TITLE, "private", "Mara"):
        assert word not in everything


def test_seconds_and_tokens_of_each_person(site, kim, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    acked = tab.submit(chat, "Hello", tab.open(chat)["revision"])
    tale.claim(acked["id"])
    spent = {"wake_s": 0.5, "read_s": 61.0, "write_s": 200.0, "n_evaluated": 1234, "n_generated": 77}
    tale.finish(Outcome((Reply("Good evening."),), spent=spent))
    found = pieces(kim)
    assert re.search(r"Ada 1 [\d.]+ s 0\.5 s 61 s 3 min 1,234 77 [\d.]+ k?B", words(found["people"])), words(
        found["people"]
    )
    ada_id = accounts.find_user(site.database, "Ada").id
    assert "Ada" in words(pieces(kim, f"?person={ada_id}")["days"])
    assert "Everybody" in words(pieces(kim, "?person=nobody&days=nonsense")["days"])


def test_workers_say_what_they_have(site, kim):
    engine = EngineView(
        since=5.0, model_name="Mo <7B>", kind="llama, Q4", kv_type="q8_0", device="Geode 6", build="CUDA",
        story_in_ram=100_000_000, story_on_disk=50_000_000, disk_budget=4_000_000_000, context=4096,
        max_reply=300, layers=33,
        gpu_layers=33, weight_bytes=4_000_000_000, kv_bytes=500_000_000, budget_bytes=6_000_000_000, cells=8192,
        cells_used=4096, ram_budget=512_000_000, ram_used=100_000_000, n_evicted_ram=7, n_tokens_kept=30,
        n_tokens_read=10,
    )  # fmt: skip
    registry.announce(site.services.redis, WorkerView("gpu0", "key", 2, 1, ("a",), 65.0, engine=engine), ttl_s=60)
    found = pieces(kim)["workers"]
    assert "Mo &lt;7B&gt;" in found
    said = words(found)
    for words_of_it in (
        "1 of 2 busy", "q8_0", "33 of 33", "4,096 of 8,192 tokens", "100 MB of 512 MB", "30 of 40 tokens",
        "Evicted from RAM: 7", "4.5 GB of 6.0 GB", "up for 60 s", "Geode 6, CUDA", "about 5 in RAM, 80 on disk",
    ):  # fmt: skip
        assert words_of_it in said
    registry.retire(site.services.redis, "gpu0")
    assert "No worker is there" in words(pieces(kim)["card"])


def test_pausing_tells_every_tab_and_lets_turns_wait_until_it_goes_on(site, kim, ada, tale):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    revision = tab.open(chat)["revision"]
    assert kim.submit("/admin", {"paused": "1"}, "/admin/pause").status_code == 200
    tab.seen_or_wait(lambda message: message["type"] == "service_status" and message["trouble"] == "paused")
    acked = tab.submit(chat, "Hello", revision, turn=new_turn())
    assert (acked["type"], acked["state"]) == ("ack", "waiting")
    assert "the storyteller rests" in ada.get("/").text.lower()
    assert "Resume the queue" in kim.get("/admin").text
    assert site.browser().get("/healthz").json()["ok"]
    kim.submit("/admin", {"paused": "0"}, "/admin/pause")
    tab.wait("service_status", where=lambda message: message["trouble"] == "")
    assert turns.get_turn(site.database, acked["id"]).state == "queued"


def test_a_line_stays_away_when_the_answer_of_an_earlier_request_comes_late(site, kim, ada):
    kim.submit("/admin", {"text": "Soup tonight"}, "/admin/announcement")
    told = re.search(r'name="id" value="(\w+)"', ada.get("/settings").text)[1]
    before = ada.http.cookies.copy()
    ada.submit("/", {"id": told, "back": "/settings"}, "/announcement/put-away")
    assert "Soup" not in ada.get("/").text
    ada.http.cookies.update(before)  # what a page that was asked for before sends again
    assert "Soup" not in ada.get("/").text
    assert "Soup" in kim.get("/").text


def test_a_line_for_everybody_is_on_every_page_and_live_in_the_chat(site, kim, ada):
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    tab.open(chat)
    kim.submit("/admin", {"text": "Soup <b>tonight</b>"}, "/admin/announcement")
    told = tab.wait("service_status", where=lambda message: message["announcement"])["announcement"]
    assert told["text"] == "Soup <b>tonight</b>"
    for page in ("/", "/settings", f"/chat/{chat}"):
        assert "Soup &lt;b&gt;tonight&lt;/b&gt;" in ada.get(page).text
    assert "Soup" not in site.browser().get("/login").text
    ada.submit("/", {"id": told["id"], "back": "/settings"}, "/announcement/put-away")
    assert "Soup" not in ada.get("/").text
    assert "Soup" in kim.get("/").text
    kim.submit("/admin", {"text": "Soup is cold."}, "/admin/announcement")
    assert "Soup is cold." in ada.get("/").text
    kim.submit("/admin", {"text": " "}, "/admin/announcement")
    tab.wait("service_status", where=lambda message: message["announcement"] is None)
    assert "Soup" not in ada.get("/").text


def test_a_line_that_is_too_long_is_refused_with_a_sentence(site, kim):
    answer = kim.submit("/admin", {"text": "x" * 281}, "/admin/announcement")
    assert "An announcement has 280 characters at most." in answer.text
    assert site_state.read(site.database).announcement is None


def test_another_process_hears_of_a_pause_within_a_round(make_site, redis, tale):
    one, other = make_site(), make_site()
    tab = one.browser().sign_up(one.invite(), "Ada").socket()
    admin = other.browser().sign_up(other.invite("admin"), "Kim")
    admin.submit("/admin", {"paused": "1"}, "/admin/pause")
    tab.wait("service_status", where=lambda message: message["trouble"] == "paused")


class TestCharts:
    def test_the_top_is_a_round_number_that_nothing_sticks_out_of(self):
        tops = [charts.axis_top([value]) for value in (0, 1, 1.5, 3, 7, 10, 11, 49, 99, 101, 499, 1000)]
        assert tops == [1, 1, 2, 5, 10, 10, 20, 50, 100, 200, 500, 1000]

    def test_a_top_of_seconds_is_a_time_that_people_say(self):
        assert [charts.axis_top_s([value]) for value in (0, 11, 61, 1999, 3600)] == [10, 30, 120, 3600, 3600]
        assert charts.axis_top_s([2 * 3600, 3.5 * 3600]) == 5 * 3600

    def test_a_line_ends_at_the_right_and_forgets_what_is_too_old(self):
        assert charts.line([0, 30, 60], [9, 0, 2], 40, 4) == "M150.0 120.0 L600.0 60.0"
        assert charts.line([5], [1], 40, 4) == ""

    def test_a_staircase_holds_each_value_until_the_next(self):
        path = charts.steps([0, 20, 40], [0, 4, 2], 40, 4)
        assert path == "M0.0 120.0 L300.0 120.0 L300.0 0.0 L600.0 0.0 L600.0 60.0"
        assert charts.area(path).endswith("L600.0 60.0 L600.0 120.0 L0.0 120.0 Z")

    def test_stacks_stand_on_each_other(self):
        low, high = charts.stacks([(1, 3), (0, 0)], 4)
        assert (low.y + low.height, low.y, high.y) == (120, 90, 0)

    def test_shares_never_leave_the_bar(self):
        assert charts.shares((50, 60, 10), 100) == ((0, 50), (50, 50), (100, 0))
        assert charts.shares((1,), 0) == ((0, 0),)


class TestTrend:
    def worker(self, read, since=1.0, running=1):
        engine = EngineView(since=since, n_tokens_read=read, n_tokens_written=2 * read)
        return WorkerView("gpu0", "m", 2, running, (), 0.0, engine=engine)

    def test_rates_come_from_counters_and_a_new_worker_begins_again(self):
        trend = Trend()
        for at, worker in ((3.0, self.worker(100)), (5.0, self.worker(120)), (7.0, self.worker(4, since=6.0))):
            trend.add(at, [worker], 3)
        trend.add(9.0, [], 4)
        rates = [(one.read_per_s, one.written_per_s, one.running, one.waiting) for one in trend.samples()]
        assert rates == [(0, 0, 1, 3), (10, 20, 1, 3), (0, 0, 1, 3), (0, 0, 0, 4)]

    def test_it_forgets(self):
        trend = Trend(max_samples=2)
        for at in (1.0, 2.0, 3.0):
            trend.add(at, [], 0)
        assert [one.at for one in trend.samples()] == [2.0, 3.0]
