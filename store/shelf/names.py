"""Validation of what names a model: repository, path, file name, URL, hash: whatever comes from outside.

What it does: a `ModelSource` is checked where it is made (`source_of`); a file name is one that stays in the models
folder on every system.
What it refuses to know: whether there is such a file.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from store.errors import Refused

HEADERS = "model_headers"
"""The folder in the data folder that has the headers of models that are not here (`header_names`)."""
MAX_NAME, MAX_PATH, MAX_URL = 160, 400, 2000
SPLIT = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
MAX_PARTS = 64
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+=@-]*\.gguf$", re.IGNORECASE)
_REPO = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
_PATH = re.compile(r"^[A-Za-z0-9*?][A-Za-z0-9._+=@*?-]*(/[A-Za-z0-9*?][A-Za-z0-9._+=@*?-]*)*$")
_REVISION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")
_PAGE = re.compile(
    r"^https://(?:huggingface\.co|hf\.co|hf-mirror\.com|(?:www\.)?modelscope\.cn/models)/"
    r"(?P<repo>[^/?#]+/[^/?#]+)/(?:resolve|blob|file/view)/(?P<revision>[^/?#]+)/(?P<path>[^?#]+)"
)
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class ModelSource:
    """Where a model is to be had: `repo` and `path` (a file, a pattern with * and ?, or "": tell what there is), or
    `url` and `sha256` (needed there, unless its server is one that tells it)."""

    repo: str = ""
    path: str = ""
    url: str = ""
    sha256: str = ""
    revision: str = ""

    @property
    def is_pattern(self) -> bool:
        """Whether the file is still to be found."""
        return not self.url and (not self.path or "*" in self.path or "?" in self.path)

    @property
    def name(self) -> str:
        """The file name that its row has at first; of a pattern one that no file can have."""
        if self.is_pattern:
            return f"{self.repo}:{self.path}"
        return file_name(unquote(urlsplit(self.url).path) if self.url else self.path)


def source_of(repo: str = "", path: str = "", url: str = "", sha256: str = "", revision: str = "") -> ModelSource:
    """A checked source from what a person typed. Raises Refused "bad_model...."."""
    repo, path, url, sha256 = repo.strip(), path.strip(), url.strip(), sha256.strip().lower()
    if page := _PAGE.match(url):  # what people copy from a hub's page
        repo, revision, path, url = page["repo"], revision or unquote(page["revision"]), unquote(page["path"]), ""
    if sha256 and not _SHA256.match(sha256):
        raise Refused("bad_model.sha256")
    if revision and not _REVISION.match(revision):
        raise Refused("bad_model.revision")
    if url:
        _check_url(url)
    elif not _REPO.match(repo) or ".." in repo:
        raise Refused("bad_model.repo")
    elif path and not is_safe_path(path):
        raise Refused("bad_model.path")
    source = ModelSource("" if url else repo, "" if url else path, url, sha256, revision)
    if not source.is_pattern:
        file_name(source.name)
    return source


def file_name(path: str) -> str:
    """The name in the models folder of a file of this path. Raises Refused "bad_model.name"."""
    name = path.rsplit("/", 1)[-1]
    if not is_file_name(name):
        raise Refused("bad_model.name", name=name[:MAX_NAME])
    return name


def is_file_name(name: str) -> bool:
    """Whether a text can be the name of a model file: GGUF, no directory, no hidden file, nothing special."""
    return len(name) <= MAX_NAME and bool(_NAME.match(name)) and ".." not in name


def is_safe_path(path: str) -> bool:
    """Whether a text can be a path inside of a repository, or a pattern of one."""
    return len(path) <= MAX_PATH and bool(_PATH.match(path)) and ".." not in path


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in lower-case hexadecimal digits."""
    return bool(_SHA256.match(text))


def header_names(file_id: str, n_parts: int) -> tuple[str, ...]:
    """The names of the files in `DATA_DIR/model_headers` that hold the beginnings of a model's parts."""
    if n_parts == 1:
        return (f"{file_id}.gguf",)
    return tuple(f"{file_id}-{one:05d}-of-{n_parts:05d}.gguf" for one in range(1, n_parts + 1))


def part_names(name: str) -> tuple[str, ...]:
    """The names of all parts of a model file; the name alone where it is not split."""
    split = SPLIT.match(name)
    if not split or not 1 <= int(split["count"]) <= MAX_PARTS:
        return (name,)
    end = name[-5:]
    return tuple(f"{split['stem']}-{one:05d}-of-{split['count']}{end}" for one in range(1, int(split["count"]) + 1))


def _check_url(url: str) -> None:
    """Raises Refused "bad_model.url"."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise Refused("bad_model.url")
    if parts.username or parts.password:
        raise Refused("bad_model.secret")
