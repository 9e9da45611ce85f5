"""The worker room: joins engine and store. RQ jobs in, events and messages out. Nothing imports it.

A turn in: RQ -> rq_lanes.py (a thread that waits) -> jobs.py (claim) -> attempt.py -> prompt/ -> the engine's `submit`.
A token out: engine thread (`Lane._take_token`, `Ticket.put`, `Outbox.deliver` before the next decode)
    -> `ReplyCollector.on_event` -> `TurnEvents`, event_buffer.py -> publisher thread (publisher.py)
    -> store/broker/events.py -> Redis stream and pub/sub; web/live/__init__.py goes on.
"""
