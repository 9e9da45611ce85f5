"""The protocol of the web socket /ws: every frame that a tab sends (to_server.py) or gets (to_tab.py).

What it does: declares each frame once. A frame is one JSON object in one text message; its `type` says which it is.
  - Tab -> server: commands, pydantic classes that refuse unknown fields; commands.py and changes.py handle them.
  - Server -> tab: TypedDicts; the handlers of the page are in static/js/chat/. The events of a turn are made by worker
    and store and passed on with HTML added: store/broker/events.py has their vocabulary.
What it refuses to know: what a command does, and sockets.

To add a command of the tab: 1. its class and a place in the union in to_server.py; 2. its handler in commands.py or
changes.py, with a line in the table there; 3. a row in TRIES of tests/web/test_live_foreign.py, which tries it on the
chat of another person; 4. the place in static/js/chat/ that sends it.
To add a live message: 1. its TypedDict in to_tab.py, with a line in OUTGOING; 2. the code that builds it; 3. its
handler in HANDLERS of static/js/chat/controller.js; 4. if a new field carries an error or a message of the chat, that
field in `translate_frame` of web/i18n/language.py. A page that is older than the server ignores an unknown `type`.
tests/web/test_live_protocol.py compares both lists with the page; tests/harness/socket_client.py checks every frame.
"""
