/* The web socket: connects, reconnects with exponential backoff and jitter, detects a dead connection by heartbeat. Knows
   no frame's meaning but ping and pong. Events: "up", "down" (detail: seconds until the next try), "message" (detail: the frame). */

import { listen } from "../lib/page_scope.js";

const PAUSES_S = [0.5, 1, 1, 1.5, 2, 2, 4, 8, 15]; // a restart is over in a few seconds; what lasts longer may last long
const PING_EVERY_MS = 20000;
const ANSWER_WITHIN_MS = 8000;

export class Socket extends EventTarget {
  #socket = null;
  #tries = 0;
  #retryTimer = 0;
  #pingTimer = 0;
  #pongTimer = 0;

  constructor(path) {
    super();
    this.url = new URL(path, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    listen(window, "online", () => this.reconnectNow());
    listen(window, "offline", () => this.#abandon());
    listen(document, "visibilitychange", () => document.visibilityState === "visible" && this.#checkConnection());
  }

  get up() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#tries = 0;
      this.#pingTimer = setInterval(() => this.#checkConnection(), PING_EVERY_MS);
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = (event) => {
      clearTimeout(this.#pongTimer);
      this.#pongTimer = 0;
      const message = JSON.parse(event.data);
      if (message.type !== "pong") this.dispatchEvent(new CustomEvent("message", { detail: message }));
    };
    socket.onclose = () => socket === this.#socket && this.#onDown();
  }

  /** Try again now, if the line is down. */
  reconnectNow() {
    if (!this.#socket || this.#socket.readyState === WebSocket.CLOSED) this.connect();
  }

  /** Close it for good. */
  end() {
    const socket = this.#socket;
    this.#abandon();
    clearTimeout(this.#retryTimer);
    if (socket) this.#socket = null;
  }

  /** True when the message was handed to the line; that is no promise that it arrives. */
  send(message) {
    if (!this.up) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #checkConnection() {
    if (!this.up) return this.reconnectNow();
    this.send({ type: "ping" });
    this.#pongTimer ||= setTimeout(() => this.#abandon(), ANSWER_WITHIN_MS);
    return undefined;
  }

  /** The line is dead though nobody said so: do not wait for the close handshake. */
  #abandon() {
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    this.#socket = null;
    this.#onDown();
  }

  #onDown() {
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    this.#pongTimer = 0;
    const pause = PAUSES_S[Math.min(this.#tries, PAUSES_S.length - 1)] * (0.75 + Math.random() / 2);
    this.#tries += 1;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.connect(), pause * 1000);
    this.dispatchEvent(new CustomEvent("down", { detail: { pause, tries: this.#tries } }));
  }
}
