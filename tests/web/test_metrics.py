"""/metrics: who may read it, that Prometheus' parser reads it, that the Grafana dashboard asks for what is there."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from store import site_state
from store.broker import registry
from store.broker.registry import EngineView, WorkerView
from store.settings import Settings, SettingsError, load_settings
from web.admin.metrics import INSTALLATION_METRICS, WORKER_METRICS

TOKEN = "a-token-for-tests-0123"
BOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "inglenook.json"


@pytest.fixture
def site(redis, make_site):
    return make_site(metrics_token=TOKEN)


@pytest.fixture
def scrape(site):
    """`scrape()`: what Prometheus gets, as {(name, labels): value}."""

    def visit():
        answer = site.browser().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(answer.text)
        return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}

    return visit


def announce(site, **engine):
    view = WorkerView("gpu0", "key", 2, 1, ("a", "b"), 0.0, engine=EngineView(**engine))
    registry.announce(site.services.redis, view, ttl_s=60)


def test_only_the_token_or_an_admin_opens_it(site, ada):
    stranger = site.browser()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": TOKEN[:-1]}):
        answer = stranger.get("/metrics", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signed_out")
    assert ada.get("/metrics").status_code == 403
    kim = site.browser().sign_up(site.invite("admin"), "Kim")
    assert "inglenook_up" in kim.get("/metrics").text


def test_without_a_token_in_the_settings_no_token_opens_it(redis, make_site):
    site = make_site()
    for headers in ({"Authorization": "Bearer "}, {"Authorization": ""}, {}):
        assert site.browser().get("/metrics", headers=headers).status_code == 401


def test_it_may_be_asked_by_any_name_of_the_machine(site):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "web:8420"}
    assert site.browser().get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["short", "with a space in it, long", "0123456789abcde\n"])
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(token):
    with pytest.raises(SettingsError, match="INGLENOOK_METRICS_TOKEN"):
        load_settings({"INGLENOOK_METRICS_TOKEN": token})
    assert Settings(metrics_token=TOKEN).metrics_token == TOKEN


def test_figures_of_people_turns_and_workers(site, scrape, ada, tale):
    registry.retire(site.services.redis, "tale")
    announce(
        site, cells=100, cells_used=40, ram_used=7, n_evicted_disk=3, n_tokens_written=55, write_s=1.5, context=4096
    )
    chat = ada.begin_chat(site.mara)
    tab = ada.socket()
    assert tab.submit(chat, "Hello", tab.open(chat)["revision"])["type"] == "ack"
    found = scrape()
    worker = ("worker", "gpu0")
    assert found["inglenook_up", ("part", "database")] == found["inglenook_up", ("part", "redis")] == 1
    assert found["inglenook_people", ("role", "adult")] == found["inglenook_chats",] == 1
    assert found["inglenook_turns", ("state", "queued")] == found["inglenook_worker_queued", worker] == 1
    assert found["inglenook_turns", ("state", "writing")] == 0
    assert found["inglenook_people_last_hour",] == found["inglenook_sockets", ("kind", "open")] == 1
    assert found["inglenook_cells", ("kind", "used"), worker] == 40
    assert found["inglenook_blocks_bytes", ("tier", "ram"), worker] == 7
    assert found["inglenook_blocks_evicted_total", ("tier", "disk"), worker] == 3
    assert found["inglenook_tokens_total", ("how", "written"), worker] == 55
    assert found["inglenook_stage_seconds_total", ("stage", "writing"), worker] == 1.5
    assert found["inglenook_worker_chats_awake", worker] == 2


def test_nothing_of_single_people_is_in_it(site, ada, tale):
    chat = ada.begin_chat(site.mara)
    text = site.browser().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    for word in ("Ada", "Mara", chat):
        assert word not in text


def test_a_pause_and_a_house_without_workers(site, scrape, database):
    site_state.set_pause(database, True)
    found = scrape()
    assert (found["inglenook_paused",], found["inglenook_workers",]) == (1, 0)


class TestGrafana:
    @pytest.fixture
    def board(self):
        return json.loads(BOARD.read_text(encoding="utf-8"))

    def test_every_panel_asks_only_for_metrics_that_are_there(self, site, scrape, board, ada, tale):
        announce(site)
        there = {name for name, *_ in scrape()} | {"inglenook_turns_last_hour"}  # as soon as somebody asks for a turn
        asked = set()
        for panel in board["panels"]:
            for target in panel["targets"]:
                names = set(re.findall(r"\binglenook_\w+", target["expr"]))
                assert names, panel["title"]
                assert names - there == set(), panel["title"]
                asked |= names
        wanted = {f"inglenook_{name}" for name, *_ in INSTALLATION_METRICS}
        wanted |= {f"inglenook_{name}" + ("_total" if grows else "") for name, _, grows, *_ in WORKER_METRICS}
        assert wanted - asked == set(), "a metric without a panel"
        assert wanted - there == set()

    def test_labels_in_it_are_those_of_the_metrics(self, site, scrape, board, tale):
        announce(site)
        labels = {}
        for name, *pairs in scrape():
            labels.setdefault(name, set()).update(pairs)
        for panel in board["panels"]:
            for target in panel["targets"]:
                for name, chosen in re.findall(r"(inglenook_\w+)\{([^}]*)\}", target["expr"]):
                    for label, sign, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', chosen):
                        known = {pair[1] for pair in labels[name] if pair[0] == label}
                        assert set(value.split("|")) <= known, (sign, target["expr"])

    def test_panels_have_a_place_of_their_own(self, board):
        places = [panel["gridPos"] for panel in board["panels"]]
        assert len({panel["id"] for panel in board["panels"]}) == len(places)
        assert all(place["x"] + place["w"] <= 24 for place in places)
        for one, two in combinations(places, 2):
            beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
            below = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
            assert beside or below
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"${source}"}
