"""Live updates: one web socket per open tab, fed by one Redis subscriber per process.

A frame in: browser -> routes.py (gate.py, socket_guard.py) -> connection.py (reader thread, token_bucket.py)
    -> tab_session.py (signed in?) -> commands.py, changes.py (protocol/to_server.py; ownership; SQL; reply)
    -> connection.py (mailbox, writer thread) -> outgoing.py (translated, encoded) -> browser.
    A turn goes on: commands.py -> store/broker/queue.py (SQL, then a job) -> RQ -> worker/jobs.py (worker/__init__.py).
A token out: worker -> Redis stream and pub/sub (store/broker/events.py) -> hub.py (subscriber thread, the tabs on the
    chat) -> tab_session.py -> connection.py (mailbox, writer thread) -> viewer.py, event_cursor.py (next? duplicate?
    gap?) -> outgoing.py -> browser. A gap is refilled by `Viewer._fill_gap`; beats of the hub find lost ends.

protocol/        every frame in and out, and how to add one
routes.py        the route /ws
gate.py          access control before the handshake
socket_guard.py  the TCP socket under a web socket: locked, complete writes, lingering close
connection.py    the threads and the mailbox of one tab
liveness.py      ping and pong: is the peer alive? (pure)
token_bucket.py  rate limit of one tab (pure)
tab_session.py   wires one tab together, from handshake to close
caller.py        what the handler of a command is given
commands.py      the table of commands; turns and reading along; ownership
changes.py       the part of that table that changes chats by hand
snapshot.py      a chat as a tab gets it when it opens it
viewer.py        what one tab has been sent; events in order, gaps refilled
event_cursor.py  which events a tab has: forward, duplicate or gap (pure)
beat_reads.py    reads of one beat, shared by all tabs
outgoing.py      frames as bytes, encoded once for all tabs
hub.py           fan-out of Redis messages to the tabs that watch a chat
"""
