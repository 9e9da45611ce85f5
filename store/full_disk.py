"""Full disk (ENOSPC): tells from an error of SQL or Redis whether their disk takes nothing more. Pure.

What it does: looks at the codes of SQLite, PostgreSQL and Redis. SQLite says "I/O error" for a quota and for a limit on
the size of files; what is to be done is the same.
What it refuses to know: who is told, and in which words (web/errors.py).
"""

from redis.exceptions import ResponseError
from sqlalchemy.exc import DBAPIError

_SQLITE = frozenset({"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE"})
_POSTGRES = "53100"  # disk_full
_REDIS = ("MISCONF", "OOM")


def is_full(error: BaseException) -> bool:
    """Whether a write failed because there is no room for it."""
    if isinstance(error, ResponseError):
        return str(error).startswith(_REDIS)
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorname", "") in _SQLITE or getattr(cause, "sqlstate", "") == _POSTGRES
