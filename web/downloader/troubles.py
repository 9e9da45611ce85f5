"""The errors of the downloader: why a file cannot be fetched now (try again later) or at all (somebody has to act).

    Trouble          .failure: reason and values (store/errors.py); its sentence is in store/error_texts.py
    +-- Passing      the same may succeed later, by itself: no network, too many requests; `.after_s` if it is told
    +-- Final        somebody has to do something: no such file, no access, a full disk, a wrong hash
    +-- Stopped      no trouble: the file is not wanted any more, or paused

What it refuses to know: what becomes of the row (jobs.py). No value holds a signed address or a token.
"""

from store.errors import Failure


class Trouble(Exception):
    """The root of the tree."""

    def __init__(self, reason: str, **values: str | int) -> None:
        super().__init__(reason, *values.values())
        self.failure = Failure(reason, values)


class Passing(Trouble):
    """Trying again later may help."""

    def __init__(self, reason: str, after_s: float = 0.0, **values: str | int) -> None:
        super().__init__(reason, **values)
        self.after_s = after_s


class Final(Trouble):
    """Trying again does not help."""


class Stopped(Exception):
    """The file is not wanted any more, or only later. `wanted`: what is wanted instead."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def weightiest(troubles: list[Trouble]) -> Trouble:
    """Which of several hubs' troubles counts: who is refused access has to act; else a hub that may answer later; else
    the first."""
    told = [one for one in troubles if one.failure.reason in ("fetch.gated", "fetch.token", "fetch.disk_full")]
    passing = [one for one in troubles if isinstance(one, Passing)]
    return (told or passing or troubles)[0]
