"""Everything that moves: one web socket per open tab, fed by one Redis subscriber per process.

gate.py        who may open a socket at all, answered before the handshake
socket_guard.py       the TCP socket under a web socket: one lock, whole writes, a polite end
connection.py  one open tab: a reader thread that obeys commands, a writer that is the only sender
commands.py    the table of commands; ownership is checked there, in one place
changes.py     the part of that table that is about changing things by hand
frames.py      what all commands share
snapshot.py    what a tab is told when it opens a chat
beat_reads.py       what all tabs want to know at one beat, read once
outgoing.py        what a tab is told, packed once for all tabs
event_cursor.py       which events a tab already has (pure)
liveness.py   whether a peer still listens (pure)
token_bucket.py      how fast a tab may talk (pure)
hub.py         fans Redis messages out to the tabs that watch a chat
"""
