/* The messages on the page: keeps the elements equal to what the server says, and shows the reply that is being written.
   Knows nothing of the wire. Markup: templates/_message.html, cloned from <template id="blank">. */

import { draw } from "./prose.js";
import { stageWords } from "./stages.js";
import { tellTimes } from "./times.js";

const NEAR_PX = 60;

export class Story {
  #live = null; // { element, borrowed, frame, text }
  #following = true;

  constructor() {
    this.root = document.getElementById("story");
    this.scroller = document.getElementById("main");
    this.list = document.getElementById("messages");
    this.blank = document.getElementById("blank");
    this.failure = document.getElementById("failure");
    this.newest = document.getElementById("newest");
    this.earlier = document.getElementById("earlier");
    this.known = new Map(); // id -> the server's message
    this.scroller.addEventListener("scroll", () => this.#watch(), { passive: true });
    this.newest.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#follow()).observe(this.scroller);
    tellTimes(this.list);
    this.toEnd();
  }

  /** Show exactly these messages (the newest ones) below whatever older ones are already on the page. */
  sync(messages, earlier) {
    this.#endLive();
    const first = messages[0]?.ordinal ?? 0;
    const ids = new Set(messages.map((message) => message.id));
    for (const element of [...this.list.children]) {
      const known = this.known.get(element.dataset.id);
      if (!ids.has(element.dataset.id) && !(known && known.ordinal < first)) element.remove();
    }
    for (const message of messages) this.put(message);
    if (this.list.firstElementChild?.dataset.id === messages[0]?.id) this.setEarlier(earlier);
    this.#follow();
  }

  /** Add or change one message. */
  put(message) {
    this.known.set(message.id, message);
    const old = this.#find(message.id);
    const element = old ?? this.#add();
    this.#fill(element, message);
    this.#marks();
    this.#follow();
  }

  /** Older messages, put before all others without moving what is being read. */
  prepend(messages) {
    const height = this.scroller.scrollHeight;
    const anchor = this.list.firstElementChild;
    for (const message of messages) {
      this.known.set(message.id, message);
      const element = this.#clone();
      this.#fill(element, message);
      this.list.insertBefore(element, anchor);
    }
    this.scroller.scrollTop += this.scroller.scrollHeight - height;
  }

  setEarlier(count) {
    this.root.dataset.earlier = count;
    this.earlier.hidden = !count;
  }

  get firstOrdinal() {
    return this.known.get(this.list.firstElementChild?.dataset.id)?.ordinal ?? 0;
  }

  /** The person's message before the server has acknowledged it. */
  putPending(id, text) {
    if (this.#find(id)) return;
    const element = this.#add();
    element.dataset.id = id;
    element.dataset.role = "user";
    element.dataset.pending = "";
    draw(element.querySelector(".prose"), text);
    this.toEnd();
  }

  dropPending(id) {
    this.#find(id)?.remove();
  }

  /** A reply begins: in a new message, or, for a retry, in the place of the last one. */
  beginLive(kind) {
    if (this.#live) return;
    const last = this.list.lastElementChild;
    const borrowed = kind === "retry" && last?.dataset.role === "character";
    const element = borrowed ? last : this.#add();
    element.dataset.live = "";
    if (borrowed) element.dataset.stale = "";
    else element.querySelector(".name").textContent = this.root.dataset.character;
    this.#live = { element, borrowed, frame: 0, text: null };
    this.hideFailure();
    this.#marks();
    this.#follow();
  }

  stage(stage) {
    if (!this.#live) return;
    const label = this.#live.element.querySelector(".stage");
    label.hidden = false;
    label.dataset.state = stage.state;
    label.textContent = stageWords(stage);
  }

  /** The text so far; drawn once per frame however fast it comes. */
  liveText(text) {
    const live = this.#live;
    if (!live) return;
    live.text = text;
    live.frame ||= requestAnimationFrame(() => {
      live.frame = 0;
      if (live !== this.#live) return;
      const prose = live.element.querySelector(".prose");
      if ("stale" in live.element.dataset) {
        delete live.element.dataset.stale;
        prose.replaceChildren();
      }
      live.element.shown = null; // no longer what the server rendered
      draw(prose, live.text);
      this.#follow();
    });
  }

  /** The reply is finished: `message` takes its place; none means that nothing came of it. */
  finishLive(message) {
    if (message && this.#live && !this.#live.borrowed) this.#live.element.dataset.id = message.id;
    const element = this.#live?.element;
    this.#endLive(!message);
    if (message) this.put(message);
    return element;
  }

  showFailure(sentence) {
    this.failure.hidden = false;
    this.failure.querySelector("p").textContent = sentence;
    this.#follow();
  }

  hideFailure() {
    this.failure.hidden = true;
  }

  /** Whether retrying makes sense now. */
  get canRetry() {
    return Boolean(this.list.querySelector('[data-act="retry"]:not([hidden])')) || !this.failure.hidden;
  }

  /** No swiping and no retrying while a reply is under way. */
  setBusy(busy) {
    this.list.toggleAttribute("data-busy", busy);
    this.#marks();
  }

  toEnd() {
    this.#following = true;
    this.newest.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #endLive(undo = true) {
    const live = this.#live;
    if (!live) return;
    cancelAnimationFrame(live.frame);
    this.#live = null;
    delete live.element.dataset.live;
    delete live.element.dataset.stale;
    live.element.querySelector(".stage").hidden = true;
    if (!undo) return;
    if (live.borrowed) this.#fill(live.element, this.known.get(live.element.dataset.id));
    else live.element.remove();
    this.#marks();
  }

  #fill(element, message) {
    if (!message) return;
    const chosen = message.alternatives[message.active];
    const prose = element.querySelector(".prose");
    element.dataset.id = message.id;
    element.dataset.role = message.role;
    delete element.dataset.pending;
    element.querySelector(".name").textContent = message.name;
    if (element.shown !== chosen.html) prose.innerHTML = chosen.html; // rendered and sanitized by the server
    element.shown = chosen.html;
    const swipes = element.querySelector(".swipes");
    swipes.hidden = message.alternatives.length < 2;
    element.querySelector(".count").textContent = `${message.active + 1}/${message.alternatives.length}`;
    element.querySelector("time").dataset.epoch = message.created_at;
    tellTimes(element);
  }

  /** Which buttons make sense on which message. */
  #marks() {
    const busy = this.list.hasAttribute("data-busy");
    const last = this.list.lastElementChild;
    for (const element of this.list.children) {
      const message = this.known.get(element.dataset.id);
      const isLast = element === last && message?.role === "character" && message.turn_id;
      element.querySelector('[data-act="retry"]').hidden = busy || !isLast;
      element.querySelector('[data-act="previous"]').disabled = busy || !message || message.active === 0;
      element.querySelector('[data-act="next"]').disabled = busy || !message || message.active + 1 >= message.alternatives.length;
    }
  }

  #find(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  #clone() {
    return this.blank.content.firstElementChild.cloneNode(true);
  }

  #add() {
    const element = this.#clone();
    if (this.#live && !this.#live.borrowed) this.list.insertBefore(element, this.#live.element);
    else this.list.append(element);
    return element;
  }

  #watch() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    if (this.#following) this.newest.hidden = true;
  }

  /** Follow the words only if the reader was at the end; otherwise say that there are new ones. */
  #follow() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (this.#live?.text) this.newest.hidden = false;
  }
}
