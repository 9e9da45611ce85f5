/* Live pieces of an admin's page: polls the server every few seconds and replaces the pieces that changed. No polling while
   the page is hidden. A piece that has the keyboard focus or an open <details> is not replaced until it is left; only what
   is marked `data-live="NAME"` in it goes on. A list (`data-list="NAME"`) gets and loses whole pieces.
   The server answers {pieces: {NAME: html}, lists: {NAME: [[KEY, html], ...]}, trouble, change_s}; its templates escape every name. */
import { LOCALE, fillTimes } from "./times.js";
import { showOutage } from "./outage.js";

const REFRESH_MS = 2500;
const shown = new WeakMap();

const inUse = (place) => place.contains(document.activeElement) || Boolean(place.querySelector("details[open]"));

function fragmentOf(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  return made.content;
}

function renewMarked(place, html) {
  for (const fresh of fragmentOf(html).querySelectorAll("[data-live]")) {
    place.querySelector(`[data-live="${fresh.dataset.live}"]`)?.replaceWith(fresh);
  }
}

function putPiece(place, html) {
  if (shown.get(place) === html) return;
  if (inUse(place)) {
    renewMarked(place, html);
    return;
  }
  shown.set(place, html);
  place.replaceChildren(fragmentOf(html));
  fillTimes(place);
}

function newEntry(list, key) {
  const entry = document.createElement("li");
  entry.dataset.key = key;
  entry.dataset.testid = list.dataset.entry ?? "entry";
  return entry;
}

function putList(list, rows) {
  const before = new Map([...list.children].map((entry) => [entry.dataset.key, entry]));
  for (const [key, entry] of before) {
    if (!rows.some(([one]) => one === key)) entry.remove();
  }
  rows.forEach(([key, html], place) => {
    const entry = before.get(key) ?? newEntry(list, key);
    if (list.children[place] !== entry && !inUse(entry)) list.insertBefore(entry, list.children[place] ?? null);
    putPiece(entry, html);
  });
}

/** Keep the pieces and lists inside of `board` fresh, from its `data-now`. */
export class LivePieces {
  constructor(board) {
    this.board = board;
    this.fresh = document.getElementById("fresh");
    this.outage = document.getElementById("outage");
    this.timer = 0;
  }

  start() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.timer);
      if (document.visibilityState === "visible") this.refresh();
    });
    fillTimes(document);
    this.scheduleRefresh();
  }

  async refresh() {
    const answer = await fetch(this.board.dataset.now, { headers: { Accept: "application/json" } }).catch(() => null);
    this.showFreshness(Boolean(answer?.ok));
    if (answer?.status === 401 || answer?.status === 403) return; // signed out: nothing more to be seen here
    if (answer?.ok) this.put(await answer.json());
    this.scheduleRefresh();
  }

  put({ pieces = {}, lists = {}, trouble, change_s }) {
    for (const [name, html] of Object.entries(pieces)) {
      const place = this.board.querySelector(`[data-piece="${name}"]`);
      if (place) putPiece(place, html);
    }
    for (const [name, rows] of Object.entries(lists)) {
      const list = this.board.querySelector(`[data-list="${name}"]`);
      if (list) putList(list, rows);
    }
    showOutage(this.outage, trouble, change_s);
  }

  showFreshness(well) {
    const clock = new Date().toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    this.fresh.hidden = false;
    if (well) this.fresh.textContent = `${this.fresh.dataset.live} · ${clock}`;
    else if (this.fresh.dataset.well !== "false") this.fresh.textContent = `${this.fresh.dataset.stale} ${clock}`;
    this.fresh.dataset.well = well;
  }

  scheduleRefresh() {
    clearTimeout(this.timer);
    if (document.visibilityState === "visible") this.timer = setTimeout(() => this.refresh(), REFRESH_MS);
  }
}
