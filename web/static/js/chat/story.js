/* The list of messages: keeps the elements equal to what the server says (streaming text is in streaming.js). Knows nothing
   of the web socket. Markup: templates/_message.html, cloned from <template id="blank">.
   Events: "act" (detail: { act: "retry" | "previous" | "next" | "menu", message, button }), "rows" (other messages, or
   another memory). */

import { StreamingMessages } from "./streaming.js";
import { Swipes } from "./swipes.js";
import { activeAlternative, fillMessage, isReply, showOwnFace, toggleStatus, updateButtons } from "./message.js";
import { draw } from "../lib/prose.js";
import { fillTimes } from "../lib/times.js";
import { tn } from "../lib/i18n.js";

const NEAR_PX = 60;
const memoryText = (n) => tn("{n} earlier message is out of memory", "{n} earlier messages are out of memory", n);

export class Story extends EventTarget {
  #following = true;
  #busy = false;
  #memory = { from: 0, forgotten: 0 };

  constructor() {
    super();
    this.root = document.getElementById("story");
    this.scroller = document.getElementById("main");
    this.list = document.getElementById("messages");
    this.blank = document.getElementById("blank");
    this.failure = document.getElementById("failure");
    this.newest = document.getElementById("newest"); // brings back to the end, wherever the reader is
    this.earlier = document.getElementById("earlier");
    this.known = new Map(); // id -> the server's message
    this.streaming = new StreamingMessages(this);
    this.scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.newest.addEventListener("click", () => this.toEnd());
    this.list.addEventListener("click", (event) => this.#onButton(event.target.closest("button[data-act]")));
    new Swipes(this.list, (element, step) => this.#onSwipe(element, step));
    new ResizeObserver(() => this.follow()).observe(this.scroller);
    fillTimes(this.list);
    this.toEnd();
  }

  /** Show exactly these messages (the newest ones) below whatever older ones are already on the page. */
  sync(messages, earlier) {
    this.streaming.drop();
    const first = messages[0]?.ordinal ?? 0;
    const ids = new Set(messages.map((message) => message.id));
    for (const element of [...this.list.children]) {
      const known = this.known.get(element.dataset.id);
      if (!ids.has(element.dataset.id) && !(known && known.ordinal < first)) {
        this.known.delete(element.dataset.id);
        element.remove();
      }
    }
    for (const message of messages) this.put(message);
    if (this.list.firstElementChild?.dataset.id === messages[0]?.id) this.setEarlier(earlier);
    this.follow();
  }

  /** Add or change one message. */
  put(message) {
    this.known.set(message.id, message);
    fillMessage(this.elementOf(message.id) ?? this.#insertByOrdinal(message.ordinal), message);
    this.#updateAllButtons();
    this.follow();
  }

  /** A message that is no longer there. */
  remove(id) {
    this.known.delete(id);
    this.elementOf(id)?.remove();
    this.#updateAllButtons();
  }

  /** Where the model's memory begins: { from: an ordinal, forgotten: how many messages it has lost }. */
  setMemory(memory) {
    this.#memory = memory;
    this.#updateAllButtons();
  }

  /** Show a message as the server last said it. */
  refill(id) {
    const element = this.elementOf(id);
    if (element) fillMessage(element, this.known.get(id));
  }

  /** Older messages, put before all others without moving what is being read. */
  prependOlder(messages) {
    const height = this.scroller.scrollHeight;
    this.insertBefore(messages, this.list.firstElementChild);
    this.scroller.scrollTop += this.scroller.scrollHeight - height;
  }

  /** Messages that belong directly before the element `anchor`. */
  insertBefore(messages, anchor) {
    for (const message of messages) {
      this.known.set(message.id, message);
      const element = this.#cloneBlank();
      fillMessage(element, message);
      this.list.insertBefore(element, anchor);
    }
    this.#updateAllButtons();
  }

  /** Bring a message into view and mark it for a moment; the view stays there while words come. */
  reveal(id) {
    this.#following = false;
    const element = this.elementOf(id);
    delete element.dataset.found;
    element.scrollIntoView({ block: "center" });
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    element.dataset.found = "";
  }

  setEarlier(count) {
    this.root.dataset.earlier = count;
    this.earlier.hidden = !count;
  }

  get firstOrdinal() {
    return this.known.get(this.list.firstElementChild?.dataset.id)?.ordinal ?? 0;
  }

  /** The newest message that the server knows. */
  get last() {
    return [...this.known.values()].reduce((last, one) => (last && last.ordinal > one.ordinal ? last : one), null);
  }

  /** The newest status of the chat, or null. */
  get status() {
    const newestFirst = [...this.known.values()].sort((one, other) => other.ordinal - one.ordinal);
    return newestFirst.map((message) => activeAlternative(message).status).find((status) => status?.length) ?? null;
  }

  /** The person's message before the server has acknowledged it. */
  putPending(id, text) {
    if (this.elementOf(id)) return;
    const element = this.appendBlank();
    element.dataset.id = id;
    element.dataset.role = "user";
    showOwnFace(element, this.root.dataset.user);
    element.dataset.pending = "";
    draw(element.querySelector(".prose"), text);
    this.toEnd();
  }

  dropPending(id) {
    this.elementOf(id)?.remove();
  }

  /** Show the turn under way. */
  showTurn(turn) {
    this.hideFailure();
    this.streaming.show(turn);
    this.#updateAllButtons();
    this.follow();
  }

  /** The turn has ended, with these messages. */
  finish(messages) {
    this.streaming.finish(messages);
    for (const message of messages) this.put(message);
    this.#updateAllButtons();
  }

  /** `kind`: what to ask for when the person wants it tried again. */
  showFailure(sentence, kind) {
    this.failure.hidden = false;
    this.failure.dataset.kind = kind;
    this.failure.querySelector("p").textContent = sentence;
    this.follow();
  }

  hideFailure() {
    this.failure.hidden = true;
  }

  /** Whether retrying makes sense now. */
  get canRetry() {
    return isReply(this.last) || this.last?.role === "user";
  }

  /** No choosing of alternatives and no retrying while a reply is under way. */
  setBusy(busy) {
    this.#busy = busy;
    this.#updateAllButtons();
  }

  toEnd() {
    this.#following = true;
    this.newest.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Follow the words only if the reader was at the end. */
  follow() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  elementOf(id) {
    return id ? this.list.querySelector(`[data-id="${CSS.escape(id)}"]`) : null;
  }

  /** A new element at the end. */
  appendBlank() {
    return this.list.appendChild(this.#cloneBlank());
  }

  #onButton(button) {
    if (!button) return;
    const element = button.closest(".message");
    const detail = { act: button.dataset.act, message: this.known.get(element.dataset.id), button };
    if (detail.act === "status") toggleStatus(element);
    else if (detail.message) this.dispatchEvent(new CustomEvent("act", { detail }));
  }

  #onSwipe(element, step) {
    const message = this.known.get(element.dataset.id);
    const act = step > 0 ? "next" : "previous";
    if (message) this.dispatchEvent(new CustomEvent("act", { detail: { act, message, button: null } }));
  }

  #updateAllButtons() {
    const last = this.list.lastElementChild;
    this.#updateMemoryLine();
    for (const element of this.list.children) {
      updateButtons(element, this.known.get(element.dataset.id), { busy: this.#busy, last: element === last });
    }
  }

  /** A dotted line above the first message that the model remembers, if that one is on the page. */
  #updateMemoryLine() {
    const { from, forgotten } = this.#memory;
    const first = [...this.list.children].find((one) => this.known.get(one.dataset.id)?.ordinal >= from);
    const isFirst = first === this.list.firstElementChild && this.known.get(first?.dataset.id)?.ordinal !== from;
    for (const line of this.list.querySelectorAll(".memory")) {
      line.hidden = !forgotten || isFirst || line.parentElement !== first;
      line.querySelector("button").textContent = line.hidden ? "" : memoryText(forgotten);
    }
    this.dispatchEvent(new Event("rows"));
  }

  /** A new element in its place among those that the server knows. */
  #insertByOrdinal(ordinal) {
    const next = [...this.list.children].find((one) => this.known.get(one.dataset.id)?.ordinal > ordinal);
    return this.list.insertBefore(this.#cloneBlank(), next ?? null);
  }

  #cloneBlank() {
    return this.blank.content.firstElementChild.cloneNode(true);
  }

  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.newest.hidden = this.#following;
  }
}
