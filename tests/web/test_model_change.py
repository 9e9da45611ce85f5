"""What every page is told while a worker changes its model, and after it."""

import pytest

from store import accounts, characters, chats
from store.broker import registry, switching
from store.broker.registry import EngineView, WorkerView
from web.server.maintenance import PeriodicMaintenance


def announce(redis, name="gpu0", model="Smol"):
    engine = EngineView(model_name=model)
    registry.announce(redis, WorkerView(name, model, 2, 0, (), 1.0, engine=engine))


@pytest.fixture
def told():
    return []


@pytest.fixture
def maintenance(database, redis, told):
    return PeriodicMaintenance(database, redis, told.append)


def test_a_change_of_the_model_is_no_outage(maintenance, redis, told):
    announce(redis)
    maintenance.refresh()
    switching.begin(redis, "gpu0", "qwen.gguf", 20)
    registry.retire(redis, "gpu0")
    maintenance.refresh()
    announce(redis, model="Qwen")
    switching.end(redis, "gpu0")
    maintenance.refresh()
    seen = [(frame["trouble"], frame["change_s"], frame["answering"]) for frame in told]
    assert seen == [("", 0, "Smol"), ("model", 20, ""), ("", 0, "Qwen")]


def test_while_another_worker_answers_nobody_waits(maintenance, redis):
    announce(redis, "gpu1", "Nemo")
    switching.begin(redis, "gpu0", "qwen.gguf", 20)
    maintenance.refresh()
    assert (maintenance.trouble, maintenance.answering) == ("", "Nemo")


def test_a_worker_that_is_away_for_another_reason_is_away(maintenance):
    maintenance.refresh()
    assert maintenance.trouble == "worker"


def test_pages_say_how_long_the_change_takes_and_which_model_a_character_wants(site, ada, redis, database):
    person = accounts.list_users(database)[0]
    card = {"name": "Mo", "extensions": {"inglenook": {"wants_model": "Qwen"}}}
    mo = characters.save_character(database, person, card)
    chat = chats.create_chat(database, person.id, mo.id, "Ada")
    site.services.maintenance.stop()  # this test says when it looks
    announce(redis, model="Smol")
    site.services.maintenance.refresh()
    assert "Mo was made for another model: Qwen." in said(ada, f"/chat/{chat.id}", "wanted-model")
    switching.begin(redis, "gpu0", "qwen.gguf", 20)
    registry.retire(redis, "gpu0")
    site.services.maintenance.refresh()
    for page in ("/", f"/chat/{chat.id}"):
        text = ada.get(page).text
        assert 'data-outage="model"' in text
        assert "The server changes its model, about 20 s." in text
    announce(redis, model="Qwen3.5 4B")
    site.services.maintenance.refresh()
    assert " hidden>" in said(ada, f"/chat/{chat.id}", "wanted-model")
    assert 'data-outage=""' in ada.get("/").text


def said(browser, page, testid):
    """The line of a page that has this mark."""
    return next(line for line in browser.get(page).text.splitlines() if f'data-testid="{testid}"' in line)
