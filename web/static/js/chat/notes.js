/* The notes of a story: what the model keeps of messages that have left its memory. Folded cards between the messages,
   and the same cards in "What the story knows", with pinned messages and what was remembered lately.
   notes: StoryNote.as_dict (store/views/memory.py). `send(frame)`: whether it is on its way.
   Loaded once a story has forgotten something, or when its panel is opened (message_actions.js).
   What it refuses to know: when a note is written; how a message looks. */

import { activeAlternative } from "./message.js";
import { t, tn } from "../lib/i18n.js";

const MOST = 20; // pinned or remembered messages in the panel
const EXCERPT = 120; // letters of a pinned message

export class Notes {
  #notes = [];
  #editing = ""; // the id of the note that is being edited

  constructor(page, send, toast) {
    [this.page, this.story, this.send, this.toast] = [page, page.story, send, toast];
    this.blank = document.getElementById("note-blank");
    this.panel = document.getElementById("knows");
    this.own = document.getElementById("knows-notes");
    this.none = document.getElementById("knows-none");
    this.pinned = document.getElementById("knows-pinned");
    this.recalled = document.getElementById("knows-recalled");
    this.switches = [...this.panel.querySelectorAll("[name=switch]")];
    this.panel.addEventListener("keydown", (event) => event.stopPropagation());
    this.panel.addEventListener("click", ({ target }) => {
      if (target === this.panel || target.closest("[data-close], a")) this.panel.close();
    });
    this.panel.addEventListener("change", ({ target }) => target.name === "switch" && this.#switch());
    for (const root of [this.panel, this.story.list]) {
      root.addEventListener("click", ({ target }) => this.#onButton(target.closest("button[data-note-do]")));
    }
    this.story.addEventListener("rows", () => this.#placeCards());
  }

  /** Ask the server for the notes as they are now. */
  ask() {
    this.send({ type: "notes", chat: this.page.chat });
  }

  /** The answer to `notes`, also after a change of one. */
  show(notes) {
    this.#notes = notes;
    this.#placeCards();
    if (this.panel.open) this.#fillPanel();
  }

  /** The chat as it was opened, or set up anew: which switches are on. */
  applySwitches(switches) {
    for (const box of this.switches) box.checked = switches[box.value];
  }

  /** The server did what this window asked for. */
  onChanged({ by, note }) {
    if (by === "edit_note") this.#editing = "";
    if (by === "delete_note") this.toast.show(t("Deleted."), () => this.send({ type: "restore_note", ...this.#of({ id: note }) }));
    if (by === "rewrite_note") this.toast.show(t("It is written again in a quiet moment."));
  }

  open() {
    this.ask();
    this.#fillPanel();
    if (!this.panel.open) this.panel.showModal();
  }

  #fillPanel() {
    this.none.hidden = this.#notes.length > 0;
    this.#keepOpen(this.own, () => this.own.replaceChildren(...this.#notes.map((note) => this.#card(note))));
    const newestFirst = [...this.story.known.values()].sort((one, other) => other.ordinal - one.ordinal);
    this.#list(this.pinned, newestFirst.filter(({ pinned }) => pinned).map((one) => [one.ordinal, `${one.name}: ${activeAlternative(one).text}`]));
    const lately = newestFirst.flatMap((one) => activeAlternative(one).recalled ?? []);
    this.#list(this.recalled, lately.map(({ ordinal, name, excerpt }) => [ordinal, `${name}: ${excerpt}`]));
  }

  /** Links to messages: [ordinal, text]. */
  #list(root, rows) {
    root.parentElement.hidden = !rows.length;
    root.replaceChildren(...rows.slice(0, MOST).map(([ordinal, text]) => {
      const [item, link] = ["li", "a"].map((tag) => document.createElement(tag));
      link.href = `#m${ordinal}`;
      link.textContent = text.length > EXCERPT ? `${text.slice(0, EXCERPT)}…` : text;
      item.append(link);
      return item;
    }));
  }

  /** Put each note above the first message behind those that it stands for, where that one is on the page. */
  #placeCards() {
    const rows = [...this.story.list.children].filter((one) => this.story.known.has(one.dataset.id));
    const ordinalOf = (row) => this.story.known.get(row.dataset.id).ordinal;
    const isFirst = (row) => row === rows[0] && ordinalOf(row) > 0; // what stands before it is not on the page
    const wanted = new Map();
    for (const note of this.#notes) {
      const row = rows.find((one) => ordinalOf(one) > note.last);
      if (row && !(isFirst(row) && ordinalOf(row) !== note.last + 1)) wanted.set(row, [...(wanted.get(row) ?? []), note]);
    }
    for (const row of rows) {
      const root = row.querySelector(".notes");
      const notes = wanted.get(row) ?? [];
      root.hidden = !notes.length;
      this.#keepOpen(root, () => root.replaceChildren(...notes.map((note) => this.#card(note))));
    }
  }

  /** Change cards; those that were unfolded, or being edited, stay so. */
  #keepOpen(root, change) {
    const open = new Set([...root.querySelectorAll(".note-card[open]")].map((card) => card.dataset.note));
    const box = root.querySelector("textarea");
    const draft = box && { note: box.closest(".note-card").dataset.note, text: box.value };
    change();
    for (const card of root.querySelectorAll(".note-card")) {
      card.open = open.has(card.dataset.note);
      if (draft && draft.note === card.dataset.note && this.#editing === draft.note) this.#edit(card, draft.text);
    }
  }

  #card(note) {
    const card = this.blank.content.firstElementChild.cloneNode(true);
    card.dataset.note = note.id;
    card.toggleAttribute("data-stale", note.stale);
    const n = note.last - note.first + 1;
    card.querySelector(".about").textContent = tn("{n} message", "{n} messages", n);
    card.querySelector(".stale").hidden = !note.stale;
    card.querySelector(".stale").textContent = note.by_hand ? t("A message has changed since") : t("To be written again");
    card.querySelector(".held").hidden = !note.pinned;
    card.querySelector(".note-text").textContent = note.text;
    card.querySelector(".from").href = `#m${note.first}`;
    card.querySelector('[data-note-do="pin"]').textContent = note.pinned ? t("Unpin") : t("Pin");
    return card;
  }

  #onButton(button) {
    if (!button) return;
    const card = button.closest(".note-card");
    const note = this.#notes.find(({ id }) => id === card.dataset.note);
    if (!note) return;
    const act = button.dataset.noteDo;
    if (act === "edit") this.#edit(card, note.text);
    else if (act === "cancel") this.#close(card);
    else if (act === "save") this.send({ type: "edit_note", ...this.#of(note), text: card.querySelector("textarea").value });
    else if (act === "pin") this.send({ type: "pin_note", ...this.#of(note), pinned: !note.pinned });
    else if (act === "rewrite") this.send({ type: "rewrite_note", ...this.#of(note) });
    else this.send({ type: "delete_note", ...this.#of(note) });
  }

  #edit(card, text) {
    this.#editing = card.dataset.note;
    card.dataset.mode = "edit";
    const box = document.createElement("textarea");
    box.maxLength = 2000;
    box.value = text;
    box.dataset.testid = "note-box";
    box.setAttribute("aria-label", t("What happened before"));
    box.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") this.#close(card);
    });
    card.querySelector(".note-text").replaceChildren(box);
    box.focus();
  }

  #close(card) {
    this.#editing = "";
    delete card.dataset.mode;
    const note = this.#notes.find(({ id }) => id === card.dataset.note);
    card.querySelector(".note-text").textContent = note?.text ?? "";
    card.querySelector("summary").focus();
  }

  #of({ id }) {
    return { note: id, revision: this.page.revision };
  }

  #switch() {
    const memory = Object.fromEntries(this.switches.map((box) => [box.value, box.checked]));
    this.send({ type: "setup", chat: this.page.chat, memory });
  }
}
