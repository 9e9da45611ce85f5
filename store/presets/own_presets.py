"""Preset table: sampler settings that a person keeps under a name, to use them in any of their chats.

What it refuses to know: chats (using a preset copies its settings), and what a setting means (sampling.py).
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store import quotas, sampling, texts
from store.db import Database
from store.errors import NotFound, Refused
from store.messages import clock, new_id
from store.models import PresetRow
from store.views import PresetView, preset_view

LEFT_OUT = frozenset({"top_n"})
"""Settings of one chat: whether it keeps probabilities is no way of telling."""


def list_presets(db: Database, owner_id: str) -> tuple[PresetView, ...]:
    """A person's presets, by name."""
    with db.reading() as session:
        rows = select(PresetRow).where(PresetRow.owner_id == owner_id).order_by(PresetRow.name, PresetRow.id)
        return tuple(map(preset_view, session.scalars(rows)))


def save_preset(
    db: Database, owner_id: str, name: str, settings: Mapping[str, Any], now: float | None = None
) -> PresetView:
    """Keep settings under a name; the preset that has this name already gets them. Raises Refused "bad_name",
    "bad_setting", "quota"."""
    shown = texts.clean_name(name)
    if not shown:
        raise Refused("bad_name")
    kept = {key: value for key, value in sampling.checked(settings).items() if key not in LEFT_OUT}
    with db.session() as session:
        same = select(PresetRow).where(PresetRow.owner_id == owner_id, PresetRow.name == shown)
        row = session.scalars(same.limit(1)).first()
        if row is None:
            quotas.refuse_another(session, owner_id, PresetRow)
            row = PresetRow(id=new_id(), owner_id=owner_id, name=shown, created_at=clock(now))
            session.add(row)
        row.settings = kept
        session.flush()
        return preset_view(row)


def delete_preset(db: Database, owner_id: str, preset_id: str) -> None:
    """Forget a preset; chats that use its settings keep them. Raises NotFound."""
    with db.session() as session:
        session.delete(_own(session, owner_id, preset_id))


def _own(session: Session, owner_id: str, preset_id: str) -> PresetRow:
    row = session.get(PresetRow, preset_id)
    if row is None or row.owner_id != owner_id:
        raise NotFound("preset")
    return row
