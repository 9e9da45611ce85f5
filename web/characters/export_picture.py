"""The picture of an exported card: `export_png` gives a character's picture as PNG, the format that carries cards.

What it does: an uploaded picture is re-encoded; a bundled character has a PNG in static/avatars/travel; without a
picture there is a default one. What it refuses to know: who may see the picture (whoever may see the character), and
the card that is written into it.
"""

import io

from PIL import Image, ImageDraw

from store import pictures
from store.db import Database
from store.views import CharacterView
from web.assets import STATIC

SIDE = 512
_TOP, _BOTTOM, _GLOW = (0x5C, 0x2E, 0x1A), (0x17, 0x11, 0x0E), (0xE8, 0x78, 0x32)


def export_png(database: Database, character: CharacterView) -> bytes:
    """The picture of a character, as the bytes of a PNG."""
    if character.avatar.startswith(pictures.PREFIX):
        kept = pictures.get_picture(database, character.avatar.removeprefix(pictures.PREFIX))
        return _reencoded(kept.data)
    travelling = STATIC / "avatars" / "travel" / f"{character.slug}.png"
    if character.slug and travelling.is_file():
        return travelling.read_bytes()
    return _default_picture()


def _reencoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return _png(image)


def _default_picture() -> bytes:
    """The picture of a character that has none: a glow on a dark ground."""
    ground = Image.linear_gradient("L").resize((SIDE, SIDE))
    image = Image.composite(Image.new("RGB", ground.size, _BOTTOM), Image.new("RGB", ground.size, _TOP), ground)
    ImageDraw.Draw(image).ellipse((SIDE * 0.36, SIDE * 0.42, SIDE * 0.64, SIDE * 0.7), fill=_GLOW)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
