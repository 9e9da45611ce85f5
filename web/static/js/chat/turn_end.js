/* What the end of a turn brings besides its messages: the suggestion in the box, the status in its panel, the text for
   screen readers (aria-live), the voice (read_aloud.js), and the notification (lib/notifications.js). The end comes as an event, or in a snapshot
   when the connection was down just then. */

import { Notifications } from "../lib/notifications.js";
import { spokenText } from "./message.js";
import { t } from "../lib/i18n.js";

export class TurnEnd {
  constructor(story, suggestion, statusPanel, readAloud) {
    this.story = story;
    this.suggestion = suggestion;
    this.statusPanel = statusPanel;
    this.readAloud = readAloud;
    this.notifications = new Notifications(story.root, story.root.dataset.chat);
    this.announcer = document.getElementById("announcer");
  }

  /** The last event of a turn has come; its messages are on the page. */
  show({ id, kind }, { type, messages = [], suggestion }) {
    this.#showResults(id, kind, messages, suggestion);
    this.notifications.announce(id, type);
  }

  /** It ended while nothing could be heard; a snapshot says so, with the newest suggestion of the chat. */
  missed({ turn: id, kind, state, messages }, suggestion) {
    const written = messages.map((message) => this.story.known.get(message)).filter(Boolean);
    this.#showResults(id, kind, written, suggestion?.turn === id ? suggestion.text : null);
    this.notifications.announceLate(id, state);
  }

  #showResults(id, kind, messages, suggested) {
    const inBox = this.suggestion.finish(id, suggested);
    this.statusPanel.show(this.story.status);
    if (kind === "status" && this.story.status) this.statusPanel.open(true);
    this.readAloud.replies(messages);
    const lines = [...messages.map(spokenText), inBox ? t("A suggestion is in the box.") : ""];
    this.announcer.textContent = lines.filter(Boolean).join("\n");
  }
}
