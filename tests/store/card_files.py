"""Cards as other programs write them, for the tests of store/cards and the mutations of tests/fuzz."""

import base64
import io
import json
import struct
import zipfile
import zlib

from store.cards import png

V1 = {
    "name": "Mo",
    "description": "A cat called {{char}}.",
    "personality": "Sly.",
    "scenario": "A kitchen.",
    "first_mes": "Meow, {{user}}.",
    "mes_example": "<START>\n{{user}}: Hello\n{{char}}: Meow",
}
ENTRY = {
    "keys": ["fish", "/fi.h/i"],
    "content": "@@depth 4\nFish is food.",
    "enabled": True,
    "insertion_order": 100,
    "use_regex": False,
    "constant": False,
    "selective": True,
    "secondary_keys": ["tuna"],
    "position": "before_char",
    "extensions": {"sticky": 2, "vectorized": False, "x": [1, None, 0.5]},
    "id": 7,
    "odd": {"kept": True},
}
DATA = {
    **V1,
    "creator_notes": "A good cat.",
    "system_prompt": "{{original}} Be a cat.",
    "post_history_instructions": "Purr.",
    "alternate_greetings": ["Miau.", "喵。"],
    "tags": ["cats", "cosy"],
    "creator": "Ada",
    "character_version": "1.2",
    "extensions": {
        "depth_prompt": {"prompt": "Tail.", "depth": 4, "role": "system"},
        "fav": True,
        "their/own": {"a": 1},
    },
    "character_book": {"name": "Fish", "entries": [ENTRY], "extensions": {}, "scan_depth": 3},
    "group_only_greetings": ["All of you!"],
    "assets": [{"type": "icon", "uri": "embeded://assets/main.png", "name": "main", "ext": "png"}],
    "nickname": "Momo",
    "creator_notes_multilingual": {"zh": "一只好猫。"},
    "source": ["https://cats.invalid/mo"],
    "creation_date": 1700000000,
    "modification_date": 1700000001,
    "not_in_any_version": {"deep": [[], {}, ""]},
}


def v3(data=DATA, **outer):
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": data, **outer}


def v2(data=DATA, **outer):
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": data, **outer}


def as_json(card):
    return json.dumps(card, ensure_ascii=False).encode()


def packed(card):
    return base64.b64encode(as_json(card))


def chunk(kind, content, crc=None, length=None):
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content) if length is None else length) + kind + content + struct.pack(">I", crc)


def picture(*extra, n_pixels=1):
    """A small PNG with these chunks before its pixels."""
    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(16))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    pixels = zlib.compress(rows)
    step = -(-len(pixels) // n_pixels)
    parts = [chunk(b"IDAT", pixels[at : at + step]) for at in range(0, len(pixels), step)]
    return png.MAGIC + header + b"".join(extra) + b"".join(parts) + chunk(b"IEND", b"")


def text(keyword, content):
    return chunk(b"tEXt", keyword + b"\0" + content)


def ztext(keyword, content):
    return chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(content))


def itext(keyword, content, compressed=False):
    body = zlib.compress(content) if compressed else content
    return chunk(b"iTXt", keyword + b"\0" + bytes([compressed, 0]) + b"\0\0" + body)


def as_png(card, keyword=b"chara"):
    return picture(text(keyword, packed(card)))


def as_charx(card, files=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("card.json"), as_json(card), zipfile.ZIP_DEFLATED)
        for name, content in (files or {}).items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def as_webp(text_of_it, tag=0x9286, order="<", encoding=b"ASCII\0\0\0"):
    """A WEBP (of no pixels) with a text in its EXIF data: UserComment, or ImageDescription."""
    value = encoding + text_of_it if tag == 0x9286 else text_of_it
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    if tag == 0x9286:
        first = struct.pack(f"{order}HHHIII", 1, 0x8769, 4, 1, 26, 0)
        at = 26 + 18
    else:
        first, at = b"", 8 + 18
    second = struct.pack(f"{order}HHHIII", 1, tag, 7, len(value), at, 0)
    body = head + first + second + value
    exif = b"EXIF" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(exif) + 4) + b"WEBP" + exif
