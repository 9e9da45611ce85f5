"""Links that an admin hands out name addresses that others can open, whatever address the admin uses."""

import re

import pytest

from store import accounts

LAN = "http://192.168.1.20"


@pytest.fixture
def root(site):
    """An admin who sits at the machine itself, of a server that others reach, too."""
    settings = site.services.settings
    settings.__dict__["public_origins"] = f"{settings.public_origins},{LAN},https://hearth.example"
    return site.browser().sign_up(site.invite("admin"), "Root")


def links_of(page):
    return re.findall(r'value="(http[^"]+)"[^>]*data-testid="invitation-link"', page)


@pytest.mark.parametrize("kind", ["invitation", "new password"])
def test_a_link_names_every_address_that_others_can_open_and_has_a_code(root, database, kind):
    me = accounts.find_user(database, "Root")
    form = "/people/invitations" if kind == "invitation" else f"/people/{me.id}/reset"
    page = root.submit("/people", {"role": "adult", "days": "7"}, form).text
    links = links_of(page)
    assert [link.split("/")[2] for link in links] == ["192.168.1.20", "hearth.example"]
    assert page.count('data-testid="qr"') == 2
    assert 'data-testid="only-here"' not in page
