"""What a stranger sees of a house behind deploy/compose.tls.yml: run by deploy/compose-test in the web container.

python - DOMAIN < tests/deploy/through_caddy.py

From there the visitor's own address is known, so it can be asked for. The certificate is not looked at: Caddy signs
it by itself for `localhost`.
"""

import http.client
import re
import socket
import ssl
import sys
import urllib.parse

from store.broker import client
from store.settings import load_settings

FORGED = "203.0.113.7"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}


class Visitor:
    """Asks Caddy, one connection after the other."""

    def __init__(self, domain):
        self.domain = domain
        self.address = None

    def ask(self, method, path, body=None, **headers):
        """(status, headers, text) over https."""
        raw = socket.create_connection(("caddy", 443), timeout=10)
        self.address = raw.getsockname()[0]
        connection = http.client.HTTPSConnection(self.domain, timeout=10)
        connection.sock = ssl._create_unverified_context().wrap_socket(raw, server_hostname=self.domain)
        return self._answer(connection, method, path, body, headers)

    def ask_plainly(self, path):
        """(status, headers, text) over http."""
        connection = http.client.HTTPConnection(self.domain, timeout=10)
        connection.sock = socket.create_connection(("caddy", 80), timeout=10)
        return self._answer(connection, "GET", path, None, {})

    @staticmethod
    def _answer(connection, method, path, body, headers):
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()


def check(visitor):
    """AssertionError for what is not as promised."""
    status, headers, _ = visitor.ask_plainly("/login")
    assert (status, headers["Location"]) == (308, f"https://{visitor.domain}/login"), (status, headers)
    status, headers, page = visitor.ask("GET", "/login")
    cookie = headers["Set-Cookie"]
    assert status == 200, page
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; ")), cookie
    check_origins(visitor)
    check_address(visitor, cookie.partition(";")[0], re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1])


def check_origins(visitor):
    """A web socket comes through Caddy as far as the gate, which lets only our own pages pass, signed in."""
    for origin, wanted in ((f"https://{visitor.domain}", 401), (f"http://{visitor.domain}", 403), ("https://x.y", 403)):
        status, _, said = visitor.ask("GET", "/ws", **HANDSHAKE, Origin=origin)
        assert status == wanted, (origin, status, said)


def check_address(visitor, cookie, token):
    """Tries to sign in are counted by the visitor's own address: neither Caddy's nor one that the visitor made up."""
    form = urllib.parse.urlencode({"csrf_token": token, "name": "Nobody", "password": "no password of anybody"})
    more = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, "X-Forwarded-For": FORGED}
    page = f"https://{visitor.domain}/login"
    status, _, said = visitor.ask("POST", "/login", form, **more, Referer=page)
    assert status == 422, (status, said)
    with client.connect(load_settings().redis_url) as redis:
        counted = [key.decode() for key in redis.scan_iter("*LIMITER*")]
    assert any(visitor.address in key for key in counted), (visitor.address, counted)
    caddy = {found[4][0] for found in socket.getaddrinfo("caddy", 443)}
    assert not any(address in key for key in counted for address in (FORGED, *caddy)), (caddy, counted)


if __name__ == "__main__":
    check(Visitor(sys.argv[1]))
    sys.stdout.write("through Caddy: https only, Secure cookies, origins checked, visitors with their own addresses\n")
