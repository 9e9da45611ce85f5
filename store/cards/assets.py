"""The assets of a card that are used here: the main picture and the background, each by its path in a CHARX archive.

An asset that lies anywhere else is not used: an address that a card names is never fetched. Pure.
What it refuses to know: archives (charx.py) and what a picture shows.
To use another type of asset: a function here, what takes it out of the archive (files.py), and the import report.
"""

from collections.abc import Mapping
from typing import Any

_EMBEDDED = ("embeded://", "embedded://")


def picture_path(data: Any) -> str:
    """The path of the main picture that the `data` object of a card names; empty if it names none."""
    return _path_of(data, "icon")


def background_path(data: Any) -> str:
    """The path of the background; empty if the card names none."""
    return _path_of(data, "background")


def _path_of(data: Any, kind: str) -> str:
    """The embedded asset of this type: the one with the name "main", else the first."""
    listed = data.get("assets") if isinstance(data, Mapping) else None
    assets = [asset for asset in listed if isinstance(asset, Mapping)] if isinstance(listed, list) else []
    wanted = [asset for asset in assets if asset.get("type") == kind]
    wanted.sort(key=lambda asset: asset.get("name") != "main")
    uris = (asset.get("uri") for asset in wanted)
    return next((uri.split("://", 1)[1] for uri in uris if isinstance(uri, str) and uri.startswith(_EMBEDDED)), "")
