/* The commands of the person on the chat page: send, stop, retry, continue, narrate, suggest, status, another alternative.

   A command that begins a turn (`#submit`) is idempotent: it stays in the outbox (outbox.js) until the server acknowledges
   it, and goes out again with the SAME turn id after every reconnect. The others (`stop`, `choose`) go straight to the
   socket, once. `page`: the ChatController.
   To add a command: its button in templates/chat.html, the event that it sends here, its frame in
   web/live/protocol/to_server.py, its handler in web/live/commands.py. */

import { t } from "../lib/i18n.js";

export class Commands {
  constructor(page) {
    this.page = page;
    this.#listen();
  }

  #submit(kind, text = "", then = []) {
    if (this.page.isBusy) {
      this.#sayBusy();
      return;
    }
    this.page.composer.showNotice();
    this.page.actions.readAloud.stop();
    this.page.story.hideFailure();
    this.page.outbox.put(kind, text, then, this.page.revision);
    this.showUnsent();
    this.page.outbox.send();
    this.page.updateBusy();
  }

  #sayBusy() {
    this.page.composer.showNotice(t("A reply is still on its way: wait for it or press stop."), { passing: true });
  }

  /** Show the pending command; without a connection, say that it waits. */
  showUnsent() {
    const { id, kind, text } = this.page.outbox.pending;
    if (kind === "chat") this.page.story.putPending(id, text);
    if (!this.page.socket.up) {
      this.page.composer.showNotice(t("Not sent yet: it goes out as soon as the connection is back."), { calm: true });
    }
  }

  /** The pending command has arrived, was refused or was taken back. Returns it. */
  clearOutbox() {
    const command = this.page.outbox.clear();
    this.page.story.dropPending(command.id);
    this.page.composer.showNotice();
    return command;
  }

  /** After a snapshot: send the pending command again, under the same id, unless the server has received it. */
  resendUnlessReceived(snapshot) {
    if (!this.page.outbox.pending) return;
    const { id } = this.page.outbox.pending;
    if ([snapshot.turn?.id, snapshot.ended?.turn].includes(id) || snapshot.messages.some((message) => message.turn_id === id)) {
      this.clearOutbox();
    } else {
      this.showUnsent();
      this.page.outbox.send();
    }
  }

  #stop() {
    if (this.page.outbox.pending && !this.page.outbox.pending.handed) {
      const { kind, text } = this.clearOutbox(); // it surely never left this browser
      if (text && kind !== "retry") this.page.composer.restoreDraft(text);
      this.page.updateBusy();
    } else if (this.page.turn) {
      if (this.page.socket.send({ type: "stop", turn: this.page.turn.id })) this.page.setStage({ state: "stopping" });
      else this.page.composer.showNotice(t("No connection: press stop again when it is back."));
    }
  }

  #retry() {
    if (!this.page.isBusy && this.page.story.canRetry) this.#submit("retry");
  }

  /** The other alternatives of a message; beyond the newest one of the last message there is a new one. */
  #chooseAlternative(message, step) {
    if (!message || this.page.isBusy) return;
    const position = message.active + step;
    if (position >= message.alternatives.length) {
      if (message === this.page.story.last) this.#retry();
    } else if (position >= 0) {
      this.page.socket.send({ type: "choose", message: message.id, position, revision: this.page.revision });
    }
  }

  #sendDraft(text) {
    if (!text) return this.#submit("continue");
    if (!this.page.isBusy) this.page.composer.setDraft("");
    return this.#submit("chat", text, this.page.tools.then);
  }

  /** Another word was picked in a reply: it is told anew from there, unless the story has gone on meanwhile. */
  #goOnFrom({ id, active }, text) {
    const { last } = this.page.story;
    if (last?.id === id && last.active === active) this.#submit("retry", text);
    else this.page.composer.showNotice(t("The story has gone on since: only its last reply can be told anew."));
  }

  /** What is in the box says what the narrator is to tell about. */
  #askFor(kind) {
    const text = kind === "narrate" ? this.page.composer.text.trim() : "";
    if (text && !this.page.isBusy) this.page.composer.setDraft("");
    this.#submit(kind, text);
  }

  #retryFailed() {
    const { kind } = this.page.story.failure.dataset;
    this.#submit(kind === "chat" ? "retry" : kind, "", kind === "chat" ? this.page.tools.then : []);
  }

  #actOnMessage({ act, message, button }) {
    if (act === "retry") this.#retry();
    else if (act === "menu") this.page.actions.openMenu(message, button);
    else this.#chooseAlternative(message, act === "next" ? 1 : -1);
  }

  #listen() {
    const { actions, composer, story, tools } = this.page;
    composer.addEventListener("send", ({ detail: text }) => this.#sendDraft(text));
    composer.addEventListener("stop", () => this.#stop());
    composer.addEventListener("wait", () => this.#sayBusy());
    composer.addEventListener("retry", () => this.#retry());
    composer.addEventListener("continue", () => this.#submit("continue"));
    composer.addEventListener("edit", () => actions.editLast());
    composer.addEventListener("alternative", ({ detail: step }) => {
      if (story.last?.role !== "user") this.#chooseAlternative(story.last, step);
    });
    actions.probabilities.addEventListener("pick", ({ detail: { text, message } }) => this.#goOnFrom(message, text));
    tools.addEventListener("ask", ({ detail }) => this.#askFor(detail));
    document.getElementById("failure-retry").addEventListener("click", () => this.#retryFailed());
    story.addEventListener("act", ({ detail }) => this.#actOnMessage(detail));
  }
}
