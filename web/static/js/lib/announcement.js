/* The announcement, a banner on every page: shown, renewed by the live connection, and dismissed without leaving the page. */

import { load, store } from "./storage.js";

const PUT_AWAY = ["put-away", "house"]; // what another tab has put away need not be shown here again

export class Announcement {
  constructor(form) {
    this.form = form;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#putAway();
    });
  }

  /** `told`: { id, text }, or null when there is none any more. */
  show(told) {
    const { form } = this;
    form.hidden = !told || told.id === load(...PUT_AWAY);
    if (!told || form.elements.id.value === told.id) return;
    form.elements.id.value = told.id;
    form.querySelector("p").textContent = told.text;
  }

  /** The server is told as well, so that the next page comes without it, even if that is asked for at once. If it cannot be
      told, this tab keeps it hidden. */
  #putAway() {
    this.form.hidden = true;
    store(...PUT_AWAY, this.form.elements.id.value);
    fetch(this.form.action, { method: "POST", body: new FormData(this.form), headers: { Accept: "application/json" }, keepalive: true }).catch(() => {});
  }
}
