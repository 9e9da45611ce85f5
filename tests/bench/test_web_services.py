"""People of a bench are signed in as people are: their cookies open a web socket."""

from bench.web_services import WebServices
from tests.harness.socket_client import SocketClient, address_of


def test_a_person_of_a_bench_may_open_a_web_socket():
    services = WebServices(sockets=4)
    with services:
        services.open()
        [person] = services.people(1)
        with SocketClient(address_of(services.port), person.cookie) as socket:
            assert socket.open(person.chat.id)["type"] == "opened"
