/* The admin's page, kept fresh: every few seconds the pieces that changed are put in their places. Sleeps while nobody
   looks. A piece in which somebody reads with the keyboard, or has opened something, stays until they are done. */
import { LOCALE, tellTimes } from "../lib/times.js";

const EVERY_MS = 2500;
const board = document.getElementById("board");
const fresh = document.getElementById("fresh");
const trouble = document.getElementById("trouble");
const shown = new Map();
let timer = 0;

const inUse = (place) => place.contains(document.activeElement) || Boolean(place.querySelector("details[open]"));

function put(name, html) {
  const place = board.querySelector(`[data-piece="${name}"]`);
  if (!place || shown.get(name) === html || inUse(place)) return;
  shown.set(name, html);
  place.innerHTML = html; // from templates/_dashboard.html, which escapes every name
}

function tell(well) {
  const clock = new Date().toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  fresh.hidden = false;
  if (well) fresh.textContent = `${fresh.dataset.live} · ${clock}`;
  else if (fresh.dataset.well !== "false") fresh.textContent = `${fresh.dataset.stale} ${clock}`;
  fresh.dataset.well = well;
}

async function renew() {
  const answer = await fetch(board.dataset.now, { headers: { Accept: "application/json" } }).catch(() => null);
  tell(Boolean(answer?.ok));
  if (answer?.status === 401 || answer?.status === 403) return; // signed out: nothing more to be seen here
  if (answer?.ok) {
    const now = await answer.json();
    for (const [name, html] of Object.entries(now.pieces)) put(name, html);
    trouble.hidden = !now.trouble;
    trouble.dataset.trouble = now.trouble;
  }
  later();
}

function later() {
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(renew, EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.visibilityState === "visible") renew();
});
tellTimes(document);
later();
