"""Password tries: one try to sign in, from its count to its hash.

What it does: a name has one count however it is spelt, and a browser that was signed in as its owner has its own; a
right password forgets the count. Hashing waits in a queue.
What it refuses to know: forms and sessions (accounts.py).
"""

import math

from store import texts
from store.views import UserView
from web.auth import passwords
from web.auth.hashing_queue import KNOWN, STRANGERS
from web.auth.known_browsers import known_as
from web.services import services


def begin(name: str, user: UserView | None) -> int:
    """Count a try to sign in under a name, whose account is `user`. Returns the seconds to wait, 0 if it may go on."""
    return math.ceil(services().sign_in_tries.begin(_counted_as(name, user)))


def is_password(name: str, user: UserView | None, password: str) -> bool:
    """Whether the password of a counted try is right; then its tries are forgotten. Raises Problem 503."""
    with (KNOWN if known_as(user) else STRANGERS).turn():
        is_right = passwords.is_password(user.password_hash if user else None, password)
    if is_right:
        services().sign_in_tries.succeed(_counted_as(name, user))
    return is_right


def _counted_as(name: str, user: UserView | None) -> str:
    browser = known_as(user)
    return f"browser:{browser}:{user.id}" if browser and user else f"name:{texts.name_key(name)}"
