"""While a story of years is in memory the garbage collector does not look at all of it again and again."""

import gc
import json
from contextlib import contextmanager

import pytest

from web.full_collections import LONGEST_S, FullCollections


@pytest.fixture(autouse=True)
def collecting():
    """Whoever has loaded the server's settings in this process has switched the collector off (gunicorn_conf.py)."""
    was_on = gc.isenabled()
    gc.enable()
    yield
    if not was_on:
        gc.disable()


@contextmanager
def counted():
    """How many full collections are made, in a process whose older objects are frozen, as the server's are."""
    found = []

    def look(phase, info):
        if phase == "start" and info["generation"] == 2:
            found.append(1)

    gc.collect()
    gc.freeze()
    gc.collect()  # from now on the frozen ones do not count for how long a full collection can wait
    gc.callbacks.append(look)
    try:
        yield found
    finally:
        gc.callbacks.remove(look)
        gc.unfreeze()


def test_they_are_put_off_until_all_have_ended():
    usual, collections = gc.get_threshold(), FullCollections()
    with collections.put_off():
        with collections.put_off(), counted() as found:
            kept = [[n] for n in range(150_000)]
        assert gc.get_threshold()[:2] == usual[:2]
        assert gc.get_threshold() != usual
    assert gc.get_threshold() == usual
    assert (len(kept), found) == (150_000, [])
    with counted() as found:
        kept += [[n] for n in range(150_000)]
    assert found, "without it there are some"


def test_an_error_ends_it_too():
    usual, collections = gc.get_threshold(), FullCollections()
    with pytest.raises(ValueError, match="torn"), collections.put_off():
        raise ValueError("torn")
    assert gc.get_threshold() == usual


def test_where_they_overlap_without_end_one_is_made_at_times():
    now = [0.0]
    collections = FullCollections(lambda: now[0])
    with collections.put_off(), counted() as found:
        for _ in range(3):
            now[0] += LONGEST_S / 2 + 1
            with collections.put_off():
                pass
        assert len(found) == 1


def test_an_import_and_an_export_of_a_long_story_make_none(site, ada):
    line = {"user_name": "Ada", "character_name": "Mara Quill", "chat_metadata": {}}
    lines = [line, *({"name": "Ada", "is_user": n % 2 == 0, "mes": f"Number {n}."} for n in range(6_000))]
    content = "\n".join(map(json.dumps, lines)).encode()
    page = "/chats/bring"
    token = ada.get(page).text.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    with counted() as found:
        answer = ada.http.post(
            ada.address + page,
            data={"csrf_token": token, "character": site.mara},
            files={"chats": ("long.jsonl", content)},
            allow_redirects=False,
            timeout=60,
        )
    assert answer.status_code == 302
    assert found == []
    with counted() as found:
        chat = answer.headers["Location"].split("/chat/", 1)[1].split("/", 1)[0]
        assert ada.get(f"/chat/{chat}/story.json").status_code == 200
    assert found == []
