"""Backup archive: a zip with a manifest, one JSON-lines file per table with its SHA-256, and the secret key.

What it does: writes the archive row by row; reads it and detects damage (the manifest has the number of rows and the
hash of each table).
What it refuses to know: databases, and what the rows mean.

    manifest.json           kind of file, date, version of the tables; columns, rows and hash of each table
    tables/<name>.jsonl     one row a line, a JSON list in the order of the columns; bytes are base64
    secret_key              the key that signs cookies, where it was in a file

To change the format: raise FORMAT, and let `Archive` still read the older ones.
"""

import base64
import hashlib
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from store import secret_key as key_file
from store.bounded_json import JsonLimits, parse

FORMAT = 1
_WHAT = "inglenook backup"
_MANIFEST, _SECRET = "manifest.json", "secret_key"
_READ_FAILURES = (
    *(OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, KeyError, TypeError, RuntimeError),  # RuntimeError: a password or another kind of zip
)
_CHUNK_BYTES = 1 << 18
_ROW = JsonLimits(max_bytes=32 << 20, max_depth=64, max_values=2_000_000)  # a picture of 4 MB is a row of 5.6 MB
_MANIFEST_JSON = JsonLimits(max_bytes=4 << 20, max_depth=16, max_values=200_000)
_LATEST_DATE = 32_503_680_000.0  # the year 3000


class BackupError(ValueError):
    """A backup cannot be made or used; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class TableFacts:
    """What the manifest says of one table."""

    columns: tuple[str, ...]
    rows: int
    sha256: str


class ArchiveWriter:
    """Writes a backup; the file is complete only after `finish`."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3)
        self._tables: dict[str, TableFacts] = {}

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write one table."""
        digest, n_rows = hashlib.sha256(), 0
        with self._zip.open(_entry(name), "w", force_zip64=True) as file:
            for row in rows:
                line = json.dumps(list(row), separators=(",", ":"), default=_text).encode() + b"\n"
                digest.update(line)
                file.write(line)
                n_rows += 1
        self._tables[name] = TableFacts(tuple(columns), n_rows, digest.hexdigest())

    def finish(self, version: str, made_at: float, secret_key: str | None) -> None:
        """Write what the file says about itself, and close it."""
        if secret_key is not None:
            self._zip.writestr(_SECRET, secret_key)
        tables = {name: asdict(facts) for name, facts in self._tables.items()}
        manifest = {"what": _WHAT, "format": FORMAT, "version": version, "made_at": made_at, "tables": tables}
        self._zip.writestr(_MANIFEST, json.dumps(manifest, indent=1))
        self._zip.close()

    def abandon(self) -> None:
        """Close an incomplete file."""
        self._zip.close()


class Archive:
    """Reads a backup. Raises BackupError where the file is no backup or is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise BackupError(f"There is no file {path}: name the file that `inglenook backup` wrote.") from None
        except _READ_FAILURES as error:
            raise BackupError(
                f"{path} is no backup, or was cut off ({error}): use another copy, whole backups end in a zip index."
            ) from None
        self._read_manifest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _where: TracebackType | None) -> None:
        self._zip.close()

    @property
    def secret_key(self) -> str | None:
        """The key that signed the cookies, if the backup has one that is safe. Raises BackupError."""
        if _SECRET not in self._zip.namelist():
            return None
        try:
            key = self._read(_SECRET, key_file.MOST_BYTES).decode().strip()
        except _READ_FAILURES as error:
            raise self._damaged(f"{_SECRET}: {error}") from None
        return key if key_file.is_safe(key) else None

    def lines(self, name: str) -> Iterator[bytes]:
        """The rows of one table as lines. Raises BackupError at the end if number or hash differ from the manifest."""
        facts, digest, n_rows = self.tables[name], hashlib.sha256(), 0
        try:
            with self._zip.open(_entry(name)) as file:
                for line in _bounded_lines(file):
                    digest.update(line)
                    n_rows += 1
                    yield line
        except _READ_FAILURES as error:
            raise self._damaged(f"{name}: {error}") from None
        if (n_rows, digest.hexdigest()) != (facts.rows, facts.sha256):
            raise self._damaged(f"{name} has {n_rows} rows of {facts.rows}, or others than were written")

    def verify(self) -> None:
        """Read everything once, a row at a time. Raises BackupError."""
        _ = self.secret_key
        for name in self.tables:
            for line in self.lines(name):
                self.row(name, line)

    def row(self, name: str, line: bytes) -> dict[str, Any]:
        """One row by its columns; bytes are still base64."""
        try:
            return dict(zip(self.tables[name].columns, parse(line, _ROW), strict=True))
        except (ValueError, TypeError) as error:
            raise self._damaged(f"{name}: {error}") from None

    def _read_manifest(self) -> None:
        try:
            manifest = parse(self._read(_MANIFEST, _MANIFEST_JSON.max_bytes), _MANIFEST_JSON)
            known = manifest["what"] == _WHAT and 0.0 <= manifest["made_at"] <= _LATEST_DATE
            self.format, self.version = int(manifest["format"]), str(manifest["version"])
            self.made_at = float(manifest["made_at"])
            self.tables = {
                name: TableFacts(tuple(facts["columns"]), int(facts["rows"]), str(facts["sha256"]))
                for name, facts in manifest["tables"].items()
            }
        except (*_READ_FAILURES, AttributeError):
            known = False
        if not known:
            self._zip.close()
            raise BackupError(f"{self._path} is no backup of inglenook: name a file that `inglenook backup` wrote.")
        if self.format > FORMAT:
            self._zip.close()
            raise BackupError(f"{self._path} was made by a newer inglenook: update this one first.")

    def _read(self, name: str, max_bytes: int) -> bytes:
        """The whole of a small entry. Raises one of _READ_FAILURES."""
        with self._zip.open(name) as file:
            data = file.read(max_bytes + 1)
            if len(data) > max_bytes:
                raise ValueError(f"more than {max_bytes} bytes")
            return data

    def _damaged(self, what: str) -> BackupError:
        return BackupError(f"{self._path} is damaged ({what}): use another copy of the backup.")


def _bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, read in chunks. Raises ValueError for one that is longer than a row can be."""
    pending = bytearray()
    while chunk := file.read(_CHUNK_BYTES):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield bytes(pending) + end + b"\n"
            pending.clear()
        pending += rest
        if len(pending) > _ROW.max_bytes:
            raise ValueError(f"a row of more than {_ROW.max_bytes >> 20} MB")
    if pending:
        yield bytes(pending)


def to_bytes(text: str | None) -> bytes | None:
    """The bytes that stand in a row as text."""
    return None if text is None else base64.b64decode(text, validate=True)


def _entry(table: str) -> str:
    return f"tables/{table}.jsonl"


def _text(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no place in a backup")
