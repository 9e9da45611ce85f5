"""Markdown export of a chat for reading and printing: the active alternatives only.

What it refuses to know: how to read one back. The text of a message is Markdown already and stays as it is.
"""

import re
from datetime import UTC, datetime

from store.chat_files.document import ChatDocument, DocMessage

_SPECIAL = re.compile(r"([\\`*_\[\]<>#])")


def write(document: ChatDocument) -> bytes:
    """Title, names and date, then every message under the name of its speaker, and behind it a note that ends there."""
    day = datetime.fromtimestamp(min(max(document.created_at, 0.0), 250_000_000_000.0), UTC).date().isoformat()
    subtitle = " · ".join([_plain(document.character_name), _plain(document.user_name), day])
    head = f"# {_plain(document.title or document.character_name)}\n\n*{subtitle}*\n"
    passages = list(map(_passage, document.messages))
    for note in document.notes:
        if note.covered_by is None:
            passages[note.last] += f"\n> *{_plain(' '.join(note.text.split()))}*\n"
    return "\n".join([head, *passages]).encode("utf-8", "replace")


def _passage(message: DocMessage) -> str:
    text = message.text.strip()
    if message.role in ("narrator", "system"):
        return "\n".join(f"> {line}".rstrip() for line in text.split("\n")) + "\n"
    return f"**{_plain(message.name)}**\n\n{text}\n"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
