"""Passwords: argon2id hashes, and a check without user enumeration: as slow for a name that does not exist."""

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 8
MAX_LENGTH = 200
_HASHER = PasswordHasher()
_DUMMY_HASH = _HASHER.hash("nobody has this password")


def hash_password(password: str) -> str:
    """An argon2id hash with its own salt and parameters in it."""
    return _HASHER.hash(password)


def is_password(password_hash: str | None, password: str) -> bool:
    """Whether the password matches. None, for a name that does not exist, is always False and takes as long."""
    try:
        return _HASHER.verify(password_hash or _DUMMY_HASH, password) and password_hash is not None
    except (Argon2Error, InvalidHashError):
        return False
