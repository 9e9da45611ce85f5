"""Files of whole chats: read and written, bytes in and values out. Pure: no database, no clock but the one it is given.

`read` finds out which kind a file is: lines of JSON as other programs write them (jsonl.py), or our own lossless JSON
(native.py). Markdown (markdown.py) is for people and only written.
To add a kind: a module beside them, and a line in `read` and `WRITERS`.
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
"""How a chat becomes a file, by the ending of its name."""


def read(data: bytes, now: float) -> ImportedFile:
    """The chat in a file. Raises Refused "not_a_chat", "chat_too_large", "chat_empty", "chat_broken", "chat_newer".

    `now` is for what has no date of its own.
    """
    return native.read(data, now) if native.is_native(data) else jsonl.read(data, now)
