"""File transfer over HTTP: uploads of several files at once, each imported by itself, and downloads.

What it does: `allow_uploads` raises the size limit of a request for the endpoints that take files; `import_files` gives
each uploaded file to an importer, so that a refused file holds up no other; `attachment` is the response of a download.
What it refuses to know: what is in a file (store/cards, store/chat_files, store/lore).
To add a page that imports files: `allow_uploads` in its `init_app` (called in app.py), `uploaded` and `import_files` in
its handler, the macro import_form of templates/_import_form.html, rows in tests/web/test_access.py.
To add a reason why a file is refused: its sentence in the store (store/error_texts.py), and raise CardError or Refused
there; a reason that only the page knows is raised as NotImported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from flask import Flask, Response, request
from werkzeug.datastructures import FileStorage

from store.cards.errors import CardError
from store.errors import Refused
from web.i18n.language import error_sentence, gettext

FORM_BYTES = 1 << 20  # of a request beside its files
MAX_FILENAME = 200
Imported = TypeVar("Imported")


class NotImported(Exception):
    """An importer's own reason to refuse a file: a code for programs, a sentence in the language of the page."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True)
class UploadResult(Generic[Imported]):
    """What became of one uploaded file: `imported`, or the code and the sentence that say why it was refused."""

    filename: str
    imported: Imported | None = None
    code: str = ""
    sentence: str = ""


def allow_uploads(app: Flask, endpoints: Sequence[str], max_bytes: Callable[[], int]) -> None:
    """Let requests to these endpoints carry files of `max_bytes()` together; other forms stay as small as they are."""

    @app.before_request
    def _raise_limit() -> None:
        if request.endpoint in endpoints:
            request.max_content_length = max_bytes() + FORM_BYTES


def uploaded(field: str) -> list[FileStorage]:
    """The files that were chosen in a field of the form."""
    return [file for file in request.files.getlist(field) if file.filename or file.content_length]


def import_files(
    files: Sequence[FileStorage], import_one: Callable[[FileStorage, str], Imported], max_files: int
) -> list[UploadResult[Imported]]:
    """The result of each file, in order; `import_one(file, filename)` may raise CardError, Refused or NotImported.

    Files beyond `max_files` are refused with the code "too_many_files".
    """
    results = [_import_one(file, import_one) for file in files[:max_files]]
    return results + [UploadResult(_filename(file), None, *too_many_files(max_files)) for file in files[max_files:]]


def too_many_files(max_files: int) -> tuple[str, str]:
    """The code and the sentence for a file beyond the limit."""
    return "too_many_files", gettext("This is one file too many: import at most %(n)s at once.", n=max_files)


def no_file() -> UploadResult[Imported]:
    """The result of a form that was sent without a file."""
    return UploadResult("", code="empty_file", sentence=gettext("Choose a file first."))


def attachment(data: bytes, name: str, ending: str, mimetype: str) -> Response:
    """A download, called after what is in it; browsers without UTF-8 names get an ASCII name."""
    ascii_name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_")
    response = Response(data, mimetype=mimetype, headers={"Cache-Control": "no-store"})
    utf8_name = quote(f"{name}.{ending}", safe="")
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"{ascii_name or 'character'}.{ending}\"; filename*=UTF-8''{utf8_name}"
    )
    return response


def _import_one(file: FileStorage, import_one: Callable[[FileStorage, str], Imported]) -> UploadResult[Imported]:
    filename = _filename(file)
    try:
        return UploadResult(filename, import_one(file, filename))
    except NotImported as error:
        return UploadResult(filename, code=error.code, sentence=error.sentence)
    except (CardError, Refused) as error:
        return UploadResult(filename, code=error.code, sentence=error_sentence(error))


def _filename(file: FileStorage) -> str:
    return (file.filename or "")[:MAX_FILENAME]
