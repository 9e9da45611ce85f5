"""Chat file formats: bytes in, ChatDocument out, and the reverse. Pure: no database, and no clock but the given one.

`read` detects the format: JSONL as other programs write it (jsonl.py), or our own lossless JSON (native.py). Markdown
(markdown.py) is only written.
To add a file format of chats: a module here with `write`, and `read` if it can be read; a line in WRITERS, and its
detection in `read`; its size in limits.py; its ending in KINDS, and in ENDINGS if it can be read
(web/stories/chat_files.py); its link in web/templates/_export_links.html; the reasons of new
findings (import_findings.py); cases in tests/store/test_chat_files_round_trip.py and chat_file_cases.py.
"""

from collections.abc import Callable, Mapping

from store.chat_files import jsonl, limits, markdown, native
from store.chat_files.document import ChatDocument, ImportedFile

MAX_FILE_BYTES = limits.NATIVE_FILE.max_bytes  # each format has its own limit; this is the largest
WRITERS: Mapping[str, Callable[[ChatDocument], bytes]] = {
    "jsonl": jsonl.write,
    "json": native.write,
    "md": markdown.write,
}
"""Writers by the ending of the file's name."""


def read(data: bytes, now: float, between: Callable[[], None] = lambda: None) -> ImportedFile:
    """The chat in a file. Raises Refused "not_a_chat", "chat_too_large", "chat_empty", "chat_broken", "chat_newer".

    `now` (seconds) is the date of messages without one; `between` is called after every line or message: a large file
    takes seconds, and whoever reads it may want to rest.
    """
    return native.read(data, now, between) if native.is_native(data) else jsonl.read(data, now, between)
