/* The offline page: loads again when the server answers, or when the device says that it is on a network again. */

const EVERY_MS = 5_000;

async function look() {
  try {
    if ((await fetch("/healthz", { cache: "no-store" })).ok) location.reload();
  } catch { /* still away */ }
}

addEventListener("online", look);
setInterval(look, EVERY_MS);
