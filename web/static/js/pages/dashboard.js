/* The admin's dashboard: polls the server every few seconds and replaces the pieces that changed. No polling while the page
   is hidden. A piece that has the keyboard focus or an open <details> is not replaced until it is left. */
import { LOCALE, fillTimes } from "../lib/times.js";
import { showOutage } from "../lib/outage.js";

const REFRESH_MS = 2500;
const board = document.getElementById("board");
const fresh = document.getElementById("fresh");
const outage = document.getElementById("outage");
const shown = new Map();
let timer = 0;

const inUse = (place) => place.contains(document.activeElement) || Boolean(place.querySelector("details[open]"));

function putPiece(name, html) {
  const place = board.querySelector(`[data-piece="${name}"]`);
  if (!place || shown.get(name) === html || inUse(place)) return;
  shown.set(name, html);
  place.innerHTML = html; // from templates/_dashboard.html, which escapes every name
}

function showFreshness(well) {
  const clock = new Date().toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  fresh.hidden = false;
  if (well) fresh.textContent = `${fresh.dataset.live} · ${clock}`;
  else if (fresh.dataset.well !== "false") fresh.textContent = `${fresh.dataset.stale} ${clock}`;
  fresh.dataset.well = well;
}

async function refresh() {
  const answer = await fetch(board.dataset.now, { headers: { Accept: "application/json" } }).catch(() => null);
  showFreshness(Boolean(answer?.ok));
  if (answer?.status === 401 || answer?.status === 403) return; // signed out: nothing more to be seen here
  if (answer?.ok) {
    const now = await answer.json();
    for (const [name, html] of Object.entries(now.pieces)) putPiece(name, html);
    showOutage(outage, now.trouble, now.change_s);
  }
  scheduleRefresh();
}

function scheduleRefresh() {
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(refresh, REFRESH_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.visibilityState === "visible") refresh();
});
fillTimes(document);
scheduleRefresh();
