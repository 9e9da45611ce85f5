"""Somebody who chats over a web socket without a pause, and keeps what the server has acknowledged."""

import threading

PATIENCE_S = 60  # the disk may have other things to do


class Talker(threading.Thread):
    """`acked`: (turn, role, text) of each own message when its ack was heard, of each reply when its end was heard."""

    def __init__(self, player):
        super().__init__(daemon=True)
        self.player = player
        self.acked, self.trouble = [], None
        self.leaving = threading.Event()

    def run(self):
        try:
            revision = self.player.open()["revision"]
            while not self.leaving.is_set():
                revision = self._one_turn(revision)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test has to see it)
            self.trouble = error
        finally:
            self.player.close()

    def has(self, n_acked):
        """Whether that much was acknowledged."""
        assert self.trouble is None, self.trouble
        return len(self.acked) >= n_acked

    def leave(self):
        """Finish the turn under way, and go."""
        self.leaving.set()
        self.join(60)
        assert not self.is_alive()
        assert self.trouble is None, self.trouble

    def _one_turn(self, revision):
        text = f"Number {len(self.acked)}: what is behind the door?"
        turn = self.player.submit(text, revision)
        self.acked.append((turn, "user", text))
        while (done := self.player.wait("done", "failed", "cancelled", timeout_s=PATIENCE_S))["turn"] != turn:
            pass
        assert done["type"] == "done", done
        reply = next(message for message in done["messages"] if message["id"] == done["message"]["id"])
        self.acked.append((turn, reply["role"], reply["alternatives"][reply["active"]]["text"]))
        return done["revision"]
