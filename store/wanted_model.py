"""The model that a card wants: a hint in `card["extensions"]["inglenook"]["wants_model"]`, shown while another answers.

What it does: reads the hint, and tells whether it is met: one of its parts, separated by commas, is in the name of a
model that answers ("Qwen, Gemma 4"). It never changes which model that is: one model serves everybody.
What it refuses to know: which models there are. Its field is in web/characters/card_form.py, its line in
web/templates/chat.html; static/js/chat/wanted_model.js does the same as `is_met`.
"""

from collections.abc import Mapping
from typing import Any

from store import texts

MAX_CHARS = 80


def wanted_model(card: Mapping[str, Any]) -> str:
    """The hint of a card, on one line; "" where it has none that makes sense."""
    extensions = card.get("extensions")
    own = extensions.get("inglenook") if isinstance(extensions, Mapping) else None
    hint = own.get("wants_model") if isinstance(own, Mapping) else None
    return one_line(hint) if isinstance(hint, str) else ""


def one_line(hint: str) -> str:
    """As it is kept and shown."""
    return " ".join(texts.clean(hint[: 4 * MAX_CHARS]).split())[:MAX_CHARS].strip()


def is_met(hint: str, answering: str) -> bool:
    """Whether the models that answer (their names) have what is wanted; also where nothing is wanted."""
    parts = [part.strip().casefold() for part in hint.replace("，", ",").replace("、", ",").split(",")]
    return not any(parts) or any(part in answering.casefold() for part in parts if part)
