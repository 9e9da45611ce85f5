"""Every Redis key and channel of this project. RQ's own keys start with `rq:`; jobs.py knows those.

To add a key: add a function here that says what the key holds, of which type, and when it goes away.
"""

PREFIX = "inglenook"


def queue(worker_name: str) -> str:
    """Name of the RQ queue of one worker (RQ makes the keys of it)."""
    return f"{PREFIX}-{worker_name}"


def turn_events(turn_id: str) -> str:
    """Stream: the events of one turn, ids `<seq>-0`. Goes an hour after the end of the turn, at the latest in a day."""
    return f"{PREFIX}:turn:{turn_id}:events"


def chat_channel(chat_id: str) -> str:
    """Channel: the events of every turn of one chat, as they are written; without `seq` also changed, setup, memory."""
    return f"{PREFIX}:chat:{chat_id}"


def people_channel() -> str:
    """Channel: something for every tab of one person, whatever it shows, as JSON with their id as `person`."""
    return f"{PREFIX}:people"


def queues_channel() -> str:
    """Channel: the name of a worker whose queue has moved, as JSON {"worker": name}."""
    return f"{PREFIX}:queues"


def cancel_flag(turn_id: str) -> str:
    """String: the owner of a turn pressed stop. Goes after an hour."""
    return f"{PREFIX}:turn:{turn_id}:cancel"


def cancels_channel() -> str:
    """Channel: the id of a turn whose flag was just raised."""
    return f"{PREFIX}:cancels"


def popped_unclaimed(turn_id: str) -> str:
    """String: when `reconcile` first saw that a job was popped and its turn unclaimed. Goes after a minute."""
    return f"{PREFIX}:turn:{turn_id}:popped_unclaimed"


def end_unannounced(turn_id: str) -> str:
    """String: when `reconcile` first saw that the end of a turn was not announced. Goes after a minute."""
    return f"{PREFIX}:turn:{turn_id}:end_unannounced"


def workers() -> str:
    """Set: names of the workers that announced themselves; readers remove the dead ones."""
    return f"{PREFIX}:workers"


def worker(worker_name: str) -> str:
    """String (JSON): what one worker says about itself. Goes when its heartbeat stops."""
    return f"{PREFIX}:worker:{worker_name}"


def switches() -> str:
    """Hash: the workers that are changing their model, each with JSON {"name", "about_s", "at"} until it answers, or
    for some hours."""
    return f"{PREFIX}:switches"


def pin(chat_id: str) -> str:
    """String: the worker that last had a chat's session, so its KV blocks too, and the key of its model. Goes after a
    month without turns."""
    return f"{PREFIX}:chat:{chat_id}:worker"


def wakes(worker_name: str) -> str:
    """Sorted set: chats that were opened lately, by the time; a worker without work wakes the newest. Gone in 30 s."""
    return f"{PREFIX}:worker:{worker_name}:wakes"


def last_reconcile() -> str:
    """String: a worker has begun to reconcile. Goes when the next round is due."""
    return f"{PREFIX}:last_reconcile"


def last_cleaning() -> str:
    """String: a web process has begun to remove what is deleted. Goes when the next round is due."""
    return f"{PREFIX}:last_cleaning"


def indexing() -> str:
    """String: a web process is bringing the search index up to date. Goes when it is done, or dead."""
    return f"{PREFIX}:indexing"


def last_rewrite() -> str:
    """String: a web process has asked Redis to rewrite its append-only file. Goes when the next time is due."""
    return f"{PREFIX}:last_rewrite"


def reconcile_lock() -> str:
    """String: lock of the one process that reconciles. Goes after some seconds."""
    return f"{PREFIX}:lock:reconcile"


def sign_in_tries(who: str) -> str:
    """String: how often somebody tried to sign in under this (hashed) name lately. Goes after an hour without a try."""
    return f"{PREFIX}:sign-in:{who}:tries"


def sign_in_door(who: str) -> str:
    """String: no further try for this (hashed) name now. Goes after a minute at most."""
    return f"{PREFIX}:sign-in:{who}:door"


def known_address(address: str) -> str:
    """String: somebody was signed in at this address. Goes after a month."""
    return f"{PREFIX}:sign-in:address:{address}"
