"""Static assets with cache busting: a hash of all files is part of each URL, so browsers may cache it for a year.

What it does: the hash is a folder in the path, so ES modules, which import each other by relative paths, need no
rewriting. Text files are compressed; pages are not, because they hold secrets (BREACH).
What it refuses to know: pictures that people bring (characters/pictures.py).
"""

import gzip
import hashlib
import zlib
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Flask, Response, request, send_from_directory, url_for

from store.pictures import PREFIX

STATIC = Path(__file__).parent / "static"
YEAR_S = 31_536_000
TEXTS = (".js", ".css", ".svg")
SHADES = 5  # of the letters that stand where there is no picture (css/pages.css)
FACE = "#svgView(viewBox(60,40,180,180))"  # of a portrait of 320 x 320; other kinds of pictures are shown whole


def version() -> str:
    """A short hash of all static files."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache
def _gzipped(path: str) -> bytes:
    return gzip.compress((STATIC / path).read_bytes(), mtime=0)


def _compress(response: Response, path: str) -> None:
    """Compress a text file if the browser accepts gzip."""
    if not path.endswith(TEXTS):
        return
    response.vary.add("Accept-Encoding")
    if response.status_code == 200 and request.accept_encodings["gzip"]:
        response.direct_passthrough = False
        response.set_data(_gzipped(path))
        response.content_encoding = "gzip"
        etag, _weak = response.get_etag()
        response.set_etag(f"{etag}-gzip")


def avatar_url(avatar: str) -> str:
    """The address of an uploaded picture."""
    return url_for("pictures.show", picture_id=avatar.removeprefix(PREFIX))


def init_app(app: Flask) -> None:
    """Serve /assets/<version>/... (config ASSET_VERSION) and give templates `asset(path)`."""
    current = app.config["ASSET_VERSION"] = version()
    blueprint = Blueprint("assets", __name__)

    @blueprint.get("/assets/<tag>/<path:path>")
    def file(tag: str, path: str) -> Response:
        known = tag == current or app.debug
        response = send_from_directory(STATIC, path, max_age=YEAR_S if known else 0)
        if known:
            response.cache_control.immutable = True
            _compress(response, path)
        return response

    app.register_blueprint(blueprint)

    def asset(path: str) -> str:
        return url_for("assets.file", tag=current, path=path)

    def avatar(name: str) -> str:
        if name.startswith(PREFIX):
            return avatar_url(name)
        known = (STATIC / "avatars" / Path(name).name).is_file()
        return asset(f"avatars/{Path(name).name}" if known else "icon.svg")

    app.add_template_global(asset, "asset")
    app.add_template_global(avatar, "avatar")
    app.add_template_global(lambda name: avatar(name) + (FACE if name.endswith(".svg") else ""), "face")
    app.add_template_global(lambda name: zlib.crc32(name.encode()) % SHADES, "shade")
