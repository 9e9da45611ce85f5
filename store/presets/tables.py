"""The table of own presets; store/models.py has the rules of tables and exports it."""

from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.model_base import Base


class PresetRow(Base):
    """Sampler settings of a chat that a person keeps under a name, to use them in other chats (own_presets.py)."""

    __tablename__ = "presets"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[float]
