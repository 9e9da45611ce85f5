"""Views (read models): the frozen values that the store hands out, safe to keep after the transaction has ended.

What it does: one dataclass per record and a function that makes it from a row, field by field of the same name.
What it refuses to know: the SQLAlchemy session that a row came from. ORM objects never leave the store.
To add a field: add it to the view; where no column has its name, hand it to `view_of` in the view's function.
To add a view: a dataclass and its function in people.py, stories.py or memory.py, and both names here.
"""

from store.views.memory import KeptPassage, Passage, StoryNote, note_view
from store.views.people import (
    CharacterView,
    InviteView,
    LorebookView,
    PersonaView,
    PictureView,
    PresetView,
    UserView,
    book_view,
    character_view,
    invite_view,
    persona_view,
    picture_view,
    preset_view,
    user_view,
)
from store.views.stories import (
    AlternativeView,
    ChatView,
    CommittedView,
    EndView,
    MessageView,
    OlderMessage,
    Story,
    TurnView,
    alternative_view,
    chat_view,
    committed_view,
    message_view,
    turn_view,
)
from store.views.token_bytes import pack_tokens, unpack_tokens

__all__ = [
    "AlternativeView",
    "CharacterView",
    "ChatView",
    "CommittedView",
    "EndView",
    "InviteView",
    "KeptPassage",
    "LorebookView",
    "MessageView",
    "OlderMessage",
    "Passage",
    "PersonaView",
    "PictureView",
    "PresetView",
    "Story",
    "StoryNote",
    "TurnView",
    "UserView",
    "alternative_view",
    "book_view",
    "character_view",
    "chat_view",
    "committed_view",
    "invite_view",
    "message_view",
    "note_view",
    "pack_tokens",
    "persona_view",
    "picture_view",
    "preset_view",
    "turn_view",
    "unpack_tokens",
    "user_view",
]
