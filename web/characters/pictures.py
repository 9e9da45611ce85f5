"""Pictures of characters and personas: served to people who may see them, and sanitized when they are uploaded.

What it does: `reencode` decodes an upload and encodes it again, small and upright, so that only pixels are stored: no
metadata (the place where a photo was taken) and no second file hidden in the first (polyglot).
`allow_pictures` gives the forms that carry one their room.
What it refuses to know: cards. A picture that holds a card is read by store/cards before it comes here.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Sequence

from flask import Blueprint, Flask, Response, make_response, request
from PIL import Image, ImageOps

from store import pictures as stored_pictures
from store.errors import Refused
from web.assets import YEAR_S
from web.auth.accounts import me, signed_in
from web.services import services

blueprint = Blueprint("pictures", __name__)
FORMATS = ("PNG", "JPEG", "WEBP")
MAX_SIDE, MAX_PIXELS, QUALITY = 800, 16_000_000, 84
BACKGROUND_SIDE = 1600
MAX_UPLOAD_BYTES = 8 << 20
DECODE_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, RuntimeError),
    *(struct.error, zlib.error, Image.DecompressionBombError, Warning),
)
_decoding_lock = threading.Lock()  # decoding needs 64 MB at worst


@blueprint.get("/pictures/<picture_id>")
@signed_in
def show(picture_id: str) -> Response:
    """One picture; its id never gets other bytes, so browsers may keep it."""
    picture = stored_pictures.get_picture_for(services().database, me(), picture_id)
    response = make_response(picture.data)
    response.mimetype = picture.media_type
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.cache_control.private = True
    response.cache_control.max_age = YEAR_S
    response.cache_control.immutable = True
    response.set_etag(picture.id)
    response.make_conditional(request)
    return response


def allow_pictures(app: Flask, endpoints: Sequence[str], max_text_bytes: int) -> None:
    """Allow larger requests for forms that carry a picture; their texts stay as small as they are."""

    @app.before_request
    def _room_for_a_picture() -> None:
        if request.endpoint in endpoints:
            room = MAX_UPLOAD_BYTES if request.mimetype == "multipart/form-data" else 0
            request.max_content_length = room + max_text_bytes
            request.max_form_memory_size = max_text_bytes


def uploaded(field: str, max_side: int = MAX_SIDE) -> bytes | None:
    """The picture that was chosen in a field of the form, drawn anew. Raises Refused "bad_picture"."""
    upload = request.files.get(field)
    data = upload.read() if upload else b""
    return reencode(data, max_side) if data else None


def reencode(data: bytes, max_side: int = MAX_SIDE) -> bytes:
    """The same picture as WEBP of at most `max_side` pixels a side. Raises Refused "bad_picture"."""
    try:
        with _decoding_lock, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _reencode(data, max_side)
    except DECODE_ERRORS as error:
        raise Refused("bad_picture") from error


def _reencode(data: bytes, max_side: int) -> bytes:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.draft("RGB", (max_side, max_side))  # a big photo is decoded at a fraction of its size
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        image.load()
        upright = ImageOps.exif_transpose(image)
    upright.thumbnail((max_side, max_side))
    clear = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    out = io.BytesIO()
    clear.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()
