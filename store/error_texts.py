"""The English sentence of every error and failure, keyed by its reason: a message catalogue. Pure data.

What it does: errors carry a reason and values (errors.py); here is the sentence that people read, with {names} where
the values stand. It is in the store because two rooms need it: web translates it (web/i18n/sentences.py), and the
command line, which must not import web, prints it as it is (deploy/cli). Nothing else makes sentences of errors.
What it refuses to know: languages, and who reads the sentence.
To add a sentence: a line here, keyed `code` or, where one code has several sentences, `code.which`; then `make words`
and its translations in web/translations.
"""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    # what the store refuses
    "moved_on": "This story moved on in another window: reload the page and try again.",
    "message_moved": (
        "This message was changed in another window while you wrote: your text is still in the box. Look at what it "
        "says now, then save again or cancel."
    ),
    "too_many_below": (
        "More than {most} messages come after this one: branch from here instead, and delete the old story."
    ),
    "not_for_you": (
        "This story is not for your age: it is kept, and comes back when you may see it again. Ask an admin."
    ),
    "busy_stories": "Some stories are still there: a reply is being written in them. Wait for it, then try again.",
    "none_chosen": "No story was chosen: tick those that you want to delete.",
    "busy": "A reply is still being written in this story: wait for it or press stop.",
    "too_many_waiting": "You already have {most} replies waiting: wait until one of them is done.",
    "empty": "There is nothing to send: write something first.",
    "too_long": "This text is too long: send it in smaller parts.",
    "bad_turn_id": "A turn needs an id of 32 characters, 0-9 and a-f, that was not used before: reload the page.",
    "bad_kind": "This kind of turn is not known here: reload the page.",
    "nothing_to_retry": "There is no reply to write again yet: the greeting has alternatives of its own.",
    "nothing_to_continue": "There is nothing to go on with yet: write something first.",
    "no_such_alternative": "This message has no such alternative: reload the page.",
    "paused": "The queue is paused: what was sent is kept and goes on later.",
    "announcement_too_long": "An announcement has 280 characters at most.",
    "not_claimable": "This reply has ended or another worker is on it.",
    "bad_title": "A title has 1 to 80 characters.",
    "bad_setting": "This setting is not known or out of its range.",
    "bad_setting.unknown": "There is no setting {name}: expected one of {settings}.",
    "bad_setting.range": "The setting {name} must be a number from {low} to {high}.",
    "bad_setting.whole": "The setting {name} must be a whole number from {low} to {high}.",
    "bad_setting.switch": "The setting {name} is either on or off: expected true or false.",
    "bad_setting.stop": "A reply can end at up to {most} texts of 1 to {letters} letters each: shorten or remove some.",
    "name_taken": "This name is taken: choose another one.",
    "bad_name": "A name has 1 to 40 characters, none of them invisible.",
    "bad_invite": "This invitation is no longer valid: ask for a new one.",
    "bad_reset": "This link is no longer valid: ask for a new one.",
    "bad_password": "The name or the password is wrong.",
    "suspended": "This account is suspended: ask an admin to let you in again.",
    "not_yourself": "You cannot do that to your own account: another admin can, or you delete it in your settings.",
    "bad_preference": "This language, theme or text size is not known here.",
    "bad_limit.minutes": "A daily limit is a whole number from 1 to 1440 minutes: change it, or leave it empty.",
    "bad_limit.half": "Quiet time needs its beginning and its end: add the other time, or leave both empty.",
    "bad_limit.clock": "Quiet time is two times of the day such as 21:00 and 07:00: change them, or leave both empty.",
    "last_admin": "This is the only admin: make somebody else one first.",
    "quiet_hours": "It is quiet time until {until}: sleep well, the story waits.",
    "daily_limit": "Your {minutes} minutes of today are used up: the story goes on tomorrow.",
    "bad_card": "A character needs a name of 1 to 80 characters, and texts of a reasonable length.",
    "bad_rating": "A character may not be rated above what you may see yourself.",
    "adults_bring": "Cards are imported by adults: ask one of them to do it for you.",
    "too_many_characters": "There is room for {most} characters: remove one first.",
    "bad_audience": "It can be shared with nobody, with chosen people or with everyone here: choose one of them.",
    "share_with_whom": "Nobody is chosen: tick at least one person, or share it with nobody.",
    "share_with_adults": "You can share with adults only: ask one of them to share it with others.",
    "too_many_shared": (
        "You can share {most} characters and {most} lorebooks, each kind {mb} MB in all: share less, or shorten one."
    ),
    "wish_empty": "Say in a few words whom you would like to meet.",
    "wish_long": "A wish has {most} characters at most: say it shorter.",
    "too_many_wishes": "You are waiting for {most} answers already: wait for one, or take one back.",
    "grown_ups": "Grown-ups make, import and share characters themselves.",
    "adults_grant": "Only an adult can answer a wish.",
    "wish_rated": "{name} is not rated for the age of {who}: choose another character, or change its rating first.",
    "quota.stories": "There is room for {most} stories: delete one that you do not need any more.",
    "quota.messages": (
        "There is room for {most} messages in all your stories: delete a story that you do not need any more, then try "
        "again in a minute."
    ),
    "quota.megabytes": (
        "There is room for {most} MB in all your stories and pictures: delete what you do not need any more, then try "
        "again in a minute."
    ),
    "quota.books": "There is room for {most} lorebooks: remove one first.",
    "quota.characters_mb": (
        "There is room for {most} MB of text in all your characters: shorten one or remove one first."
    ),
    "quota.books_mb": "There is room for {most} MB in all your lorebooks: shorten one or remove one first.",
    "quota.personas": "There is room for {most} personas: remove one first.",
    "quota.presets": "There is room for {most} presets: remove one first.",
    "has_chats": "There are stories with this character: delete them first.",
    "bad_picture": "A picture must be a PNG, JPEG or WEBP file of at most 4 MB.",
    "bad_book_name": "A lorebook needs a name of 1 to 80 characters.",
    "no_book": "There is no lorebook in this file: its entries are missing.",
    "book_too_large": "A lorebook can be 1 MB large: make a second one.",
    "entry_moved": "This entry was changed in another window: look at it again.",
    "too_many_books": "A story can use 8 lorebooks: take one away first.",
    "not_a_chat": "This is no chat file: expected JSONL of another program, or JSON of inglenook.",
    "chat_empty": "There is no message in this chat file.",
    "chat_too_large": "This chat file is too large: it may have 50,000 messages and 32 MB, one of ours 48 MB.",
    "chat_broken": "Too much of this chat file cannot be read: save it again in the program it comes from.",
    "chat_newer": "This chat file was made by a newer version than this server has.",
    "chat_damaged": "This file is damaged at {where}: copy or download it again, then import the whole file.",
    "bad_role": "The role must be one of admin, adult, teen and child.",
    "not_found": "There is no such {what}, or it is not yours.",
    # what the shelf of models refuses
    "bad_model.repo": "A repository is written owner/name, such as unsloth/Qwen3.5-4B-GGUF: correct it.",
    "bad_model.path": (
        "A file in a repository is written like folder/name.gguf, with * for any letters: correct it, or leave it "
        "empty to see what there is."
    ),
    "bad_model.name": (
        "{name} cannot be a model here: its name must end in .gguf and have only letters A-Z, 0-9, . _ + - = @."
    ),
    "bad_model.url": "This is no address of a file: expected https://host/path/name.gguf.",
    "bad_model.secret": "An address with a password in it would be kept and shown: take the password out.",
    "bad_model.sha256": "A SHA-256 has 64 digits, 0-9 and a-f: copy it from where the file is offered.",
    "bad_model.revision": "A revision is the name of a branch or a commit: correct it, or leave it empty.",
    "model_name_taken": "{name} is on the shelf already, from another place: remove that one first.",
    "model_no_source": "Nobody knows where {name} is to be had: name its repository and file, or its address.",
    "model_not_here": "{name} is not in the models folder: get it first.",
    "model_in_use": "A worker uses {name}: choose another model first, then remove it.",
    "no_such_worker": "No worker is called {name}: reload the page.",
    # why a model cannot be used, as a worker says it
    "model_gone": "{name} is not in the models folder any more: get it again, or choose another.",
    "model_cut_off": "{name} is damaged, it ends too early: get it again.",
    "model_unusable": "{name} cannot be used here: {why}",
    "model_too_large.card": (
        "{name} does not fit on the card: it needs {needed} GiB at the least, {budget} GiB are there. Choose a smaller "
        "one."
    ),
    "model_too_large.ram": (
        "{name} does not fit into the memory: it needs {needed} GiB at the least, {budget} GiB are there. Choose a "
        "smaller one."
    ),
    "model_kills": "{name} has ended the worker {times} times while it was loaded: choose another.",
    "too_many_notes": "This story has {most} notes already: delete one first.",
    "too_many_models": "The shelf has {most} entries already: remove some first.",
    # why a model is not here (yet), as the downloader says it
    "fetch.no_network": "{host} cannot be reached. It is tried again by itself; what is here already is kept.",
    "fetch.lost_line": "The line to {host} breaks again and again. It is tried again by itself, from where it broke.",
    "fetch.proxy": "The proxy does not answer: look at HTTPS_PROXY. It is tried again by itself.",
    "fetch.tls": "The certificate of {host} is not valid here: look at the clock and the proxy of this machine.",
    "fetch.busy": "{host} asks us to wait: too many requests. It is tried again by itself.",
    "fetch.down": "{host} does not work at the moment. It is tried again by itself.",
    "fetch.bad_answer": "{host} answers something that makes no sense here. It is tried again by itself.",
    "fetch.expired": "{host} leads to an address that has expired. It is tried again by itself.",
    "fetch.no_range": "{host} cannot go on in the middle of a file. It is tried again by itself.",
    "fetch.redirects": "{host} leads to an address that is not safe, or in circles: choose another source.",
    "fetch.not_found": "{host} has no such model: look at the names of the repository and the file.",
    "fetch.gated": (
        "This model is given only to those who have agreed to its terms: agree on {host}, make a token there, set it "
        "as INGLENOOK_HUB_TOKEN and start again."
    ),
    "fetch.token": (
        "{host} does not let us in: it needs a token (INGLENOOK_HUB_TOKEN), or the one that is set is wrong."
    ),
    "fetch.refused": "{host} refuses the file (status {status}): look at its name, or choose another source.",
    "fetch.parts": "{missing} of the {parts} parts of {name} are missing there: choose another file.",
    "fetch.no_hash": (
        "{host} does not say the SHA-256 of this file, and a file that cannot be checked is not fetched: type the hash "
        "beside the address."
    ),
    "fetch.no_hash_there": "The hub does not say the SHA-256 of {name}, so it cannot be checked: choose another file.",
    "fetch.other_hash": "The SHA-256 that was typed is not that of {name}: correct it, or leave it empty.",
    "fetch.no_size": "{host} does not say how large this file is: choose another source.",
    "fetch.split_address": (
        "{name} is one part of a split model: name the repository and the file instead of an address."
    ),
    "fetch.wrong_size": "{host} has another file under this name (its size differs): look at it again.",
    "fetch.other_file": "{host} has another file under this name (its hash differs): look at it again.",
    "fetch.wrong_hash": (
        "What came from {host} is not the file that it should be (its SHA-256 is wrong), so it was deleted: try again, "
        "or choose another source."
    ),
    "fetch.not_gguf": "{name} is no GGUF file, or its header is damaged: choose another file.",
    "fetch.disk_full": (
        "The disk of the models has {free} free and {needed} are needed: make room, then try again. What "
        "is here already is kept."
    ),
    "fetch.folder": "The models folder {folder} cannot be used ({why}): let the user of the server write there.",
    "fetch.name_there": "Another file lies in the models folder under the name {name}: rename or remove it first.",
    "fetch.internal": "Something went wrong in the downloader: its log says what. Try again.",
    # why a turn failed, as the worker says it
    "internal": "Something went wrong on the server while this reply was written. Press retry to try again.",
    "out_of_memory": (
        "This story needed more memory than the machine has: shorten its lorebooks, its notes or its last messages, "
        "then press retry."
    ),
    "too_slow": "This reply took longer than it may take. Press retry to try again.",
    "too_many_attempts": (
        "This reply was tried three times and the worker stopped each time. Press retry to try again."
    ),
    "empty_reply": "The model ended its reply without a word. Press retry to try again.",
    "bad_status.lines": "The status has {lines} lines instead of {fields}: press status to try again.",
    "bad_status.missing": "The status says nothing about {field}: press status to try again.",
    "bad_status.no_number": "{field} is no number: press status to try again.",
    "too_long.description": (
        "The description of {name} is {tokens} tokens long, but only {room} fit into the context of {context}: shorten "
        "the description, or run the worker with a larger context (INGLENOOK_CONTEXT)."
    ),
    "too_long.message": (
        "Your message is {tokens} tokens long, but only {room} fit beside the description of {name} and a reply: send "
        "it in smaller parts."
    ),
    "too_long.last_message": (
        "The last message is {tokens} tokens long, but only {room} fit beside the description of {name} and a reply: "
        "send it in smaller parts."
    ),
}


def english(reason: str, values: Mapping[str, str | int]) -> str:
    """The sentence; where the catalogue has none, the value `message` (what the engine says), else the reason."""
    sentence = TEXTS.get(reason)
    return filled(sentence, values) if sentence else str(values.get("message") or reason)


def filled(sentence: str, values: Mapping[str, str | int]) -> str:
    """A sentence with its values; "?" for one that is missing: rows keep failures of older versions."""
    return sentence.format_map(_Known(values))


class _Known(dict[str, str | int]):
    def __missing__(self, _name: str) -> str:
        return "?"
