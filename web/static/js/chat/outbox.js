/* The command that was sent and not yet acknowledged. It survives a reload and goes out again under the SAME id after
   every reconnect; the server makes one turn of it however often it comes. At most one at a time. */

import { keep, recall } from "../lib/storage.js";
import { newTurnId } from "./stages.js";

export class Outbox {
  constructor(chat, wire) {
    this.chat = chat;
    this.wire = wire;
    this.held = recall("unsent", chat); // { id, kind, text, then, revision, handed }
  }

  put(kind, text, then, revision) {
    this.held = { id: newTurnId(), kind, text, then, revision };
    keep("unsent", this.chat, this.held);
  }

  /** Hand it to the line; whether the line took it. */
  send() {
    const { id, kind, text, then = [], revision } = this.held;
    if (!this.wire.send({ type: "submit", chat: this.chat, id, kind, text, then, revision })) return false;
    this.held.handed = true; // from now on the server may have it
    keep("unsent", this.chat, this.held);
    return true;
  }

  /** It arrived, was refused, or was taken back. Returns what it was. */
  forget() {
    const was = this.held;
    this.held = null;
    keep("unsent", this.chat, null);
    return was;
  }
}
