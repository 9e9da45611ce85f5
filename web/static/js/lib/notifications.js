/* Notifications about the end of a turn: a desktop notification while the page is hidden, and a sound; each only if the
   person switched it on in the settings. It says which character has written, never what: others may see it.
   Deduplicated over the windows of a browser: an end that came while the page was offline is announced later only if no
   other window has announced it (the last announced turn is in the storage). */

import { listen } from "./page_scope.js";
import { Sound } from "./sound.js";
import { load, store } from "./storage.js";
import { t } from "./i18n.js";

export class Notifications {
  #shown = null;

  /** `story`: the element that knows what was asked for (data-notify, data-sound). */
  constructor(story, chat) {
    this.story = story;
    this.chat = chat;
    this.sound = "sound" in story.dataset ? new Sound() : null;
    listen(document, "visibilitychange", () => document.hidden || this.#shown?.close());
  }

  /** A turn has ended as `state`: "done", "failed" or "cancelled". */
  announce(turn, state) {
    store("told", this.chat, turn);
    if (state === "cancelled") return;
    const words = state === "failed" ? t("The reply could not be written.") : t("A new reply is there.");
    this.sound?.play();
    if ("notify" in this.story.dataset && document.hidden) this.#notify(words);
  }

  /** It ended while this page could not hear it. */
  announceLate(turn, state) {
    if (turn !== load("told", this.chat)) this.announce(turn, state);
  }

  #notify(body) {
    if (globalThis.Notification?.permission !== "granted") return;
    const icon = document.querySelector("link[rel=icon]").href;
    this.#shown = new Notification(this.story.dataset.character, { body, icon, tag: this.chat, silent: true });
    this.#shown.addEventListener("click", () => {
      window.focus();
      this.#shown.close();
    });
  }
}
