"""Data export: all data of one person as plain dicts and lists, ready for JSON.

Tokens and password hashes are left out. What it refuses to know: file formats of other programs, other people's data.
To add a column: its name in `_ACCOUNT`, in `_chat` or in `_message`; a table: a key in `export_account`.
"""

from base64 import b64encode
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import messages, pictures
from store.cards import stored_card
from store.db import Database
from store.errors import NotFound
from store.memory import notes
from store.models import Character, Chat, LorebookRow, Persona, PresetRow, Share, User, Wish
from store.views import MessageView, chat_view
from store.visibility import PRIVATE, Shareable, allowed_ratings

_ACCOUNT = ("name", "role", "locale", "theme", "text_size", "notify", "sound", "created_at")


def export_account(db: Database, user_id: str) -> dict[str, Any]:
    """Account, personas, presets, own characters with their cards, what is shared, wishes, lorebooks, chats with all.

    Raises NotFound.

    What the person may not see now because of its age rating is left out and counted in `withheld`.
    """
    with db.reading() as session:
        user = session.get(User, user_id)
        if user is None:
            raise NotFound("account")
        personas = session.scalars(select(Persona).where(Persona.owner_id == user_id).order_by(Persona.name))
        presets = session.scalars(select(PresetRow).where(PresetRow.owner_id == user_id).order_by(PresetRow.name))
        own = select(Character).where(Character.owner_id == user_id).order_by(Character.name)
        characters = session.scalars(own).all()
        may_see = allowed_ratings(user.role)
        shown = [row for row in characters if row.rating in may_see]
        books = session.scalars(
            select(LorebookRow).where(LorebookRow.owner_id == user_id).order_by(LorebookRow.name)
        ).all()
        open_books = [row for row in books if row.rating in may_see]
        wishes = session.scalars(select(Wish).where(Wish.owner_id == user_id).order_by(Wish.created_at))
        chats = session.scalars(
            select(Chat).where(Chat.owner_id == user_id, Chat.deleted_at.is_(None)).order_by(Chat.created_at)
        ).all()
        open_chats = [chat for chat in chats if messages.character_of(session, chat).rating in may_see]
        return {
            "account": {name: getattr(user, name) for name in _ACCOUNT},
            "personas": [_persona(session, row) for row in personas],
            "presets": [{"name": row.name, "settings": row.settings} for row in presets],
            "characters": [stored_card.envelope(row.card) for row in shown],
            "shared": _shared(session, user_id),
            "wishes": [{"text": row.text, "state": row.state, "created_at": row.created_at} for row in wishes],
            "withheld": {
                "characters": len(characters) - len(shown),
                "lorebooks": len(books) - len(open_books),
                "chats": len(chats) - len(open_chats),
            },
            "lorebooks": [{"name": row.name, "data": row.data} for row in open_books],
            "chats": [
                {
                    **_chat(chat_view(chat, messages.character_of(session, chat))),
                    "messages": [_message(message) for message in messages.read_messages(session, chat.id)],
                    "notes": [note.as_dict() for note in notes.of_chat(session, chat.id)],
                }
                for chat in open_chats
            ],
        }


def _persona(session: Session, row: Persona) -> dict[str, Any]:
    """A persona; its picture, if it has one, as a data URL."""
    picture = pictures.named(session, row.avatar)
    shown = f"data:{picture.media_type};base64,{b64encode(picture.data).decode()}" if picture else ""
    return {"name": row.name, "description": row.description, "picture": shown}


def _shared(session: Session, user_id: str) -> list[dict[str, Any]]:
    """What the person shares, and with whom: everybody (`people` is empty), or chosen people by their names."""
    found: list[dict[str, Any]] = []
    columns: tuple[tuple[Shareable, Any], ...] = (Character, Share.character_id), (LorebookRow, Share.book_id)
    for table, column in columns:
        own = table.owner_id == user_id, table.shared != PRIVATE, table.deleted_at.is_(None)
        rows = session.execute(select(table.id, table.name, table.shared).where(*own).order_by(table.name, table.id))
        for thing_id, name, audience in rows:
            people = select(User.name).join(Share, Share.person_id == User.id).where(column == thing_id)
            found.append({"name": name, "with": audience, "people": sorted(session.scalars(people))})
    return found


def _chat(chat: Any) -> dict[str, Any]:
    names = (
        "title",
        "character_name",
        "user_name",
        "user_persona",
        "introduced",
        "author_note",
        "reference",
        "settings",
        "memory",
        "created_at",
    )
    return {name: getattr(chat, name) for name in names}


def _message(message: MessageView) -> dict[str, Any]:
    return {
        "role": message.role,
        "name": message.name,
        "pinned": message.pinned,
        "active": message.active,
        "alternatives": [alternative.as_dict() for alternative in message.alternatives],
        "created_at": message.created_at,
    }
