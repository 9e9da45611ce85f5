"""Links: with which addresses they are offered, who can open them, and their QR codes."""

import pytest

from store import accounts, invitations
from store.links.addresses import machine_addresses, reach_of
from store.links.offers import offers
from store.settings import Settings, load_settings

LAN, HERE = "http://192.168.1.20:8420", "http://127.0.0.1:8420"


@pytest.mark.parametrize(
    ("origin", "reach"),
    [
        (HERE, "machine"),
        ("http://localhost:8420", "machine"),
        ("http://[::1]:8420", "machine"),
        ("http://0.0.0.0:8420", "machine"),
        (LAN, "network"),
        ("http://10.1.2.3", "network"),
        ("http://hearth.local:8420", "network"),
        ("https://hearth.example", "anywhere"),
    ],
)
def test_who_can_open_an_address(origin, reach):
    assert reach_of(origin) == reach


def test_the_address_that_is_used_comes_first_and_one_of_this_machine_alone_never_before_others():
    origins = (HERE, LAN, "https://hearth.example")
    assert [one.link for one in offers(origins, "/x", HERE)] == [f"{LAN}/x", "https://hearth.example/x"]
    assert offers(origins, "/x", "https://hearth.example")[0].link == "https://hearth.example/x"
    (only,) = offers((HERE, "http://localhost:8420"), "/x", HERE)
    assert (only.link, only.reach) == (f"{HERE}/x", "machine")


def test_the_codes_of_a_link_are_drawn_for_a_page_and_for_a_terminal():
    (offer,) = offers((LAN,), "/invite/" + "x" * 43)
    assert offer.svg.startswith("<svg")
    assert "viewBox" in offer.svg
    assert "style" not in offer.svg
    assert "▄" in offer.blocks


def test_no_address_of_this_machine_is_one_that_only_it_can_open():
    assert [one for one in machine_addresses() if reach_of(f"http://{one}") == "machine"] == []


def test_a_server_that_listens_everywhere_answers_to_the_addresses_of_its_machine():
    found = load_settings({"INGLENOOK_HOST": "0.0.0.0"}).origins
    assert [f"http://{one}:8420" for one in machine_addresses()] == list(found[:-2])
    assert found[-2:] == ("http://localhost:8420", HERE)


def test_an_invitation_names_an_address_that_others_can_open(database, tmp_path):
    settings = Settings(data_dir=tmp_path, public_origins=f"{HERE},{LAN}")
    assert invitations.invitation_link(database, settings, "adult").startswith(f"{LAN}/invite/")
    assert invitations.first_admin_link(database, settings).startswith(f"{LAN}/invite/")
    token = invitations.first_admin_link(database, settings).rpartition("/")[2]
    accounts.sign_up(database, token, "Ada", "x")
    assert invitations.first_admin_offers(database, settings) == ()
