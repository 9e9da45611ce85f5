/* The actions on a message: edit, copy, pin, branch, delete (one, or all below) and undo, token probabilities, lore used; and the setup of the
   chat. Joins the menu, the editor, the panels and the toast with the frames of web/live/changes.py.
   `page`: the ChatController.
   To add an action: its button in templates/chat.html (data-do) with its drawing in templates/_chat_icons.html, a line in
   openMenu (when it is offered) and in #do (what it sends); for a new frame web/live/changes.py, and for a new answer a
   line in HANDLERS (controller.js). */

import { LoreUsed } from "./lore_used.js";
import { MessageEditor } from "./message_editor.js";
import { MessageMenu } from "./message_menu.js";
import { ReadAloud } from "./read_aloud.js";
import { PromptViewer } from "./prompt_viewer.js";
import { RereadCosts } from "./reread_cost.js";
import { SetupPanel } from "./setup_panel.js";
import { Toast } from "../lib/toast.js";
import { TokenProbabilities } from "./token_probabilities.js";
import { activeAlternative, isFromStoryteller, isReply } from "./message.js";
import { t } from "../lib/i18n.js";

export class MessageActions {
  #keepsProbabilities = false; // of replies that come from now on
  #notes = null; // a promise of notes.js, once it is needed
  #switches = {};

  constructor(page) {
    const { story, composer } = page;
    this.story = story;
    this.composer = composer;
    this.page = page;
    this.menu = new MessageMenu();
    this.editor = new MessageEditor();
    this.probabilities = new TokenProbabilities();
    this.loreUsed = new LoreUsed();
    this.promptViewer = new PromptViewer();
    this.readAloud = new ReadAloud(story, (words) => composer.showNotice(words));
    this.toast = new Toast(composer);
    this.costs = new RereadCosts(story, page.chat);
    document.getElementById("knows-button").addEventListener("click", () => this.#withNotes((notes) => notes.open()));
    story.list.addEventListener("click", ({ target }) => {
      if (target.closest(".memory button")) this.#withNotes((notes) => notes.open());
    });
    this.setup = new SetupPanel((frame) => page.socket.send(frame), page.chat);
    this.setup.addEventListener("over", () => this.#send({ type: "start_over", chat: page.chat }));
    this.menu.addEventListener("choose", ({ detail: { act, message } }) => this.#do(act, message));
    this.editor.addEventListener("save", ({ detail: { message, text, seen } }) => {
      if (!this.#change("edit", message, { text, seen })) this.editor.refused();
    });
    this.editor.addEventListener("gone", ({ detail: text }) => this.#keepWords(text));
    this.editor.addEventListener("close", () => composer.focus());
  }

  /** The chat as it was opened, or set up anew. */
  applySetup(chat) {
    this.#keepsProbabilities = chat.settings.top_n > 0;
    if (chat.memory) this.setMemory(chat.memory);
    this.#switches = chat.switches;
    this.#notes?.then((notes) => notes.applySwitches(chat.switches));
    this.setup.apply(chat);
    this.editor.catchUp((id) => this.story.known.get(id));
    if (chat.type === "setup") this.setup.confirm();
  }

  /** The answer to `branch` and `start_over`: go to the new chat. */
  goToBranch({ chat }) {
    location.assign(`/chat/${chat}`);
  }

  /** Where the model's memory begins now. */
  setMemory(memory) {
    this.costs.memory = memory;
    this.story.setMemory(memory);
    if (memory.from) this.#withNotes((notes) => notes.ask());
  }

  /** The answer to `notes`. */
  showNotes(frame) {
    this.#withNotes((notes) => notes.show(frame.notes));
  }

  /** A note is as this window asked for. */
  onNoteChanged(frame) {
    this.#withNotes((notes) => notes.onChanged(frame));
  }

  /** Open the menu of a message; what changes the story is off while a turn is under way. */
  openMenu(message, button) {
    const now = this.page.isBusy ? "off" : true;
    this.menu.open(message, button, {
      edit: now,
      copy: true,
      aloud: this.readAloud.offer(message),
      pin: now === "off" ? now : message.pinned ? t("Unpin") : t("Pin"),
      branch: true,
      why: this.#hasProbabilities(message),
      prompt: isReply(message),
      added: activeAlternative(message).lore ?? isFromStoryteller(message),
      delete: now,
      below: message === this.story.last ? false : now,
    });
    if (now !== "off") this.costs.show("delete", message, (words) => this.menu.showCost(message, words));
  }

  /** Edit the last message of the person's own. */
  editLast() {
    const mine = [...this.story.known.values()].filter(({ role }) => role === "user");
    const last = mine.sort((one, other) => one.ordinal - other.ordinal).at(-1);
    if (last && !this.page.isBusy) this.#edit(last);
  }

  /** The server did what this window asked for. */
  onChanged({ by, message: id, now }) {
    if (by === "edit") this.editor.saved(id);
    if (now) this.story.put(now);
    if (by === "delete_below") this.toast.show(t("Everything below is deleted."), () => this.#change("restore_below", { id }));
    if (by === "restore") this.story.elementOf(id)?.scrollIntoView({ block: "nearest" });
    if (by !== "delete") return;
    this.probabilities.close();
    this.loreUsed.close();
    this.story.remove(id);
    this.toast.show(t("Deleted."), () => this.#change("restore", { id }));
  }

  /** The server did not do it, and the page says why. */
  onRefused({ of, error }) {
    if (of === "edit") this.editor.refused();
    if (error.code === "message_moved") this.page.open(); // the box shows what it says now
    if (of === "setup") this.setup.refused(error.message);
    if (of === "save_preset" || of === "delete_preset") this.setup.sampler.own.refused(error.message);
  }

  /** The answer to `why`: the words of an alternative with their probabilities. */
  showProbabilities({ message: id, position, words }) {
    const message = this.story.known.get(id);
    if (message?.active !== position) return;
    this.loreUsed.close();
    const canPick = message === this.story.last && isReply(message);
    if (words.length) this.probabilities.show(this.story.elementOf(id), words, canPick ? message : null);
    else this.composer.showNotice(t("No probabilities were kept for this message."));
  }

  /** The answer to `prompt`: what the model read for an alternative. */
  showPrompt({ prompt }) {
    if (prompt) this.promptViewer.show(prompt);
    else this.composer.showNotice(t("What the model read is only kept for the newest replies."), { calm: true });
  }

  /** The answer to `added`: the lorebook entries that an alternative was written with. */
  showLoreUsed({ message: id, position, lore }) {
    if (this.story.known.get(id)?.active !== position) return;
    this.probabilities.close();
    if (lore.length) this.loreUsed.show(this.story.elementOf(id), lore);
    else this.composer.showNotice(t("No lorebook entry was used for this."));
  }

  /** Do something with the notes of the story: most stories have none, so their code comes when it is needed. */
  #withNotes(act) {
    this.#notes ??= import("./notes.js").then(({ Notes }) => {
      const notes = new Notes(this.page, (frame) => this.#send(frame), this.toast);
      notes.applySwitches(this.#switches);
      return notes;
    });
    this.#notes.then(act);
  }

  #do(act, message) {
    if (act === "edit") this.#edit(message);
    else if (act === "copy") this.#copy(activeAlternative(message).text);
    else if (act === "aloud") this.readAloud.toggle(message);
    else if (act === "pin") this.#change("pin", message, { pinned: !message.pinned });
    else if (act === "branch") this.#send({ type: "branch", message: message.id });
    else if (act === "prompt") this.#send({ type: "prompt", message: message.id, position: message.active });
    else if (act === "added") this.#send({ type: "added", message: message.id, position: message.active });
    else if (act === "below") this.#change("delete_below", message);
    else if (act === "why") this.#send({ type: "why", message: message.id, position: message.active });
    else this.#change("delete", message);
  }

  #change(type, { id }, more = {}) {
    return this.#send({ type, message: id, revision: this.page.revision, ...more });
  }

  /** Send what is not kept until the line is back; whether it is on its way. */
  #send(frame) {
    const sent = this.page.socket.send(frame);
    this.composer.showNotice(sent ? "" : t("No connection: try again when it is back."));
    return sent;
  }

  #edit(message) {
    this.probabilities.close();
    this.loreUsed.close();
    this.editor.begin(this.story.elementOf(message.id), message);
    this.costs.show("edit", message, (words) => this.editor.showCost(message, words));
  }

  /** The message was deleted in another window while it was being edited here. */
  #keepWords(text) {
    this.composer.restoreDraft(text);
    this.composer.showNotice(t("This message was deleted in another window: your text is in the box below."));
  }

  #hasProbabilities(message) {
    return activeAlternative(message).why ?? (this.#keepsProbabilities && isFromStoryteller(message));
  }

  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text); // there is no clipboard on pages without https
    }
    this.toast.show(t("Copied."));
  }
}

function copyBySelection(text) {
  const box = document.createElement("textarea");
  box.className = "hidden";
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
