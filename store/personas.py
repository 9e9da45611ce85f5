"""Persona table: the descriptions of a person for their own stories. A chat copies name and description at its start.

What it does: also the picture of a persona (pictures.py). It is not copied: a chat shows it beside what the person says
under the name of the persona (`faces`).
What it refuses to know: chats and prompts.
"""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import pictures, quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import Persona
from store.quotas import GENEROUS, Quota
from store.views import PersonaView, persona_view

MAX_DESCRIPTION = 4_000


def list_personas(db: Database, owner_id: str) -> tuple[PersonaView, ...]:
    """A person's personas, by name."""
    with db.reading() as session:
        rows = session.scalars(select(Persona).where(Persona.owner_id == owner_id).order_by(Persona.name, Persona.id))
        return tuple(map(persona_view, rows))


def get_persona(db: Database, owner_id: str, persona_id: str) -> PersonaView:
    """One persona. Raises NotFound, also for another person's."""
    with db.reading() as session:
        return persona_view(_own(session, owner_id, persona_id))


def save_persona(
    db: Database,
    owner_id: str,
    name: str,
    description: str,
    persona_id: str | None = None,
    picture: bytes | None = None,
    now: float | None = None,
    quota: Quota = GENEROUS,
) -> PersonaView:
    """Make a persona, or change one; no bytes take away the picture that is there.

    Raises NotFound, Refused "bad_name", "too_long", "bad_picture", "quota".
    """
    shown, about = texts.clean_name(name), texts.clean(description).strip()
    if not shown:
        raise Refused("bad_name")
    if len(about) > MAX_DESCRIPTION:
        raise Refused("too_long")
    with db.session() as session:
        row = _own(session, owner_id, persona_id) if persona_id else None
        if row is None:
            quotas.refuse_another(session, owner_id, Persona)
            row = Persona(id=new_id(), owner_id=owner_id, avatar="", created_at=clock(now))
            session.add(row)
        row.name, row.description = shown, about
        if picture:
            quotas.refuse_if_over(session, owner_id, quota, n_bytes=len(picture))
        if picture is not None:
            row.avatar = pictures.replace_or_remove(session, owner_id, row.avatar, picture, clock(now))
        session.flush()
        return persona_view(row)


def delete_persona(db: Database, owner_id: str, persona_id: str) -> None:
    """Forget a persona and its picture; chats that began with it keep their copy of its words. Raises NotFound."""
    with db.session() as session:
        row = _own(session, owner_id, persona_id)
        pictures.remove(session, row.avatar)
        session.delete(row)


def faces(listed: Iterable[PersonaView]) -> dict[str, str]:
    """The pictures by the names of their personas; of two with one name the first that has a picture."""
    found: dict[str, str] = {}
    for one in listed:
        if one.avatar:
            found.setdefault(one.name, one.avatar)
    return found


def _own(session: Session, owner_id: str, persona_id: str) -> Persona:
    row = session.get(Persona, persona_id)
    if row is None or row.owner_id != owner_id:
        raise NotFound("persona")
    return row
