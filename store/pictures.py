"""Picture table: uploaded pictures of characters, backgrounds and personas, and who may see them.

What it does: stores the bytes with a checked media type; `get_picture_for` checks access: a picture is shown to the
people who may see a character that has it, or have a story with one; that of a persona to its owner only. `avatar` of
a character is `picture:<id>`, or the name of a bundled file; `background`, and `avatar` of a persona, is `picture:<id>`
or empty.
What it refuses to know: the rule of access (visibility.py), and how a picture is shown or made smaller (web).
To add a format: its first bytes in `_MAGIC`.
"""

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import NotFound, Refused
from store.messages import new_id
from store.models import Character, Chat, Persona, Picture
from store.views import PictureView, UserView, picture_view
from store.visibility import allowed_ratings, may_see

MAX_BYTES = 4 << 20
PREFIX = "picture:"
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def media_type(data: bytes) -> str:
    """The type that the bytes themselves show. Raises Refused "bad_picture"."""
    if len(data) <= MAX_BYTES:
        for magic, name in _MAGIC.items():
            if data.startswith(magic):
                return name
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "image/webp"
    raise Refused("bad_picture")


def get_picture(db: Database, picture_id: str) -> PictureView:
    """One picture. Raises NotFound. The caller has made sure that the reader may see its character."""
    with db.reading() as session:
        row = session.get(Picture, picture_id)
        if row is None:
            raise NotFound("picture")
        return picture_view(row)


def get_picture_for(db: Database, user: UserView, picture_id: str) -> PictureView:
    """One picture. Raises NotFound, also when this person may not see its character, or it is another's persona."""
    with db.reading() as session:
        picture = session.get(Picture, picture_id)
        in_story = exists().where(
            *(Chat.character_id == Character.id, Chat.owner_id == user.id, Chat.deleted_at.is_(None)),
            Character.rating.in_(allowed_ratings(user.role)),
        )
        seen = select(Character.id).where(_has(picture_id), or_(may_see(Character, user), in_story))
        own = select(Persona.id).where(Persona.owner_id == user.id, Persona.avatar == f"{PREFIX}{picture_id}")
        if picture is None or all(session.scalar(found.limit(1)) is None for found in (seen, own)):
            raise NotFound("picture")
        return picture_view(picture)


def _has(picture_id: str) -> ColumnElement[bool]:
    """The SQL condition: characters with this picture."""
    name = f"{PREFIX}{picture_id}"
    return or_(Character.avatar == name, Character.background == name)


def replace(session: Session, owner_id: str, avatar: str, data: bytes, now: float) -> str:
    """Keep a new picture instead of the one that `avatar` names; returns the new avatar. Raises Refused."""
    kind = media_type(data)
    remove(session, avatar)
    picture = Picture(id=new_id(), owner_id=owner_id, media_type=kind, data=data, created_at=now)
    session.add(picture)
    return f"{PREFIX}{picture.id}"


def replace_or_remove(session: Session, owner_id: str, name: str, data: bytes, now: float) -> str:
    """Like `replace`; without data the picture goes, and the new name is empty."""
    if data:
        return replace(session, owner_id, name, data, now)
    remove(session, name)
    return ""


def remove(session: Session, avatar: str) -> None:
    """Forget the picture that `avatar` names, if it names one."""
    row = named(session, avatar)
    if row is not None:
        session.delete(row)


def named(session: Session, avatar: str) -> Picture | None:
    """The row of the picture that `avatar` names, if it names one."""
    return session.get(Picture, avatar.removeprefix(PREFIX)) if avatar.startswith(PREFIX) else None
