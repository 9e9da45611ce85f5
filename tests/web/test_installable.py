"""The manifest, the service worker and the offline page: whole, the same for everybody, and with nothing of anybody."""

import io
import re

import pytest
from PIL import Image

from tests.harness.people import Browser
from web.assets import STATIC
from web.i18n.catalogue import LANGUAGES
from web.security import HEADERS

WORKER = (STATIC / "js/service_worker.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_a_browser_can_install_it(site, locale):
    answer = Browser(site.address).get(f"/manifest/{locale}")
    assert answer.headers["Content-Type"] == "application/manifest+json"
    told = answer.json()
    assert (told["display"], told["start_url"], told["scope"], told["id"]) == ("standalone", "/", "/", "/")
    assert told["lang"] == LANGUAGES[locale].tag
    assert {(one["sizes"], one["purpose"]) for one in told["icons"]} == {
        ("192x192", "any"),
        ("512x512", "any"),
        ("512x512", "maskable"),
    }
    for icon in told["icons"]:
        with Image.open(io.BytesIO(Browser(site.address).get(icon["src"]).content)) as picture:
            assert f"{picture.width}x{picture.height}" == icon["sizes"]


def test_pages_name_the_manifest_and_the_worker_of_their_language(site):
    page = Browser(site.address).get("/login", headers={"Accept-Language": "zh-CN"}).text
    assert 'rel="manifest" href="/manifest/zh"' in page
    worker = re.search(r'data-worker="([^"]+)"', page).group(1).replace("&amp;", "&")
    assert worker == f"/service-worker.js?version={site.app.config['ASSET_VERSION']}&language=zh"
    answer = Browser(site.address).get(worker)
    assert answer.text == WORKER
    assert "javascript" in answer.headers["Content-Type"]
    assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
    assert answer.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_worker_keeps_what_the_offline_page_needs_and_no_more(site, locale):
    page = Browser(site.address).get(f"/offline/{locale}").text
    assert f'lang="{LANGUAGES[locale].tag}"' in page
    needed = re.findall(r'(?:src|href)="/assets/[^/]+/([^"]+)"', page)
    assert sorted(re.findall(r'^  "([^"]+)",$', WORKER, re.M)) == sorted(set(needed))


def test_the_offline_page_is_the_same_for_who_is_signed_in(site, ada):
    page = ada.get("/offline/en").text
    assert "Ada" not in page
    assert "csrf" not in page
    assert page == Browser(site.address).get("/offline/en").text


def test_a_language_that_is_not_known_is_no_page(site):
    for path in ("/offline/xx", "/manifest/xx"):
        assert Browser(site.address).get(path).status_code == 404
