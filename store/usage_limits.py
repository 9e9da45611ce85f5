"""Usage limits (screen time): quiet hours and minutes per day, checked when a turn begins.

What it does: `refuse_if_over` runs in the transaction that accepts a turn; `today` and `quiet_time` say before what is
left. Days and hours are those of the server's
clock. The minutes of a day are the time of a person's turns and the pauses between them of up to five minutes.
What it refuses to know: who sets the limits (accounts.py).
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.db import Database
from store.errors import Refused
from store.messages import clock
from store.models import HAS_ENDED, UNFINISHED, Turn, User
from store.views import UserView

PAUSE_S, DAY_S = 300.0, 86_400.0
Played = tuple[float, float | None]
"""When a turn was created, and when it ended; None: not yet. In seconds since the epoch."""


@dataclass(frozen=True)
class MinutesToday:
    """The minutes of today of a person with a daily limit."""

    used: float
    allowed: int

    @property
    def left(self) -> int:
        """Whole minutes left, a begun one counted as whole; never below 0."""
        return max(0, math.ceil(self.allowed - self.used))


@dataclass(frozen=True)
class QuietTime:
    """The quiet hours of a person: times of the day, and the seconds until they next begin, and next end."""

    begins: str
    ends: str
    begins_in_s: float
    ends_in_s: float

    @property
    def is_now(self) -> bool:
        """Whether no turn can begin at this moment."""
        return self.ends_in_s < self.begins_in_s


def quiet_time(user: UserView, now: float | None = None) -> QuietTime | None:
    """The quiet hours of a person as they stand now; None without any."""
    begins, ends = user.quiet_from, user.quiet_until
    if not begins or not ends or begins == ends:
        return None
    moment = dt.datetime.fromtimestamp(clock(now))
    passed_s = (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    return QuietTime(begins, ends, _seconds_until(begins, passed_s), _seconds_until(ends, passed_s))


def _seconds_until(time: str, passed_s: float) -> float:
    """From so many seconds after midnight to the next such time (HH:MM): 0 < s <= a day."""
    hours, minutes = time.split(":")
    return (int(hours) * 3600 + int(minutes) * 60 - passed_s) % DAY_S or DAY_S


def refuse_if_over(session: Session, user: User, now: float) -> MinutesToday | None:
    """The minutes of today once a turn begins now; None without a limit. Raises Refused "quiet_hours", "daily_limit".

    Both sums are made of one reading of today's turns: every other writer waits for this transaction.
    """
    moment = dt.datetime.fromtimestamp(now)
    if user.quiet_from and user.quiet_until and _between(f"{moment:%H:%M}", user.quiet_from, user.quiet_until):
        raise Refused("quiet_hours", until=user.quiet_until)
    if user.daily_minutes is None:
        return None
    played = _turns_of_today(session, user.id, now)
    if _minutes_played(played, now) >= user.daily_minutes:
        raise Refused("daily_limit", minutes=user.daily_minutes)
    return MinutesToday(_minutes_played([*played, (now, None)], now), user.daily_minutes)


def today(db: Database, user: UserView, now: float | None = None) -> MinutesToday | None:
    """How much of today a person has used; None without a limit."""
    if user.daily_minutes is None:
        return None
    with db.reading() as session:
        return minutes_today(session, user, clock(now))


def minutes_today(session: Session, user: User | UserView, now: float) -> MinutesToday | None:
    """The same in the caller's transaction."""
    if user.daily_minutes is None:
        return None
    return MinutesToday(minutes_used(session, user.id, now), user.daily_minutes)


def minutes_used(session: Session, user_id: str, now: float) -> float:
    """Minutes that a person has played since midnight."""
    return _minutes_played(_turns_of_today(session, user_id, now), now)


def _midnight(now: float) -> float:
    return dt.datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _turns_of_today(session: Session, user_id: str, now: float) -> list[Played]:
    of_user = select(Turn.created_at, Turn.ended_at).where(Turn.owner_id == user_id, Turn.created_at >= _midnight(now))
    rows = [row for some in (HAS_ENDED, Turn.state.in_(UNFINISHED)) for row in session.execute(of_user.where(some))]
    return [(row.created_at, row.ended_at) for row in rows]


def _minutes_played(played: Sequence[Played], now: float) -> float:
    midnight = _midnight(now)
    used_s, until = 0.0, midnight - PAUSE_S
    for created_at, ended_at in sorted(played, key=itemgetter(0)):
        gap_s = created_at - until
        used_s += gap_s if 0.0 < gap_s <= PAUSE_S and until >= midnight else 0.0
        end = min(now, ended_at or now)
        used_s += max(0.0, end - max(until, created_at))
        until = max(until, end)
    return used_s / 60


def _between(time: str, start: str, end: str) -> bool:
    """Whether a time of the day (HH:MM) lies in a span that may reach over midnight."""
    return start <= time < end if start <= end else time >= start or time < end
