/* The web socket: connects, comes back by itself with growing pauses, notices a dead line. Knows no message's meaning
   but ping and pong. Events: "up", "down" (detail: seconds until the next try), "message" (detail: the message). */

const PAUSES_S = [0.5, 1, 1, 1.5, 2, 2, 4, 8, 15]; // a restart is over in a few seconds; what lasts longer may last long
const PING_EVERY_MS = 20000;
const ANSWER_WITHIN_MS = 8000;

export class Wire extends EventTarget {
  #socket = null;
  #tries = 0;
  #retry = 0;
  #ping = 0;
  #deadline = 0;

  constructor(path) {
    super();
    this.url = new URL(path, location.href);
    this.url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    window.addEventListener("online", () => this.now());
    window.addEventListener("offline", () => this.#drop());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#check());
  }

  get up() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  connect() {
    clearTimeout(this.#retry);
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#tries = 0;
      this.#ping = setInterval(() => this.#check(), PING_EVERY_MS);
      this.dispatchEvent(new Event("up"));
    };
    socket.onmessage = (event) => {
      clearTimeout(this.#deadline);
      this.#deadline = 0;
      const message = JSON.parse(event.data);
      if (message.type !== "pong") this.dispatchEvent(new CustomEvent("message", { detail: message }));
    };
    socket.onclose = () => socket === this.#socket && this.#down();
  }

  /** Try again now, if the line is down. */
  now() {
    if (!this.#socket || this.#socket.readyState === WebSocket.CLOSED) this.connect();
  }

  /** True when the message was handed to the line; that is no promise that it arrives. */
  send(message) {
    if (!this.up) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #check() {
    if (!this.up) return this.now();
    this.send({ type: "ping" });
    this.#deadline ||= setTimeout(() => this.#drop(), ANSWER_WITHIN_MS);
    return undefined;
  }

  /** The line is dead though nobody said so: do not wait for the close handshake. */
  #drop() {
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    this.#socket = null;
    this.#down();
  }

  #down() {
    clearInterval(this.#ping);
    clearTimeout(this.#deadline);
    this.#deadline = 0;
    const pause = PAUSES_S[Math.min(this.#tries, PAUSES_S.length - 1)] * (0.75 + Math.random() / 2);
    this.#tries += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.connect(), pause * 1000);
    this.dispatchEvent(new CustomEvent("down", { detail: { pause, tries: this.#tries } }));
  }
}
