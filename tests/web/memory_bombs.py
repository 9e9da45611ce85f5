"""A process with little memory left opens what fills memory: `python memory_bombs.py` prints what became of each bomb.

Each would take hundreds of megabytes, or all there is, if a parser believed it.
"""

import io
import json
import resource
import struct
import sys
import zipfile
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from store import chat_files, macros
from store.cards import files
from store.cards.errors import CardError
from store.errors import Refused
from store.lore import report
from store.lore.book import read_book
from store.lore.match import MatchContext, activate
from web.rendering.prose import render

ROOM_BYTES = 120 << 20
BOMB_MB = 200


def packed_zeros() -> bytes:
    """200 MB of zeros, deflated to 900 kB, as raw deflate."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(BOMB_MB)), packer.flush()])


def picture(zeros: bytes) -> bytes:
    """A PNG whose card is such a text."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    text = chunk(b"zTXt", b"chara\0\0" + b"\x78\x01" + zeros)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + text + chunk(b"IEND", b"")


def archive() -> bytes:
    """A CHARX with a card of zeros."""
    raw = io.BytesIO()
    with (
        zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened,
        opened.open("card.json", "w") as one,
    ):
        for _ in range(BOMB_MB):
            one.write(bytes(1 << 20))
    return raw.getvalue()


def chat(line: dict[str, object], n: int) -> bytes:
    return b"\n".join([json.dumps({"name": "M", "mes": "x", **line}).encode()] * n)


def lorebook() -> None:
    entries = [{"keys": [f"k{n}"], "content": str(n), "extensions": {"scan_depth": n}} for n in range(3_000)]
    activate({"b": read_book({"entries": entries})}, MatchContext(["x" * 90] * 3_000, 1), budget=0)


def patterns() -> None:
    keys = [f"/((a{{999}}){{999}}){{{n}}}/" for n in range(900)]
    report.findings({"entries": [{"keys": keys, "content": "x"}]}, "book")


def texts_of_a_card() -> None:
    scene = macros.MacroContext({"description": lambda: "x" * 100_000})
    macros.resolve("{{reverse:{{description}}}}" * 5_000, char="M", user="A", context=scene)


def bombs() -> dict[str, object]:
    png, charx = picture(packed_zeros()), archive()
    return {
        "picture": lambda: files.read_card(png, "a.png"),
        "archive": lambda: files.read_card(charx, "a.charx"),
        "nested": lambda: files.read_card(b'{"name":' + b"[" * 900_000, "a.json"),
        "values": lambda: files.read_card(b'{"name":"x","a":[' + b"{}," * 300_000 + b"{}]}", "a.json"),
        "chat of values": lambda: chat_files.read(chat({"a": [0] * 99}, 49_000), 5.0),
        "chat of swipes": lambda: chat_files.read(chat({"swipes": ["x"] * 900}, 900), 5.0),
        "one long line": lambda: chat_files.read(b'{"name":"' + b"x" * (20 << 20), 5.0),
        "lorebook": lorebook,
        "patterns": patterns,
        "macros": texts_of_a_card,
        "table": lambda: render("|".join("a" * 2_500) + "\n" + "|".join("-" * 2_500) + "\n" + "a\n" * 5_000),
        "long message": lambda: render("*a* " * 500_000),
    }


def main() -> None:
    prepared = bombs()
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + ROOM_BYTES, in_use + ROOM_BYTES))
    for name, bomb in prepared.items():
        try:
            bomb()
            sys.stdout.write(f"{name}: taken\n")
        except (CardError, Refused) as refusal:
            sys.stdout.write(f"{name}: {refusal.code}\n")


if __name__ == "__main__":
    main()
