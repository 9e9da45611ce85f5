"""Tries to sign in: growing delays for each name or browser, and the addresses from which people have signed in.

What it does: counts tries in Redis, in this process while Redis is away. FREE tries cost nothing; each further one
closes the door for twice as long as the one before, LONGEST_S at most, so that nobody is locked out for long. An hour
without a try forgets them.
What it refuses to know: passwords, and who is a stranger (web/auth/).
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import RedisError

from store.broker import keys

FREE = 8
FIRST_S, LONGEST_S = 4, 60
FORGET_S = 3600
ADDRESS_S = 30 * 86_400
MAX_KEPT = 10_000  # in this process

# KEYS: count, door. ARGV: FREE, FIRST_S, LONGEST_S, FORGET_S. Returns the milliseconds to wait; 0: the try is counted.
_BEGIN = """
local closed = redis.call('PTTL', KEYS[2])
if closed > 0 then return closed end
local n = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if n >= tonumber(ARGV[1]) then
  local delay = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) * 2 ^ math.min(n - tonumber(ARGV[1]), 30))
  redis.call('SET', KEYS[2], 1, 'EX', delay)
end
return 0
"""


@dataclass
class _Kept:
    """What is known of one key while Redis is away; times in monotonic seconds."""

    n: int = 0
    closed_until: float = 0.0
    forget_at: float = 0.0


@dataclass
class SignInTries:
    """The tries of one installation. Thread-safe: a race in this process costs a try at most."""

    redis: Redis
    clock: Callable[[], float] = time.monotonic
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _addresses: dict[str, float] = field(default_factory=dict)  # known ones, and when that was last said to Redis

    def begin(self, who: str) -> float:
        """Count a try of `who`, before it is looked at. Returns the seconds to wait: 0 if it may go on."""
        name = hashlib.sha256(who.encode("utf-8", "replace")).hexdigest()[:32]
        arguments = (FREE, FIRST_S, LONGEST_S, FORGET_S)
        try:
            found = self.redis.eval(_BEGIN, 2, keys.sign_in_tries(name), keys.sign_in_door(name), *arguments)
        except RedisError:
            return self._begin_here(name)
        return int(found) / 1000

    def succeed(self, who: str) -> None:
        """Forget the tries of `who`: the password was right."""
        name = hashlib.sha256(who.encode("utf-8", "replace")).hexdigest()[:32]
        self._kept.pop(name, None)
        try:
            self.redis.delete(keys.sign_in_tries(name), keys.sign_in_door(name))
        except RedisError:
            return

    def note_address(self, address: str) -> None:
        """Somebody is signed in at this address. Cheap: Redis hears of it once an hour."""
        now = self.clock()
        if now - self._addresses.get(address, -FORGET_S) < FORGET_S:
            return
        _make_room(self._addresses)
        self._addresses[address] = now
        try:
            self.redis.set(keys.known_address(address), 1, ex=ADDRESS_S)
        except RedisError:
            return

    def knows_address(self, address: str) -> bool:
        """Whether somebody was signed in at this address within a month."""
        try:
            return address in self._addresses or bool(self.redis.exists(keys.known_address(address)))
        except RedisError:
            return False

    def _begin_here(self, name: str) -> float:
        now = self.clock()
        _make_room(self._kept)
        kept = self._kept.setdefault(name, _Kept())
        if kept.closed_until > now:
            return kept.closed_until - now
        kept.n = 1 if kept.forget_at < now else kept.n + 1
        kept.forget_at = now + FORGET_S
        if kept.n >= FREE:
            kept.closed_until = now + min(LONGEST_S, FIRST_S * 2 ** min(kept.n - FREE, 30))
        return 0.0


def _make_room(kept: dict[str, _Kept] | dict[str, float]) -> None:
    if len(kept) >= MAX_KEPT:
        kept.clear()
