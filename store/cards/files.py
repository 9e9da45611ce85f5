"""Card files: `read_card` reads any supported container, `write_png` and `write_json` write a card.

What it does: detects the container by its bytes, never by the file's name, and finds card and picture in it. A URL that
a card names is never fetched.
What it refuses to know: what a picture shows, and the fields of a card (normalize.py).
To add a container: its reader in a module here, its detection in `_open`, its errors in errors.py, its ending in
ENDINGS (web/characters/card_files.py), and cases in tests/store/card_files.py and tests/fuzz/mutations.py.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from store import texts
from store.bounded_json import BOM
from store.cards import assets, charx, png, stored_card, webp
from store.cards.card_json import MAX_JSON_BYTES, read_json
from store.cards.errors import MAX_FILE_BYTES, CardError
from store.cards.normalize import MAX_NAME, normalize
from store.import_findings import Finding

_V2_KEYWORD, _V3_KEYWORD = "chara", "ccv3"
_JPEG = b"\xff\xd8\xff"
_CARD = "card.json"
_BEGINS = (b"{", b"eyJ", b"ewo", b"ewk", b"eyA")  # of an object, as it is and in base64
_CHAT = re.compile(rb'\{[^\n]{0,99}"(?:user_name|character_name|chat_metadata)"[^\n]*\n\s*\{')  # the first of its lines
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class CardFile:
    """A card in its stored form (stored_card.py), with picture and background if the file has them."""

    card: dict[str, Any]
    picture: bytes | None = field(default=None, repr=False)
    background: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name of the character."""
        return str(self.card["name"])


def read_card(data: bytes, filename: str) -> CardFile:
    """The card in a file; the name of the file stands in where the card has none. Raises CardError."""
    if not data:
        raise CardError("empty_file")
    if len(data) > MAX_FILE_BYTES:
        raise CardError("file_too_large")
    opened = _open(data)
    normalized = normalize(opened.value)
    normalized.notes[:0] = opened.notes
    if not normalized.data["name"].strip():
        normalized.data["name"] = _name_of(filename)
        normalized.notes.append(Finding("approximated", "data.name", "no_name"))
    return CardFile(stored_card.to_stored(normalized), opened.picture, opened.background)


def write_json(card: Mapping[str, Any]) -> bytes:
    """A stored card, imported or written here, as a V3 card in UTF-8."""
    return json.dumps(stored_card.envelope(card), ensure_ascii=False, indent=2).encode()


def write_png(picture: bytes, card: Mapping[str, Any]) -> bytes:
    """A PNG with the card in it, as V2 and as V3; its other chunks stay as they are. Raises CardError."""
    if not picture.startswith(png.MAGIC):
        raise CardError("unknown_file")
    return png.with_texts(picture, {_V2_KEYWORD: _packed(card, 2), _V3_KEYWORD: _packed(card, 3)})


@dataclass(frozen=True)
class _Opened:
    """What a container has: the card as JSON, perhaps pictures, and findings from reading it."""

    value: Any
    picture: bytes | None = None
    notes: list[Finding] = field(default_factory=list)
    background: bytes | None = None


def _open(data: bytes) -> _Opened:
    if data.startswith(png.MAGIC):
        return _open_png(data)
    if webp.is_webp(data):
        return _open_webp(data)
    if charx.is_archive(data):
        return _open_archive(data)
    if data.startswith(_JPEG):
        raise CardError("no_card_in_picture")
    if data.removeprefix(BOM).lstrip()[:1] not in (b"{", b"["):
        raise CardError("unknown_file")
    if _CHAT.match(data):
        raise CardError("is_chat")
    return _Opened(read_json(data))


def _open_png(data: bytes) -> _Opened:
    cards = png.texts(data, (_V2_KEYWORD, _V3_KEYWORD))
    if not cards:
        raise CardError("no_card_in_picture")
    picture, notes = png.without_metadata(data), list[Finding]()
    if _V3_KEYWORD in cards:
        try:
            return _Opened(_decoded(cards[_V3_KEYWORD]), picture, notes)
        except CardError:
            if _V2_KEYWORD not in cards:
                raise
            notes.append(Finding("approximated", "", "fallback"))
    return _Opened(_decoded(cards[_V2_KEYWORD]), picture, notes)


def _open_webp(data: bytes) -> _Opened:
    for text in webp.texts(data):
        if len(text) > 1:
            try:
                return _Opened(_decoded(text), data)
            except CardError:
                if text.lstrip()[:3].startswith(_BEGINS):
                    raise  # otherwise it is the description of a photo
    raise CardError("no_card_in_picture")


def _open_archive(data: bytes) -> _Opened:
    files = charx.list_files(data)
    if _CARD not in files:
        raise CardError("no_card_in_zip")
    value = read_json(charx.unpack(data, files[_CARD], MAX_JSON_BYTES, "card_too_large"))
    data_of_card = value.get("data") if isinstance(value, dict) else None
    paths = (assets.picture_path(data_of_card), assets.background_path(data_of_card))
    picture, background = (_unpacked(data, files.get(path)) for path in paths)
    used = {path for path in paths if path in files}
    left_out = sum(not name.endswith("/") for name in files) - 1 - len(used)
    notes = [Finding("approximated", "", "assets_left_out", {"n": left_out})] if left_out else []
    return _Opened(value, picture, notes, background)


def _unpacked(data: bytes, file: charx.ArchivedFile | None) -> bytes | None:
    return charx.unpack(data, file, MAX_FILE_BYTES, "file_too_large") if file else None


def _decoded(text: bytes) -> Any:
    """A card in base64, however it is padded and broken into lines; or as it is."""
    packed = b"".join(text.split())
    if packed[:1] == b"{":
        return read_json(text)
    packed = packed.translate(_URL_SAFE).rstrip(b"=")
    try:
        return read_json(base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True))
    except binascii.Error as error:
        raise CardError("bad_base64") from error


def _packed(card: Mapping[str, Any], version: int) -> bytes:
    return base64.b64encode(json.dumps(stored_card.envelope(card, version), ensure_ascii=False).encode())


def _name_of(filename: str) -> str:
    stem = " ".join(texts.clean(PurePath(filename.replace("\\", "/")).stem).replace("_", " ").split())
    return stem[:MAX_NAME].strip() or "?"
