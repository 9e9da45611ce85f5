/* The outbox: the command that was sent and is not yet acknowledged, at most one. It survives a reload and goes out again
   after every reconnect under the SAME id, an idempotency key: the server makes one turn of it however often it comes. */

import { load, store } from "../lib/storage.js";
import { newTurnId } from "./stages.js";

export class Outbox {
  constructor(chat, socket) {
    this.chat = chat;
    this.socket = socket;
    this.pending = load("unsent", chat); // { id, kind, text, then, revision, handed }
  }

  put(kind, text, then, revision) {
    this.pending = { id: newTurnId(), kind, text, then, revision };
    store("unsent", this.chat, this.pending);
  }

  /** Hand it to the line; whether the line took it. */
  send() {
    const { id, kind, text, then = [], revision } = this.pending;
    if (!this.socket.send({ type: "submit", chat: this.chat, id, kind, text, then, revision })) return false;
    this.pending.handed = true; // from now on the server may have it
    store("unsent", this.chat, this.pending);
    return true;
  }

  /** It arrived, was refused, or was taken back. Returns what it was. */
  clear() {
    const was = this.pending;
    this.pending = null;
    store("unsent", this.chat, null);
    return was;
  }
}
