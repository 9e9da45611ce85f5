/* Jumps to a message of the story (deep link): /chat/...#m12 shows the message with the ordinal 12, and marks it.

   What it does: a message that is not on the page is fetched with those around it (GET /chat/<id>/passage) and put before
   the newest ones. What lies between is a gap: a button above the message behind it brings the next ones.
   What it refuses to know: search, and how a message looks. */

import { listen } from "../lib/page_scope.js";
import { t } from "../lib/i18n.js";

const JSON_ONLY = { headers: { Accept: "application/json" } };

/** Follow the address of the page, now and whenever its hash changes. `say(sentence)` shows what went wrong. */
export class Jump {
  constructor(story, chat, say) {
    [this.story, this.chat, this.say] = [story, chat, say];
    listen(window, "hashchange", () => this.follow());
    this.follow();
  }

  async follow() {
    const wanted = /^#m(\d{1,10})$/.exec(location.hash)?.[1];
    if (wanted === undefined) return;
    const ordinal = Number(wanted);
    if (this.#show(ordinal)) return;
    if (this.story.list.querySelector(".gap")) location.reload(); // there is room for one gap, before the newest messages
    else if (await this.#bring(ordinal)) this.#show(ordinal);
  }

  /** Whether the message is on the page: then it is in view now. */
  #show(ordinal) {
    const message = [...this.story.known.values()].find((one) => one.ordinal === ordinal);
    if (message) this.story.reveal(message.id);
    return Boolean(message);
  }

  async #bring(ordinal) {
    const passage = await this.#ask(`at=${ordinal}`);
    const missing = passage?.messages.filter((one) => !this.story.known.has(one.id)) ?? [];
    if (!passage || !missing.length) return false;
    const behind = this.story.list.firstElementChild;
    const reaches = passage.messages.length > missing.length || !passage.later;
    this.story.prependOlder(missing);
    this.story.setEarlier(Number(passage.earlier));
    if (!reaches) this.#gap(behind, missing.at(-1).ordinal);
    return true;
  }

  /** A button above `behind`: messages after `ordinal` are not on the page. */
  #gap(behind, ordinal) {
    const button = document.createElement("button");
    button.textContent = t("Show the messages in between");
    button.classList.add("quiet", "gap");
    button.dataset.testid = "gap";
    let last = ordinal;
    button.addEventListener("click", async () => {
      const passage = await this.#ask(`after=${last}`);
      if (!passage) return;
      const missing = passage.messages.filter((one) => !this.story.known.has(one.id));
      this.story.insertBefore(missing, behind);
      last = passage.messages.at(-1)?.ordinal ?? last;
      if (missing.length < passage.messages.length || !passage.later) button.remove();
    });
    behind.prepend(button);
  }

  async #ask(what) {
    const answer = await fetch(`/chat/${this.chat}/passage?${what}`, JSON_ONLY).catch(() => null);
    if (answer?.ok) return answer.json();
    this.say(t("That part of the story did not come: try again."));
    return null;
  }
}
