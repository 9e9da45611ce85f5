"""One JSONL line and one DocMessage, converted into each other without loss.

What it does: `read` takes texts, speaker and date out of a line and keeps the rest in the message's extras; `write`
puts them together again. A line whose texts would not come out unchanged (other line ends, a swipe that is not the
text) is kept whole, and written as it was as long as the message is unchanged. What it refuses to know: files and
headers (jsonl.py). Pins, and roles without a word in the format, stand in `extra.inglenook`. To add a field of a line:
its name in `_ORDER` and KNOWN, then `read` and `write`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from store import texts
from store.chat_files import dates
from store.chat_files.document import DocAlternative, DocMessage
from store.models import SPEAKERS

_ORDER = ("name", "is_user", "is_system", "send_date", "mes", "extra", "swipe_id", "swipes", "swipe_info")
KNOWN = frozenset({*_ORDER, "gen_started", "gen_finished"})
MAX_NAME = 80
OWN_KEY = "inglenook"


def is_message(line: Any) -> bool:
    """Whether a line has a text that is not blank."""
    return isinstance(line, dict) and any(text.strip() for text in _texts(line)[0])


def is_remark(line: Mapping[str, Any]) -> bool:
    """Whether a line is the program's own and no part of the story: help, a comment, a welcome."""
    return bool(line.get("is_system")) and not _own_extra(line) and isinstance(_extra(line).get("type"), str)


def read(line: Mapping[str, Any], date: float, answer: bool) -> DocMessage:
    """The message of a line (see `is_message`) that was said at `date`; `answer` as in Spoken."""
    words, active = _texts(line)
    role = _role(line)
    message = DocMessage(
        role=role,
        name=" ".join(texts.clean(_text(line.get("name"))).split())[:MAX_NAME],
        alternatives=tuple(DocAlternative(text, date) for text in words),
        created_at=date,
        active=active,
        pinned=_own_extra(line).get("pinned") is True,
        answer=answer and role in ("character", "narrator"),
    )
    rest = {key: value for key, value in line.items() if key not in ("mes", "swipes")}
    kept = replace(message, extras={"line": rest})
    return kept if write(kept) == line else replace(message, extras={"line": dict(line)})


def write(message: DocMessage) -> dict[str, Any]:
    """The line of a message."""
    kept = (message.extras or {}).get("line")
    if not isinstance(kept, dict):
        return _new_line(message)
    has_texts = "mes" in kept or "swipes" in kept  # else the texts alone stand in the message
    unchanged = has_texts and _texts(kept) == (message.texts, message.active)
    line = dict(kept) if unchanged else _with_texts(kept, message)
    if (_own_extra(line).get("pinned") is True) != message.pinned:
        line["extra"] = _extra(line) | {OWN_KEY: _own_extra(line) | {"pinned": message.pinned}}
    return {key: line[key] for key in (*_ORDER, *line) if key in line}


def _new_line(message: DocMessage) -> dict[str, Any]:
    extra: dict[str, Any] = {"type": "narrator"} if message.role == "narrator" else {}
    ours: dict[str, Any] = {"role": message.role} if message.role == "system" else {}
    ours |= {"pinned": True} if message.pinned else {}
    line = {
        "name": message.name,
        "is_user": message.role == "user",
        "is_system": message.role == "system",
        "send_date": dates.write(message.created_at),
        "mes": message.text,
        "extra": extra | ({OWN_KEY: ours} if ours else {}),
    }
    return _with_texts(line, message)


def _with_texts(line: Mapping[str, Any], message: DocMessage) -> dict[str, Any]:
    written = dict(line) | {"mes": message.text}
    if len(message.alternatives) > 1 or "swipe_id" in line or "swipes" in line:
        written |= {"swipe_id": message.active, "swipes": message.texts}
    info = written.get("swipe_info")
    if isinstance(info, list) and len(info) < len(message.alternatives):
        new = ({"send_date": dates.write(one.created_at), "extra": {}} for one in message.alternatives[len(info) :])
        written["swipe_info"] = [*info, *new]
    return written


def _texts(line: Mapping[str, Any]) -> tuple[list[str], int]:
    """The texts of a line, as they can be kept, and which of them counts."""
    main_text, swipes = line.get("mes"), line.get("swipes")
    words = [texts.clean(_text(swipe)) for swipe in swipes] if isinstance(swipes, list) else []
    at = line.get("swipe_id")
    active = at if isinstance(at, int) and not isinstance(at, bool) and 0 <= at < len(words) else None
    if not isinstance(main_text, str):
        return (words or [""]), active or 0
    mes = texts.clean(main_text)
    if active is not None:
        words[active] = mes
    elif mes in words:
        active = words.index(mes)
    else:
        words, active = [*words, mes], len(words)
    return words, active


def _role(line: Mapping[str, Any]) -> str:
    ours = _own_extra(line).get("role")
    if isinstance(ours, str) and ours in SPEAKERS:
        return ours
    if line.get("is_user"):
        return "user"
    return "narrator" if _extra(line).get("type") == "narrator" else "character"


def _own_extra(line: Mapping[str, Any]) -> dict[str, Any]:
    ours = _extra(line).get(OWN_KEY)
    return ours if isinstance(ours, dict) else {}


def _extra(line: Mapping[str, Any]) -> dict[str, Any]:
    extra = line.get("extra")
    return extra if isinstance(extra, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
