"""Addresses of this machine: those that others in the same network can reach (IPv4), the likeliest one first.

What it does: asks the kernel which address it would send from, then each interface; what belongs to containers and
virtual machines is left out. Nothing is sent. `reach_of` says who can open an origin.
What it refuses to know: settings, and what a link is for (offers.py).
"""

import fcntl
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

WILDCARDS = ("0.0.0.0", "::", "")
"""What a server listens on for all addresses of its machine."""
_LINUX: bool = sys.platform.startswith("linux")
_SIOCGIFADDR = 0x8915  # Linux: the address of an interface
_VIRTUAL = ("docker", "br-", "veth", "virbr", "cni", "podman", "lo")
_ELSEWHERE = ("198.51.100.1", 9)  # for documentation only (RFC 5737): nobody is there, and nothing is sent


def machine_addresses() -> tuple[str, ...]:
    """The IPv4 addresses of this machine that other machines can reach."""
    found = dict.fromkeys((*_outgoing(), *_of_interfaces(), *_of_name()))
    return tuple(address for address in found if _is_reachable(address))


def reach_of(origin: str) -> str:
    """Who can open an origin: "machine" (this one only), "network" (the same network), "anywhere" a name leads to."""
    host = urlsplit(origin).hostname or ""
    if host == "localhost" or host in WILDCARDS:
        return "machine"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "network" if host.endswith(".local") else "anywhere"
    return "machine" if address.is_loopback else "network" if address.is_private else "anywhere"


def _is_reachable(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)


def _outgoing() -> Iterator[str]:
    """The address from which this machine would send to somewhere else."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_ELSEWHERE)  # of a datagram socket: only chooses the route
            yield str(probe.getsockname()[0])
    except OSError:
        return


def _of_interfaces() -> Iterator[str]:
    """The address of each interface; Linux only."""
    if not _LINUX:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if name.startswith(_VIRTUAL):
                continue
            try:
                answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            yield socket.inet_ntoa(answer[20:24])


def _of_name() -> Iterator[str]:
    """The addresses under which this machine knows itself; macOS has no other way here."""
    if _LINUX:
        return
    try:
        for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
            yield str(entry[4][0])
    except OSError:
        return
