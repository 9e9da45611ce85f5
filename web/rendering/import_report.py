"""The import report: findings of an import as sentences: what is applied, approximated, or stored but unused.

What it does: `report_lines` groups findings with the same sentence. REASONS has the sentence of every reason of a
`Finding` (store/import_findings.py). Its page is templates/_import_report.html.
What it refuses to know: files, and the names of fields in them (field_labels.py).
To add a reason: 1. use it in a `Finding` in the store; 2. its sentence in REASONS (tests/web/test_card_files.py
compares the two); 3. `make words` and its translation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from store.import_findings import Finding, FindingVerdict
from web.i18n.language import gettext, marked
from web.rendering.field_labels import field_label

VERDICTS: Mapping[FindingVerdict, str] = {
    "applied": marked("Applied"),
    "approximated": marked("Applied, a little differently"),
    "kept": marked("Kept, but not used here"),
}
REASONS: Mapping[str, str] = {
    # any file
    "unused": marked("Nothing here uses this. An export gives it back as it came."),
    "unknown": marked("This field is not known here. An export gives it back as it came."),
    "odd_shape": marked(
        "This has another shape than this field may have. It is set aside, and an export gives it back."
    ),
    "broken_characters": marked(
        "Broken characters were replaced by a question mark in a box, in so many texts: %(n)s."
    ),
    # cards
    "persona": marked("Always known to the storyteller."),
    "system_prompt": marked("Takes the place of the built-in system prompt."),
    "after_story": marked("Told to the storyteller behind your last message, before each reply."),
    "near_the_end": marked("Told to the storyteller near the end of the story. It keeps its place for a while there."),
    "examples": marked("Shown to the storyteller at first; the first to go when the memory is full."),
    "greetings": marked("How stories begin. Several greetings are one arrow away from each other."),
    "name": marked("The character is called so."),
    "nickname": marked("The character is called so in stories."),
    "shown": marked("Shown on the character's page."),
    "tags": marked("Tags to find the character by."),
    "status": marked("What the status panel keeps track of."),
    "no_picture": marked("The picture could not be read. The character comes without one."),
    "background": marked("Shown behind the stories with this character."),
    "assets_left_out": marked("Other files beside the card and its picture are not taken over. There are %(n)s."),
    "assets_unused": marked("Names of other pictures and sounds: they are not shown, and never fetched from anywhere."),
    "groups_only": marked("Only for stories with several characters."),
    "world": marked("Names a lorebook that is not in this file: import that one by itself."),
    "empty_book": marked("A lorebook without entries."),
    "newer_version": marked(
        "The card is of version %(version)s, newer than what is known here. It was read all the same."
    ),
    "outside_data": marked("Stood in another place than usual. It was found all the same."),
    "other_copy": marked("A second copy of this field, in another place. The one in the usual place counts."),
    "was_text": marked("Was one text and is a list now."),
    "was_number": marked("Was a number and is a text now."),
    "name_cut": marked("The name is very long: only its beginning is used."),
    "no_name": marked("The card has no name. The name of the file stands in for it until you choose one."),
    "fallback": marked("The newer of two cards in the file cannot be read; this is the older one."),
    # chats
    "chat_messages": marked("Messages: %(n)s."),
    "chat_swipes": marked("Alternatives beside the chosen ones, one arrow away: %(n)s."),
    "chat_note": marked("Is the author's note here: told to the storyteller just before your last message."),
    "chat_group": marked("Several characters speak: %(names)s. Each keeps the name; only one of them goes on."),
    "chat_hidden": marked(
        "Messages that were hidden from the storyteller there and are part of the story here: %(n)s."
    ),
    "chat_dates": marked("Messages without a date that is known here, which have that of the one before: %(n)s."),
    "chat_remarks": marked("Lines that are no part of the story, such as help, remarks and empty messages: %(n)s."),
    "chat_unread": marked("Lines that cannot be read and stay where they are in the file: %(n)s (number %(lines)s)."),
    "chat_user": marked("You are called %(name)s in this story: the name in the file cannot be used."),
    "chat_character": marked("The file names %(name)s: another character goes on with the story here."),
    "chat_settings": marked("Some settings make no sense here: the usual ones hold."),
    "chat_lore": marked("Lorebooks of another server: import them by themselves."),
    # lorebooks
    "lore_field": marked("In the lorebook, used as in other programs."),
    "lore_recursion": marked("Entries may trigger other entries."),
    "lore_constant": marked("Entries that are always active (%(n)s): always known to the storyteller."),
    "lore_near": marked(
        "Entries that are triggered by a keyword (%(n)s): told just before the reply instead of near the beginning."
    ),
    "lore_without_keys": marked("Entries without keywords (%(n)s): nothing triggers them."),
    "lore_without_content": marked("Entries without content (%(n)s)."),
    "lore_disabled": marked("Entries that are disabled (%(n)s)."),
    "lore_bad_pattern": marked("Entries with an invalid regular expression (%(n)s): it never triggers them."),
    "lore_too_many": marked("Entries that are too many (%(n)s) are not read: a lorebook has room for %(most)s."),
    "lore_place": marked("Asks for another place: it stands just before the reply."),
    "lore_unknown_decorator": marked("A line with @@ that is not known here: left out of the text."),
}


@dataclass(frozen=True)
class ReportLine:
    """One sentence of a report, and the labels of the fields that it is about."""

    sentence: str
    fields: tuple[str, ...]


def report_lines(findings: Iterable[Finding]) -> dict[FindingVerdict, tuple[ReportLine, ...]]:
    """The lines of each verdict, one for each sentence, in the order of the findings."""
    by_verdict: dict[FindingVerdict, dict[str, dict[str, None]]] = {verdict: {} for verdict in VERDICTS}
    for finding in findings:
        fields = by_verdict[finding.verdict].setdefault(sentence(finding), {})
        if finding.field:
            fields[label(finding)] = None
    return {
        verdict: tuple(ReportLine(text, tuple(fields)) for text, fields in lines.items())
        for verdict, lines in by_verdict.items()
    }


def sentence(finding: Finding) -> str:
    """The sentence of a finding; a reason that REASONS does not have is shown as it is."""
    return gettext(REASONS.get(finding.reason, finding.reason), **finding.values)


def label(finding: Finding) -> str:
    """The name of the field as people know it, with the number of lorebook entries that have it."""
    text, n = field_label(finding.field), finding.values.get("n")
    return f"{text} × {n}" if n not in (None, 1) and "%(n)s" not in REASONS.get(finding.reason, "") else text
