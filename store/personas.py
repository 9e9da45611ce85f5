"""Persona table: the descriptions of a person for their own stories. A chat copies name and description at its start.

What it refuses to know: chats and prompts.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import quotas, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import Persona
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
    now: float | None = None,
) -> PersonaView:
    """Make a persona, or change one. Raises NotFound, Refused "bad_name", "too_long", "quota"."""
    shown, about = texts.clean_name(name), texts.clean(description).strip()
    if not shown:
        raise Refused("bad_name")
    if len(about) > MAX_DESCRIPTION:
        raise Refused("too_long")
    with db.session() as session:
        row = _own(session, owner_id, persona_id) if persona_id else None
        if row is None:
            quotas.refuse_another(session, owner_id, Persona)
            row = Persona(id=new_id(), owner_id=owner_id, created_at=clock(now))
            session.add(row)
        row.name, row.description = shown, about
        session.flush()
        return persona_view(row)


def delete_persona(db: Database, owner_id: str, persona_id: str) -> None:
    """Forget a persona; chats that began with it keep their copy. Raises NotFound."""
    with db.session() as session:
        session.delete(_own(session, owner_id, persona_id))


def _own(session: Session, owner_id: str, persona_id: str) -> Persona:
    row = session.get(Persona, persona_id)
    if row is None or row.owner_id != owner_id:
        raise NotFound("persona")
    return row
