"""Passwords: argon2id hashes, and a check without user enumeration: as slow for a name that does not exist."""

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 8
MAX_LENGTH = 200
HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """An argon2id hash with its own salt and parameters in it."""
    return HASHER.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password matches. None, for a name that does not exist, is always False and takes as long."""
    try:
        return HASHER.verify(password_hash or _dummy_hash(HASHER), password) and password_hash is not None
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _dummy_hash(hasher: PasswordHasher) -> str:
    """The hash that stands in for a name that does not exist; made once, at its first use: it takes 0.2 s."""
    return hasher.hash("nobody has this password")
