"""Hubs: asks a hub which files a repository has, and makes the address of one; two kinds of hubs speak differently.

What it does: `Hub.model` gives the commit, the licence and the GGUF files with size and SHA-256; `Hub.address` is where
a file is to be had. Whatever a hub says is checked here: names, sizes, hashes, counts.
What it refuses to know: which hub is asked (look_up.py, transfer.py) and who may see the token (http.py).
To add a kind of hub: a class with `model` and `address`, and its choice in `hub_of`; tests/harness/hub.py
speaks it too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from store.shelf.names import is_file_name, is_safe_path, is_sha256
from web.downloader.http import Client, host
from web.downloader.troubles import Final, Passing

MAX_SIZE = 4 << 40
MAX_FILES, MAX_PAGES = 4000, 8
MODELSCOPE = "modelscope+"
"""Stands before the address of a hub that speaks as modelscope.cn does."""
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")
_LICENCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,59}$")
_NEXT = re.compile(r'<([^<>]{1,4000})>\s*;\s*rel="next"')


@dataclass(frozen=True)
class HubFile:
    """A GGUF file of a repository; `sha256` "": the hub does not say it."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class HubModel:
    """A repository at one commit."""

    revision: str
    licence: str
    files: tuple[HubFile, ...]


class Hub(Protocol):
    """One hub."""

    endpoint: str

    def model(self, client: Client, repo: str, revision: str) -> HubModel:
        """What a repository has; `revision` "": as it is now. Raises Trouble."""

    def address(self, repo: str, revision: str, path: str) -> str:
        """Where a file of a repository is to be had."""


class HuggingFaceHub:
    """Speaks as huggingface.co and its mirrors do."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def model(self, client: Client, repo: str, revision: str) -> HubModel:
        """Commit and licence first, then the tree of that commit."""
        about = f"{self.endpoint}/api/models/{repo}"
        facts, _ = client.json(f"{about}/revision/{quote(revision, safe='')}" if revision else about)
        commit = facts.get("sha") if isinstance(facts, dict) else None
        if not isinstance(commit, str) or not _COMMIT.match(commit):
            raise Passing("fetch.bad_answer", host=host(about))
        files = [
            found for entry in self._tree(client, f"{about}/tree/{commit}?recursive=true") if (found := _file(entry))
        ]
        return HubModel(commit, _licence(facts), tuple(files))

    def address(self, repo: str, revision: str, path: str) -> str:
        """The address that redirects to a signed one."""
        return f"{self.endpoint}/{repo}/resolve/{quote(revision or 'main', safe='')}/{quote(path)}"

    def _tree(self, client: Client, url: str) -> Iterable[Any]:
        """The entries of all pages."""
        for _ in range(MAX_PAGES):
            entries, headers = client.json(url)
            if not isinstance(entries, list):
                raise Passing("fetch.bad_answer", host=host(url))
            yield from entries[:MAX_FILES]
            following = _NEXT.search(headers.get("Link", ""))
            if not following:
                return
            if (further := _next_page(url, following[1])) is None:
                return
            url = further


class ModelScopeHub:
    """Speaks as modelscope.cn does. It knows other commits than the others: what it has now is taken, by its hash."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def model(self, client: Client, repo: str, revision: str) -> HubModel:
        """The list of files of the branch master."""
        url = f"{self.endpoint}/api/v1/models/{repo}/repo/files?Revision=master&Recursive=true"
        answer, _ = client.json(url)
        data = answer.get("Data") if isinstance(answer, dict) else None
        files = data.get("Files") if isinstance(data, dict) else None
        if not isinstance(files, list):
            raise Final("fetch.not_found", host=host(url))
        found = [file for entry in files[:MAX_FILES] if (file := _modelscope_file(entry))]
        return HubModel("", "", tuple(found))

    def address(self, repo: str, revision: str, path: str) -> str:
        """Its own form."""
        return f"{self.endpoint}/models/{repo}/resolve/master/{quote(path)}"


def hub_of(endpoint: str) -> Hub:
    """The hub at an address. Raises ValueError for one that is none."""
    speaks_modelscope = endpoint.startswith(MODELSCOPE)
    endpoint = endpoint.removeprefix(MODELSCOPE)
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError(f"{endpoint} is no address of a hub: expected one such as https://huggingface.co.")
    known = parts.hostname.removeprefix("www.") in ("modelscope.cn", "modelscope.ai")
    return ModelScopeHub(endpoint) if known or speaks_modelscope else HuggingFaceHub(endpoint)


def _next_page(url: str, told: str) -> str | None:
    """Where a tree goes on; None where that is another server, or no address."""
    try:
        further = urljoin(url, told)
        return further if urlsplit(further)[:2] == urlsplit(url)[:2] else None
    except ValueError:
        return None


def _file(entry: Any) -> HubFile | None:
    """A GGUF file of a tree; None for everything else."""
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    lfs = entry.get("lfs")
    lfs = lfs if isinstance(lfs, dict) else {}
    return _checked(entry.get("path"), lfs.get("size", entry.get("size")), lfs.get("oid", ""))


def _modelscope_file(entry: Any) -> HubFile | None:
    if not isinstance(entry, dict) or entry.get("Type") == "tree":
        return None
    return _checked(entry.get("Path"), entry.get("Size"), entry.get("Sha256") or "")


def _checked(path: Any, size: Any, sha256: Any) -> HubFile | None:
    sized = isinstance(size, int) and not isinstance(size, bool) and 0 < size <= MAX_SIZE
    if not (isinstance(path, str) and is_safe_path(path) and is_file_name(path.rsplit("/", 1)[-1]) and sized):
        return None
    digest = sha256.removeprefix("sha256:").lower() if isinstance(sha256, str) else ""
    return HubFile(path, size, digest if is_sha256(digest) else "")


def _licence(facts: Mapping[str, Any]) -> str:
    """The licence of a model card; "" where it says none that can be shown."""
    card = facts.get("cardData")
    found = (card.get("license_name") or card.get("license")) if isinstance(card, dict) else ""
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, str) and _LICENCE.match(found) else ""
