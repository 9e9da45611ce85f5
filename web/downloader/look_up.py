"""Look-up: which file a source means, at which commit, with size and hash of each part. Asks the hubs in turn.

What it does: a path or a pattern becomes one model (all parts of a split one), or a list to choose from; an address
becomes a file whose size its server tells, and whose hash is typed beside it or told by that server.
What it refuses to know: rows (jobs.py) and how bytes are fetched (transfer.py).
"""

import base64
import binascii
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from store.shelf.names import SPLIT, ModelSource, is_sha256, part_names
from store.shelf.views import PartView
from web.downloader.http import LOST, Client, host
from web.downloader.hubs import MAX_SIZE, Hub, HubFile, HubModel
from web.downloader.troubles import Final, Passing, Trouble, weightiest

MAX_LISTED = 200
_PROJECTOR = "mmproj"
"""In the names of files that see pictures for a model: no models by themselves."""
_DIGESTS = (("repr-digest", r"sha-256=:([A-Za-z0-9+/=]{40,60}):"), ("digest", r"sha-256=([A-Za-z0-9+/=]{40,60})"))


@dataclass(frozen=True)
class Found:
    """One model, or (no parts) the files to choose from."""

    source: ModelSource
    licence: str = ""
    parts: tuple[PartView, ...] = ()
    listing: tuple[HubFile, ...] = ()


def look_up(client: Client, hubs: Sequence[Hub], source: ModelSource) -> Found:
    """What a source means. Raises Trouble."""
    if source.url:
        return _by_address(client, source)
    troubles: list[Trouble] = []
    for hub in hubs:
        try:
            return _among(hub.model(client, source.repo, source.revision), source)
        except Trouble as trouble:
            troubles.append(trouble)
    raise weightiest(troubles)


def _among(model: HubModel, source: ModelSource) -> Found:
    firsts = [file for file in model.files if _is_model(file.path)]
    fitting = [file for file in firsts if _fits(file.path, source.path)]
    if len(fitting) != 1:
        return Found(source, listing=_listing(model, fitting or firsts))
    file = fitting[0]
    named = replace(source, path=file.path, revision=model.revision)
    return Found(named, model.licence, _parts(model, file, source.sha256))


def _is_model(path: str) -> bool:
    """Whether a file is a model or the first part of one."""
    name = path.rsplit("/", 1)[-1]
    return _PROJECTOR not in name.lower() and part_names(name)[0] == name


def _fits(path: str, wanted: str) -> bool:
    """Whether a first part is what a person means: a path, a name, any part of a split model, or a pattern."""
    split = SPLIT.match(wanted)
    if split:
        wanted = f"{split['stem']}-00001-of-{split['count']}{wanted[-5:]}"
    name, path, wanted = path.rsplit("/", 1)[-1].lower(), path.lower(), wanted.lower()
    return wanted in (path, name) or fnmatch.fnmatchcase(path, wanted) or fnmatch.fnmatchcase(name, wanted)


def _parts(model: HubModel, first: HubFile, typed_sha256: str) -> tuple[PartView, ...]:
    """All parts of a model. Raises Final."""
    folder, _, name = first.path.rpartition("/")
    known = {file.path: file for file in model.files}
    paths = [f"{folder}/{part}" if folder else part for part in part_names(name)]
    missing = [path for path in paths if path not in known]
    if missing:
        raise Final("fetch.parts", name=name, missing=len(missing), parts=len(paths))
    files = [known[path] for path in paths]
    if not all(file.sha256 for file in files):
        raise Final("fetch.no_hash_there", name=name)
    if typed_sha256 and len(files) == 1 and typed_sha256 != files[0].sha256:
        raise Final("fetch.other_hash", name=name)
    return tuple(PartView(number, file.path, file.size, file.sha256) for number, file in enumerate(files, 1))


def _listing(model: HubModel, files: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """The first parts with the size of all parts."""
    known = {file.path: file.size for file in model.files}
    summed = []
    for file in sorted(files, key=lambda one: one.path)[:MAX_LISTED]:
        folder, _, name = file.path.rpartition("/")
        sizes = (known.get(f"{folder}/{part}" if folder else part, 0) for part in part_names(name))
        summed.append(replace(file, size=sum(sizes)))
    return tuple(summed)


def _by_address(client: Client, source: ModelSource) -> Found:
    """The one file at an address. Raises Trouble."""
    if len(part_names(source.name)) > 1:
        raise Final("fetch.split_address", name=source.name)
    try:
        with client.stream(source.url, 0, 1) as answer:
            size, told = answer.size, digest_of(answer.told)
    except LOST:
        raise Passing("fetch.no_network", host=host(source.url)) from None
    if not 0 < size <= MAX_SIZE:
        raise Final("fetch.no_size", host=host(source.url))
    if source.sha256 and told and told != source.sha256:
        raise Final("fetch.other_hash", name=source.name)
    if not (source.sha256 or told):
        raise Final("fetch.no_hash", host=host(source.url))
    return Found(source, parts=(PartView(1, source.name, size, source.sha256 or told),))


def digest_of(headers: Mapping[str, str]) -> str:
    """The SHA-256 of the whole file that a server tells (names of headers in lower case); "" where it does not."""
    linked = headers.get("x-linked-etag", "").strip('"').lower()
    if is_sha256(linked):
        return linked
    for name, form in _DIGESTS:
        if match := re.search(form, headers.get(name, ""), re.IGNORECASE):
            try:
                digest = base64.b64decode(match[1], validate=True).hex()
            except binascii.Error:
                continue
            if is_sha256(digest):
                return digest
    return ""
