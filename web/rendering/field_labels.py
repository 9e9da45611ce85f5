"""Labels of the fields of imported files: a form's own word for `first_mes`, `selectiveLogic`, and what else is known.

What it does: `field_label` names a path of a finding (store/import_findings.py) as people know it. A field that LABELS
does not have keeps its own name, in quotation marks, and is called a field.
What it refuses to know: what becomes of a field (import_report.py).
To add a field: its name in LABELS, without what stands before it in the file; `make words` and its translation.
"""

import re
from collections.abc import Mapping

from web.i18n.language import gettext, marked

_SECONDARY, _LOGIC, _ORDER = marked("Secondary keywords"), marked("Logic"), marked("Order")
_SCAN, _BUDGET, _RECURSION = marked("Scan depth"), marked("Token budget"), marked("Recursive scanning")
_WHOLE, _CASE, _GROUP = marked("Match whole words"), marked("Case-sensitive"), marked("Groups of entries")
_NO_RECURSION, _LATE = marked("Not triggered by other entries"), marked("Only triggered by other entries")
_PREVENT, _PROBABILITY = marked("Does not trigger other entries"), marked("Probability")
_LINKED, _NUMBER = marked("Linked lorebook"), marked("Number of the entry")
_OTHER = marked("Field “%(name)s”")
LABELS: Mapping[str, str] = {
    # cards
    "name": marked("Name"),
    "nickname": marked("Nickname"),
    "description": marked("Description"),
    "personality": marked("Personality"),
    "scenario": marked("Scenario"),
    "first_mes": marked("Greeting"),
    "alternate_greetings": marked("Other greetings"),
    "mes_example": marked("Example dialogue"),
    "system_prompt": marked("System prompt"),
    "post_history_instructions": marked("Instructions after the story"),
    "creator_notes": marked("Creator’s notes"),
    "creator": marked("Creator"),
    "tags": marked("Tags"),
    "character_version": marked("Version"),
    "spec_version": marked("Version of the card format"),
    "spec": marked("Card format"),
    "character_book": marked("Lorebook"),
    "picture": marked("Picture"),
    "avatar": marked("Picture"),
    "assets": marked("Other pictures and sounds"),
    "source": marked("Source"),
    "creation_date": marked("Date of creation"),
    "create_date": marked("Date of creation"),
    "modification_date": marked("Date of the last change"),
    "creator_notes_multilingual": marked("Notes in other languages"),
    "group_only_greetings": marked("Greetings for groups"),
    "depth_prompt": marked("Depth prompt"),
    "world": _LINKED,
    "talkativeness": marked("Talkativeness"),
    "fav": marked("Favourite"),
    "inglenook": marked("Status panel"),
    "regex_scripts": marked("Text replacements"),
    "extensions": marked("Extensions"),
    # lorebooks and their entries
    "entries": marked("Entries"),
    "entries[]": marked("Entries"),
    **dict.fromkeys(("keys", "key"), marked("Keywords")),
    **dict.fromkeys(("secondary_keys", "keysecondary", "selective"), _SECONDARY),
    **dict.fromkeys(("selectiveLogic", "selective_logic"), _LOGIC),
    "use_regex": marked("Regular expressions"),
    **dict.fromkeys(("case_sensitive", "caseSensitive"), _CASE),
    **dict.fromkeys(("match_whole_words", "matchWholeWords"), _WHOLE),
    "content": marked("Content"),
    **dict.fromkeys(("enabled", "disable"), marked("Enabled")),
    "constant": marked("Always active"),
    **dict.fromkeys(("insertion_order", "order"), _ORDER),
    "priority": marked("Priority"),
    **dict.fromkeys(("probability", "useProbability"), _PROBABILITY),
    "sticky": marked("Sticky"),
    "cooldown": marked("Cooldown"),
    "delay": marked("Delay"),
    **dict.fromkeys(("scan_depth", "scanDepth"), _SCAN),
    **dict.fromkeys(("token_budget", "tokenBudget"), _BUDGET),
    **dict.fromkeys(("recursive_scanning", "recursiveScanning"), _RECURSION),
    **dict.fromkeys(("exclude_recursion", "excludeRecursion"), _NO_RECURSION),
    **dict.fromkeys(("prevent_recursion", "preventRecursion"), _PREVENT),
    **dict.fromkeys(("delay_until_recursion", "delayUntilRecursion"), _LATE),
    "position": marked("Position"),
    "depth": marked("Depth"),
    "role": marked("Speaker"),
    "vectorized": marked("Vectors"),
    **dict.fromkeys(("group", "group_override", "groupOverride", "group_weight", "groupWeight"), _GROUP),
    **dict.fromkeys(("useGroupScoring", "use_group_scoring"), _GROUP),
    **dict.fromkeys(("automationId", "automation_id"), marked("Automation")),
    **dict.fromkeys(("outletName", "outlet_name"), marked("Outlet")),
    **dict.fromkeys(("characterFilter", "character_filter"), marked("Only for certain characters")),
    **dict.fromkeys(("displayIndex", "display_index", "uid", "id"), _NUMBER),
    # chats
    "messages": marked("Messages"),
    **dict.fromkeys(("swipes", "wordings"), marked("Alternatives")),
    **dict.fromkeys(("note_prompt", "chat_metadata.note_prompt"), marked("Author’s note")),
    "is_system": marked("Hidden messages"),
    "send_date": marked("Date"),
    "chat_metadata": marked("Settings of the chat"),
    "settings": marked("Settings"),
    "lore": marked("Lorebooks"),
    "user_name": marked("Your name"),
    "character_name": marked("Name of the character"),
}
_BEFORE = re.compile(r"^(?:data\.)?(?:(?:character_book|book)\.(?:entries\[\]\.)?)?(?:extensions\.)?")
_DECORATOR = re.compile(r"^content (@@.+)$")


def field_label(path: str) -> str:
    """The label of a field by its path in a file, such as `data.character_book.entries[].sticky`, in the reader's
    language."""
    name = _BEFORE.sub("", path)
    if decorator := _DECORATOR.match(name):
        return decorator[1]
    return gettext(LABELS[name]) if name in LABELS else gettext(_OTHER, name=name)
