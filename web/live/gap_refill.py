"""Gap refill: how a tab gets the events that pub/sub has lost, from the stream of the turn.

How a gap is seen: an event whose number is too high shows it at once (event_cursor.py), and every beat of the hub
compares the cursor with the end of the stream (viewer.py). Either way the viewer reads what the stream has after the
cursor, and `refill` forwards it. A turn that a snapshot shows as ended is not told again.
What it refuses to know: Redis, SQL, sockets.
"""

from collections.abc import Callable, Sequence

from store.broker.events import LAST_TYPES
from web.live.event_cursor import EventCursor, EventVerdict
from web.live.outgoing import LiveMessage


def refill(
    cursor: EventCursor,
    missing: Sequence[LiveMessage],
    is_told: Callable[[LiveMessage], bool],
    act: Callable[[EventVerdict, LiveMessage], bool],
) -> bool:
    """Forward the missing events by `act`, which is False when the chat was opened again instead; then this is, too.

    `is_told`: whether a snapshot has told what the last of them tells; then all are dropped.
    """
    if missing and is_told(missing[-1]):
        cursor.end(str(missing[-1]["turn"]))
    return all(act(cursor.judge(event), event) for event in missing)


def is_in_snapshot(event: LiveMessage, turn_id: str | None, revision_shown: int) -> bool:
    """Whether this is the last event of a turn that had ended before the snapshot, which shows its messages.

    `turn_id`: the turn that runs now. `revision_shown`: the chat's, in the newest snapshot.
    """
    if event["turn"] == turn_id or event["type"] not in LAST_TYPES:
        return False
    revision = event.get("revision")
    return revision is not None and int(revision) <= revision_shown
