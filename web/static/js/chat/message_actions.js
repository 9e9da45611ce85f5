/* What the person changes by hand: edit, copy, pin, branch, delete and undo, start over; and why these words. Joins the
   menu, the box and the toast with the frames of web/live/changes.py.
   `page`: { wire, chat, isBusy(), revision() }. */

import { Added } from "./lore_used.js";
import { Editing } from "./editing.js";
import { MessageMenu } from "./message_menu.js";
import { chosenOf, isTold } from "./message.js";
import { Prices } from "./reread_cost.js";
import { Setup } from "./setup_panel.js";
import { Toast } from "../lib/toast.js";
import { Why } from "./token_probabilities.js";
import { t } from "../lib/i18n.js";

/** `heard`: what to do with the messages that are for it alone. */
export class Hand {
  #keepsWhy = false; // replies that come now keep their words' chances

  constructor(story, composer, page) {
    this.story = story;
    this.composer = composer;
    this.page = page;
    this.menu = new MessageMenu();
    this.editing = new Editing();
    this.why = new Why();
    this.added = new Added();
    this.toast = new Toast(composer);
    this.prices = new Prices(story, page.chat);
    this.setup = new Setup((frame) => page.wire.send({ ...frame, chat: page.chat }));
    this.setup.addEventListener("over", () => this.#send({ type: "start_over", chat: page.chat }));
    this.menu.addEventListener("choose", ({ detail: { act, message } }) => this.#do(act, message));
    this.editing.addEventListener("save", ({ detail: { message, text } }) => {
      if (!this.#change("edit", message, { text })) this.editing.refused();
    });
    this.editing.addEventListener("close", () => composer.focus());
    this.heard = {
      branched: ({ chat }) => location.assign(`/chat/${chat}`),
      why: (message) => this.#explain(message),
      added: (message) => this.#tellAdded(message),
      memory: (message) => this.remember(message),
      setup: (message) => this.setUp(message),
    };
  }

  /** The chat as it was opened, or set up anew. */
  setUp(chat) {
    this.#keepsWhy = chat.settings.top_n > 0;
    if (chat.memory) this.remember(chat.memory);
    this.setup.apply(chat);
    if (chat.type === "setup") this.setup.confirm();
  }

  /** Where the model's memory begins now. */
  remember(memory) {
    this.prices.memory = memory;
    this.story.setMemory(memory);
  }

  openMenu(message, button) {
    const now = this.page.isBusy() ? "off" : true;
    this.menu.open(message, button, {
      edit: now,
      copy: true,
      pin: now === "off" ? now : message.pinned ? t("Unpin") : t("Pin"),
      branch: true,
      why: this.#hasWhy(message),
      added: chosenOf(message).lore ?? isTold(message),
      delete: now,
    });
    if (now !== "off") this.prices.tell("delete", message, (words) => this.menu.tellPrice(message, words));
  }

  /** Edit the last message of the person's own. */
  editLast() {
    const mine = [...this.story.known.values()].filter(({ role }) => role === "user");
    const last = mine.sort((one, other) => one.ordinal - other.ordinal).at(-1);
    if (last && !this.page.isBusy()) this.#edit(last);
  }

  /** The server did what this window asked for. */
  done({ by, message: id, now }) {
    if (by === "edit") this.editing.saved(id);
    if (now) this.story.put(now);
    if (by === "restore") this.story.find(id)?.scrollIntoView({ block: "nearest" });
    if (by !== "delete") return;
    this.why.close();
    this.added.close();
    this.story.remove(id);
    this.toast.show(t("Deleted."), () => this.#change("restore", { id }));
  }

  /** The server did not do it, and the page says why. */
  refused({ of, error }) {
    if (of === "edit") this.editing.refused();
    if (of === "setup") this.setup.refused(error.message);
  }

  #explain({ message: id, position, words }) {
    const message = this.story.known.get(id);
    if (message?.active !== position) return;
    this.added.close();
    if (words.length) this.why.show(this.story.find(id), words);
    else this.composer.say(t("Nothing was kept about these words."));
  }

  #tellAdded({ message: id, position, lore }) {
    if (this.story.known.get(id)?.active !== position) return;
    this.why.close();
    if (lore.length) this.added.show(this.story.find(id), lore);
    else this.composer.say(t("No lorebook added anything to this."));
  }

  #do(act, message) {
    if (act === "edit") this.#edit(message);
    else if (act === "copy") this.#copy(chosenOf(message).text);
    else if (act === "pin") this.#change("pin", message, { pinned: !message.pinned });
    else if (act === "branch") this.#send({ type: "branch", message: message.id });
    else if (act === "added") this.#send({ type: "added", message: message.id, position: message.active });
    else if (act === "why") this.#send({ type: "why", message: message.id, position: message.active });
    else this.#change("delete", message);
  }

  #change(type, { id }, more = {}) {
    return this.#send({ type, message: id, revision: this.page.revision(), ...more });
  }

  /** Send what is not kept until the line is back; whether it is on its way. */
  #send(frame) {
    const sent = this.page.wire.send(frame);
    this.composer.say(sent ? "" : t("The line is down: try again when it is back."));
    return sent;
  }

  #edit(message) {
    this.why.close();
    this.added.close();
    this.editing.begin(this.story.find(message.id), message);
    this.prices.tell("edit", message, (words) => this.editing.tellPrice(message, words));
  }

  #hasWhy(message) {
    return chosenOf(message).why ?? (this.#keepsWhy && isTold(message));
  }

  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyByHand(text); // there is no clipboard on pages without https
    }
    this.toast.show(t("Copied."));
  }
}

function copyByHand(text) {
  const box = document.createElement("textarea");
  box.className = "hidden";
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
