"""Role words: names that a model would take for a role, such as `system`; they never stand where a role stands. Pure.

Where a template writes the speaker's name in the place of the role, a person called "system" would speak with the
authority of the persona. Such a name is left out there, and the default name of the role stands instead.
What it refuses to know: templates and tokens. To add a word that a family of models knows as a role: ROLE_WORDS.
"""

import re
import unicodedata

ROLE_WORDS = frozenset(
    {
        *("system", "developer", "platform", "root", "instruction", "instructions"),
        *("user", "human", "assistant", "model", "bot", "gpt", "narrator"),
        *("tool", "tools", "toolcall", "toolresponse", "function", "ipython", "observation", "environment"),
    }
)
_STRONG = frozenset({"system", "developer", "assistant"})  # also as one word of several


def is_role_word(name: str) -> bool:
    """Whether a name is a role, or says a strong one, in any spelling: `SYSTEM`, `s-y-s-t-e-m:`, `the System`."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    letters = "".join(sign for sign in folded if not unicodedata.category(sign).startswith(("M", "C")))
    words = re.split(r"[\W\d_]+", letters)
    return "".join(words) in ROLE_WORDS or not _STRONG.isdisjoint(words)
