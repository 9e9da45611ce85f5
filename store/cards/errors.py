"""CardError: why a file is not accepted as a card; a code for programs, a sentence for people.

To add a reason: a code and sentence here, `raise CardError(code)`, `make words`, and its translation in
web/translations.
"""

from collections.abc import Mapping

MAX_FILE_BYTES = 8 << 20
PROBLEMS: Mapping[str, str] = {
    "empty_file": "This file is empty.",
    "file_too_large": "This file is larger than 8 MB.",
    "unknown_file": "This is no file that a card comes in: choose a PNG, WEBP, CHARX or JSON file.",
    "no_card_in_picture": "This picture has no card.",
    "no_card": "There is no character in this file.",
    "is_lorebook": "This is a lorebook, not a character: import it on the page of the lorebooks.",
    "is_chat": "This is a chat, not a character: import it on the page with all your stories.",
    "cut_off": "This file is cut off: its end is missing. Copy or download it again.",
    "damaged": "This file is damaged: what is in it does not match its own checksum. Copy or download it again.",
    "too_many_chunks": "This picture has too many parts beside its pixels to be looked through.",
    "bad_base64": "The card in this picture is damaged: it is not written the way cards are.",
    "bad_text": "The card is not written in UTF-8, so its letters cannot be read.",
    "bad_json": "The card is damaged: line {line} cannot be read as JSON.",
    "bad_number": "The card has a number in it that is too large to be kept.",
    "too_deep": "The card is nested too deeply: more than 32 levels.",
    "too_many_values": "The card has too many single values in it: more than 60,000.",
    "card_too_large": "The text of the card is larger than 1 MB.",
    "bad_compression": "The card in this picture is compressed in a way that cannot be undone.",
    "bad_zip": "This CHARX file is damaged: it cannot be opened as an archive.",
    "zip_too_large": "This CHARX file has too many files in it: more than 1,000.",
    "zip_unsupported": "This CHARX file is packed in a way that is not read here: it is encrypted, or very unusual.",
    "no_card_in_zip": "This archive has no card.json in it, so it is no CHARX file.",
}


class CardError(Exception):
    """The file is refused; `reason` is a key of PROBLEMS, `values` fill the {names} of its sentence."""

    def __init__(self, code: str, **values: str | int) -> None:
        super().__init__(code)
        self.code = self.reason = code
        self.values = values
