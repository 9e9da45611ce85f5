"""Values about people and what is theirs: accounts, invitations, personas, presets, pictures, characters, lorebooks.

Callers import everything from `store.views`.
"""

from dataclasses import dataclass, field
from typing import Any

from store.models import Character, Invite, LorebookRow, Persona, Picture, PresetRow, User
from store.views.from_row import view_of


@dataclass(frozen=True)
class UserView:
    """A person who can sign in."""

    id: str
    name: str
    password_hash: str = field(repr=False)
    role: str
    locale: str
    theme: str
    text_size: str
    notify: bool
    sound: bool
    session_epoch: int
    daily_minutes: int | None
    quiet_from: str | None
    quiet_until: str | None
    created_at: float
    suspended_at: float | None = None


@dataclass(frozen=True)
class InviteView:
    """An invitation, without its token."""

    id: str
    role: str
    created_by: str | None
    created_at: float
    expires_at: float
    used_at: float | None
    used_by: str | None
    revoked_at: float | None
    name: str = ""


@dataclass(frozen=True)
class PersonaView:
    """Who a person is in a story."""

    id: str
    owner_id: str
    name: str
    description: str
    created_at: float
    avatar: str = ""


@dataclass(frozen=True)
class PictureView:
    """An image that a person uploaded."""

    id: str
    owner_id: str
    media_type: str
    data: bytes = field(repr=False)
    created_at: float


@dataclass(frozen=True)
class CharacterView:
    """A character; `card` is the `data` object of a V3 card, its macros not yet resolved."""

    id: str
    slug: str | None
    owner_id: str | None
    name: str
    tagline: str
    card: dict[str, Any] = field(repr=False)
    avatar: str
    rating: str
    locale: str
    created_at: float
    background: str = ""
    shared: str = "private"


@dataclass(frozen=True)
class LorebookView:
    """A lorebook outside of a card; `data` is its file unchanged (store/lore/ reads it)."""

    id: str
    owner_id: str
    name: str
    data: dict[str, Any] = field(repr=False)
    created_at: float
    rating: str = "everyone"
    shared: str = "private"


@dataclass(frozen=True)
class PresetView:
    """Sampler settings that a person keeps under a name."""

    id: str
    owner_id: str
    name: str
    settings: dict[str, Any]
    created_at: float


def user_view(row: User) -> UserView:
    """The value of a row."""
    return view_of(UserView, row)


def invite_view(row: Invite) -> InviteView:
    """The value of a row."""
    return view_of(InviteView, row)


def character_view(row: Character) -> CharacterView:
    """The value of a row."""
    return view_of(CharacterView, row)


def persona_view(row: Persona) -> PersonaView:
    """The value of a row."""
    return view_of(PersonaView, row)


def preset_view(row: PresetRow) -> PresetView:
    """The value of a row."""
    return view_of(PresetView, row)


def picture_view(row: Picture) -> PictureView:
    """The value of a row."""
    return view_of(PictureView, row)


def book_view(row: LorebookRow) -> LorebookView:
    """The value of a row."""
    return view_of(LorebookView, row)
