"""The people who play: accounts, cookies and chats, made through the store, since sign-ups are rate limited.

What it refuses to know: sockets and what is said.
"""

import uuid
from dataclasses import dataclass, field

from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from store import accounts, chats
from store.models import Character
from store.views import UserView

MOODS = ("calm", "cross")
CARD = {
    "system_prompt": "Be {{char}}.",
    "first_mes": "Hi.",
    "extensions": {"inglenook": {"status": [{"name": "Mood", "type": "one_of", "options": list(MOODS)}]}},
}


@dataclass
class Person:
    """Somebody with an account, a cookie, and the chats begun so far."""

    number: int
    user: UserView
    cookie: str
    character: str
    chats: list[str] = field(default_factory=list)


def sign_up(installation, number):
    """A new person with a character of few words (the echo backend works hard for each) and one chat."""
    _, token = accounts.create_invite(installation.db, "adult")
    user = accounts.sign_up(installation.db, token, f"P{number:02d}", "not-a-real-hash")
    texts = {"name": "Mo", "tagline": "", "avatar": "", "rating": "everyone", "locale": "en"}
    character = uuid.uuid4().hex
    with installation.db.session() as session:
        session.add(Character(id=character, owner_id=user.id, card=CARD, created_at=0.0, **texts))
    person = Person(number, user, _cookie(installation.settings, user), character)
    begin_chat(installation, person)
    return person


def begin_chat(installation, person):
    """One more chat of this person; its id."""
    person.chats.append(chats.create_chat(installation.db, person.user.id, person.character, person.user.name).id)
    return person.chats[-1]


def _cookie(settings, user):
    """What web would set at a sign-in, signed with the installation's own key."""
    app = Flask(__name__)
    app.secret_key = settings.read_secret_key()
    session = {"_user_id": f"{user.id}:{user.session_epoch}", "_fresh": True, "_permanent": True}
    return "inglenook=" + SecureCookieSessionInterface().get_signing_serializer(app).dumps(session)
