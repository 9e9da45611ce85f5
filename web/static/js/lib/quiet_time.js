/* Quiet time, said before it is met: the line of templates/_quiet_time.html, kept up to date while the page is open. It
   counts from what the server said: the clock of the device may be another one. Going to another story brings a new line. */

const DAY_S = 86_400;
const EVERY_MS = 5_000;
let line = null;
let opened = 0; // when the line came

/** Seconds until a time of the day that was so many seconds away when the page was opened. */
const until = (seconds) => (((Number(seconds) - (Date.now() - opened) / 1000) % DAY_S) + DAY_S) % DAY_S;

function update() {
  const shown = document.getElementById("quiet-time");
  if (shown !== line) [line, opened] = [shown, Date.now()];
  if (!line) return;
  const minutes = line.querySelector("b");
  const begins = until(line.dataset.begins);
  const left = Math.ceil(begins / 60);
  line.dataset.state = until(line.dataset.ends) < begins ? "now" : left <= Number(line.dataset.soon) ? "soon" : "later";
  if (minutes.textContent !== String(left)) minutes.textContent = left;
}

update();
setInterval(update, EVERY_MS);
