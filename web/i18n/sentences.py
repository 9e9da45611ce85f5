"""The sentences that other rooms write for people, by their codes, so that they can be said in another language.

What it does: SENTENCES has the English wording of each, with {names} where numbers or words stand; `values_in` finds
those again in a finished sentence. The store's refusals come from its own table. The worker's are written down once
more, for web does not know the worker; tests/web/test_words.py makes the worker say them and compares.
What it refuses to know: languages. What is not here is shown as it came.
"""

import re
from functools import lru_cache

from store.cards.errors import PROBLEMS
from store.errors import REFUSALS, NotFound

NOUNS = ("account", "character", "chat", "invitation", "lorebook", "message", "page", "persona", "picture", "turn")
_WORKER = {
    "internal": ("Something went wrong on the server while this reply was written. Press retry to try again.",),
    "too_slow": ("This reply took longer than a turn may take. Press retry to try again.",),
    "too_many_attempts": (
        "This turn was tried three times and the worker stopped each time. Press retry to try again.",
    ),
    "empty_reply": ("The model ended its reply without a word. Press retry to try again.",),
    "bad_status": (
        "The status has {lines} lines instead of {fields}: press status to try again.",
        "The status says nothing about {field}: press status to try again.",
        "{field} is no number: press status to try again.",
    ),
    "too_long": (
        "The description of {name} is {tokens} tokens long, but only {room} fit into the context of {context}: shorten "
        "the description, or run the worker with a larger context (INGLENOOK_CONTEXT).",
        "Your message is {tokens} tokens long, but only {room} fit beside the description of {name} and a reply: send "
        "it in smaller parts.",
        "The last message is {tokens} tokens long, but only {room} fit beside the description of {name} and a reply: "
        "send it in smaller parts.",
    ),
}
SENTENCES: dict[str, tuple[str, ...]] = {
    **{code: (sentence, *_WORKER.get(code, ())) for code, sentence in REFUSALS.items()},
    **{code: sentences for code, sentences in _WORKER.items() if code not in REFUSALS},
    **{code: (sentence,) for code, sentence in PROBLEMS.items()},
    "bad_frame": ("This message makes no sense here ({details}). Reload the page.",),
    "not_found": (NotFound("{what}").message,),
}


def values_in(sentence: str, said: str) -> dict[str, str] | None:
    """What stands for the {names} of `sentence` in what was `said`; None if that is another sentence."""
    found = _pattern(sentence).fullmatch(said)
    return found.groupdict() if found else None


@lru_cache
def _pattern(sentence: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", sentence)
    return re.compile("".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.S)
