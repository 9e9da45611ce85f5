"""The Redis client of every process: timeouts and retries, so that a silent Redis is an error and not a hang.

Answers are bytes, as RQ needs them.
"""

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

CONNECT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 10


def connect(url: str) -> Redis:
    """A client with its own pool, safe for threads. It connects on first use; close it with `.close()`."""
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), 2, supported_errors=(RedisConnectionError,)),
    )
