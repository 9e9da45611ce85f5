"""A listener on the channel of a chat, with a connection of its own (pub/sub)."""

from redis import Redis
from redis.client import PubSub

from store.broker import keys


def subscribe(redis: Redis, chat_id: str) -> PubSub:
    """A subscription to a chat; `events.decode` reads the data of its messages."""
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(keys.chat_channel(chat_id))
    return pubsub
