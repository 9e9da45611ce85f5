"""The admin's page of models: what it shows of the shelf, and what its buttons write, over real HTTP."""

import re
import time

import pytest

from store import accounts
from store.broker import registry
from store.broker.registry import EngineView, WorkerView
from store.errors import Failure
from store.shelf import asking, choices, folder, reading, transfers
from store.shelf.names import source_of
from store.shelf.views import PartView

GB = 10**9
QWEN = "unsloth/Qwen3.5-4B-GGUF", "Qwen3.5-4B-Q4_K_M.gguf"
FACTS = {
    "name": "Tale Teller 4B",
    "quantization": "Q4_K_M",
    "kind": "window",
    "n_context_train": 131_072,
    "endless": True,
    "chats": True,
}
PLAN = {
    "lanes": 2,
    "context": 16_384,
    "card": "RTX 2060",
    "layers": 33,
    "gpu_layers": 33,
    "stories_in_ram": 40,
    "stories_on_disk": 300,
}


@pytest.fixture
def kim(site):
    """An admin."""
    return site.browser().sign_up(site.invite("admin"), "Kim")


@pytest.fixture
def worker(site):
    """`worker(name, ...)`: a worker is there."""

    def present(name="gpu0", **engine):
        known = {
            "model_name": "SmolLM2 135M",
            "lanes": 2,
            "context": 4096,
            "budget_bytes": 8 * GB,
            "gpu_layers": 33,
            **engine,
        }
        view = WorkerView(name, "fingerprint", 2, 0, (), time.time(), engine=EngineView(**known))
        registry.announce(site.services.redis, view)

    return present


@pytest.fixture
def here(site):
    """A model that lies in the folder."""
    folder.record_folder(site.database, {"tale.gguf": 3 * GB})
    file = reading.find_file(site.database, "tale.gguf")
    folder.record_facts(site.database, file.id, FACTS)
    return file


def now(browser, query=""):
    answer = browser.get(f"/models/now{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def entry(browser, place, file):
    return words(dict(now(browser)["lists"][place])[file.id])


def press(browser, action, **form):
    answer = browser.submit("/models", form, action=action)
    assert answer.status_code == 200, answer.text
    return answer


def test_an_empty_shelf_suggests_what_suits_the_card(kim, worker):
    worker()
    page = kim.get("/models").text
    assert "For a card of 8 GB" in page
    assert "8 GB · yours" in page
    assert 'data-id="qwen3.5-9b"' in page
    assert 'data-id="qwen3.5-2b"' not in page
    assert 'data-id="qwen3.5-2b"' in kim.get("/models?card=4").text
    assert "SmolLM2 135M" in words(now(kim)["pieces"]["answering"])
    assert not re.search(r"<script>| on\w+=| style=|https?://", page)


def test_a_page_that_is_open_gets_the_same_html_while_nothing_changes(kim, worker, here):
    """Else the button under the mouse would be replaced every few seconds."""
    worker()
    assert now(kim) == now(kim)
    assert "csrf" not in str(now(kim))


def test_what_is_here_says_what_it_can_do_on_this_card(site, kim, worker, here):
    worker()
    assert "A worker looks whether it fits" in entry(kim, "here", here)
    folder.record_plan(site.database, here.id, "gpu0", {**PLAN, "block_bytes": 1_200_000_000})
    said = entry(kim, "here", here)
    assert "Tale Teller 4B" in said
    assert "sliding window Q4_K_M 3.0 GB memory of its stories: 1.2 GB up to 131,072 tokens" in said
    assert "Fits on the card. 2 people at a time, 16,384 tokens each." in said
    assert "about 40 in RAM, 300 on disk" in said
    assert "Stories of any length go on without being read again." in said


@pytest.mark.parametrize(
    ("change", "fits", "sentence"),
    [
        ({"gpu_layers": 20}, "partly", "20 of 33 layers fit on the card"),
        ({"gpu_layers": 0}, "partly", "It does not fit on the card"),
        ({"gpu_layers": 0, "card": ""}, "well", "Fits; the processor computes it."),
    ],
)
def test_a_plan_says_where_it_is_computed(site, kim, worker, here, change, fits, sentence):
    worker()
    folder.record_plan(site.database, here.id, "gpu0", PLAN | change)
    html = dict(now(kim)["lists"]["here"])[here.id]
    assert f'data-fits="{fits}"' in html
    assert sentence in words(html)


def test_the_plan_of_a_worker_that_is_gone_is_not_shown(site, kim, here):
    folder.record_plan(site.database, here.id, "gpu7", PLAN)
    assert "No worker is there to say whether it fits." in entry(kim, "here", here)


def test_the_plan_of_a_worker_that_changes_its_model_stays(site, kim, here):
    folder.record_plan(site.database, here.id, "gpu0", PLAN)
    choices.choose(site.database, "gpu0", here.name)
    assert "Fits on the card." in entry(kim, "here", here)


def test_a_suggestion_is_looked_at_then_fetched_paused_and_given_up(site, kim):
    press(kim, "/models/suggested/qwen3.5-4b/look")
    file = reading.list_files(site.database)[0]
    assert (file.repo, file.path, file.wanted) == (*QWEN, "look")
    assert file.added_by == accounts.find_user(site.database, "Kim").id
    assert "Its header is being read" in entry(kim, "coming", file)
    found = source_of(*QWEN, revision="f00d")
    transfers.record_source(site.database, file.id, found, [PartView(0, QWEN[1], 3 * GB, "0" * 64)], "apache-2.0")
    transfers.record_state(site.database, file.id, "looked")
    assert "Get it (3.0 GB)" in entry(kim, "coming", file)
    press(kim, f"/models/{file.id}/get")
    assert reading.get_file(site.database, file.id).wanted == "get"
    transfers.record_state(site.database, file.id, "fetching")
    transfers.record_progress(site.database, file.id, {0: GB}, speed=1e8)
    said = entry(kim, "coming", file)
    assert "1.0 GB of 3.0 GB" in said
    assert "100 MB a second, about 20 s left" in said
    press(kim, f"/models/{file.id}/pause")
    assert reading.get_file(site.database, file.id).wanted == "pause"
    press(kim, f"/models/{file.id}/cancel")
    assert reading.get_file(site.database, file.id).wanted == "cancel"
    transfers.record_state(site.database, file.id, "canceled")
    assert now(kim)["lists"]["coming"] == []
    assert "Does it fit?" in words(now(kim, "?card=4")["pieces"]["suggested"])


def test_without_a_downloader_the_page_says_that_nothing_goes_on(site, kim):
    assert now(kim)["pieces"]["standstill"] == ""
    asking.ask_to_get(site.database, source_of(*QWEN))
    assert "The downloader gives no sign of life" in now(kim)["pieces"]["standstill"]
    (site.services.settings.data_dir / "downloader.beat").touch()
    assert now(kim)["pieces"]["standstill"] == ""


def test_the_room_on_the_disk_is_told_as_the_downloader_sees_it(site, kim, worker, here):
    beat = site.services.settings.data_dir / "downloader.beat"
    beat.write_text('{"free": 9000000000}')
    worker(disk_used=1_200_000_000)
    assert words(now(kim)["pieces"]["room"]) == "9.0 GB free for models models: 3.0 GB memory of all stories: 1.2 GB"
    file = asking.ask_to_look(site.database, source_of(*QWEN))
    part = PartView(1, QWEN[1], 8_800_000_000, "0" * 64)
    transfers.record_source(site.database, file.id, source_of(*QWEN, revision="f00d"), [part])
    transfers.record_state(site.database, file.id, "looked")
    assert "The disk has no room for it: 8.8 GB are to be fetched, 9.0 GB are free." in entry(kim, "coming", file)
    beat.write_text('{"free": 9900000000}')
    assert "1.1 GB stay free on the disk." in entry(kim, "coming", file)
    assert 'data-testid="no-room"' not in now(kim)["pieces"]["room"]
    press(kim, f"/models/{file.id}/get")
    assert "still to be fetched: 8.8 GB" in words(now(kim)["pieces"]["room"])
    beat.write_text('{"free": 8800000000}')
    assert 'data-testid="no-room"' in now(kim)["pieces"]["room"]
    beat.unlink()
    assert "free for models" not in now(kim)["pieces"]["room"]


def test_why_something_failed_is_said_in_the_readers_language(site, kim):
    file = asking.ask_to_get(site.database, source_of(*QWEN))
    transfers.record_state(site.database, file.id, "failed", Failure("model_no_source", {"name": QWEN[1]}))
    assert "Nobody knows where Qwen3.5-4B-Q4_K_M.gguf is to be had" in entry(kim, "coming", file)
    assert "Try again" in entry(kim, "coming", file)
    accounts.set_preferences(site.database, accounts.find_user(site.database, "Kim").id, locale="zh")
    assert re.search("[\u4e00-\u9fff]", entry(kim, "coming", file))
    assert "Nobody knows" not in entry(kim, "coming", file)


def test_a_reason_of_an_older_version_is_still_a_sentence(site, kim):
    """Rows keep the values of their day; a page that fails for one would fail until somebody mends the row."""
    file = asking.ask_to_get(site.database, source_of(*QWEN))
    transfers.record_state(site.database, file.id, "failed", Failure("fetch.disk_full", {"free_mb": 3}))
    assert "The disk of the models has ? free and ? are needed" in entry(kim, "coming", file)


def test_each_admin_reads_the_words_of_their_own_language(site, kim, here):
    zhou = site.browser().sign_up(site.invite("admin"), "Zhou")
    accounts.set_preferences(site.database, accounts.find_user(site.database, "Zhou").id, locale="zh")
    assert "sliding window" in entry(kim, "here", here)
    assert "滑动窗口" in entry(zhou, "here", here)
    assert "sliding window" in entry(kim, "here", here)


def test_another_model_is_asked_for_by_repository_or_address(site, kim):
    press(kim, "/models/ask", repo="Owner/Some-GGUF", path="*Q5_K_M.gguf")
    press(kim, "/models/ask", url="https://example.org/a/b.gguf", sha256="A" * 64)
    by_name = {file.name: file for file in reading.list_files(site.database)}
    assert set(by_name) == {"Owner/Some-GGUF:*Q5_K_M.gguf", "b.gguf"}
    assert by_name["b.gguf"].sha256 == "a" * 64


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"repo": "no slash"}, "bad_model.repo"),
        ({"repo": "a/b", "path": "../../etc/passwd"}, "bad_model.path"),
        ({"repo": "a/b", "path": "x.bin"}, "bad_model.name"),
        ({"url": "file:///etc/passwd"}, "bad_model.url"),
        ({"url": "https://me:secret@example.org/b.gguf"}, "bad_model.secret"),
        ({"repo": "a/b", "path": "b.gguf", "sha256": "123"}, "bad_model.sha256"),
    ],
)
def test_what_makes_no_sense_comes_back_with_a_sentence(site, kim, form, code):
    answer = kim.submit("/models", form, action="/models/ask")
    page = answer.text
    assert answer.status_code == 422
    assert f'data-code="{code}"' in page
    assert reading.list_files(site.database) == ()
    assert all(typed in page for typed in form.values())  # nothing that was typed is lost


def test_one_of_several_files_is_taken(site, kim):
    file = asking.ask_to_look(site.database, source_of("Owner/Some-GGUF"))
    several = [{"path": "a-Q4_K_M.gguf", "size": GB}, {"path": "a-Q8_0.gguf", "size": 2 * GB}]
    transfers.record_listing(site.database, file.id, several)
    assert "a-Q4_K_M.gguf 1.0 GB" in entry(kim, "coming", file)
    press(kim, f"/models/{file.id}/choose?path=a-Q8_0.gguf")
    assert [(one.name, one.wanted) for one in reading.list_files(site.database)] == [("a-Q8_0.gguf", "look")]


def test_a_worker_is_told_which_model_to_run_and_back(site, kim, worker, here):
    worker()
    press(kim, f"/models/use?worker=gpu0&name={here.name}")
    chosen = choices.choice_of(site.database, "gpu0")
    assert (chosen.name, chosen.state) == (here.name, "wanted")
    assert "Changing to tale.gguf" in words(now(kim)["pieces"]["answering"])
    assert "Is being loaded" in entry(kim, "here", here)
    choices.record_choice(site.database, "gpu0", here.name, "serving")
    worker(model_file=here.name)
    assert "Answers now" in entry(kim, "here", here)
    assert "Remove" not in entry(kim, "here", here)
    press(kim, "/models/use?worker=gpu0&name=")
    assert choices.choice_of(site.database, "gpu0").name == ""


def test_a_model_that_does_not_load_says_why(site, kim, worker, here):
    worker()
    choices.choose(site.database, "gpu0", here.name)
    choices.fall_back(site.database, "gpu0", here.name, Failure("model_not_here", {"name": here.name}))
    said = words(now(kim)["pieces"]["answering"])
    assert "tale.gguf is not in the models folder: get it first." in said


def test_a_model_that_cannot_run_here_is_not_offered(site, kim, worker, here):
    worker()
    folder.record_plan(site.database, here.id, "gpu0", {"reason": {"reason": "model_in_use", "values": {"name": "x"}}})
    assert "Use it" not in entry(kim, "here", here)
    assert "A worker uses x" in entry(kim, "here", here)


def test_a_worker_that_nobody_knows_is_told_nothing(site, kim, here):
    page = press(kim, f"/models/use?worker=gpu9&name={here.name}").text
    assert 'data-code="no_such_worker"' in page
    assert choices.list_choices(site.database) == ()


def test_a_worker_that_is_gone_takes_its_model_when_it_comes_back(site, kim, worker, here):
    """After `--scale worker=1` the page must not say for ever that the second one changes its model."""
    worker("gpu0")
    choices.choose(site.database, "gpu1", here.name, now=time.time() - 50)
    assert "gpu1 Changing to tale.gguf" in words(now(kim)["pieces"]["answering"])
    choices.choose(site.database, "gpu1", "", now=time.time() - 400)
    choices.choose(site.database, "gpu1", here.name, now=time.time() - 300)
    said = words(now(kim)["pieces"]["answering"])
    assert "gpu1 This worker is not there." in said
    assert "It takes tale.gguf when it starts." in said
    choices.choose(site.database, "gpu1", "", now=time.time() - 200)
    assert "It takes the model of the start when it starts." in words(now(kim)["pieces"]["answering"])


def test_with_two_workers_each_has_its_button(site, kim, worker, here):
    worker("gpu0")
    worker("gpu1")
    said = entry(kim, "here", here)
    assert "Use it on gpu0" in said
    assert "Use it on gpu1" in said


def test_a_model_in_use_is_not_removed(site, kim, worker, here):
    worker()
    choices.choose(site.database, "gpu0", here.name)
    assert 'data-code="model_in_use"' in press(kim, f"/models/{here.id}/remove").text
    choices.choose(site.database, "gpu0", "")
    press(kim, f"/models/{here.id}/remove")
    assert reading.get_file(site.database, here.id).wanted == "remove"
    assert "It is being removed" in entry(kim, "here", here)


def test_a_file_that_has_left_the_folder_can_be_fetched_again(site, kim):
    file = asking.ask_to_get(site.database, source_of(*QWEN))
    transfers.record_state(site.database, file.id, "gone")
    assert "The file is not in the models folder any more. Get it again" in entry(kim, "here", file)
