/* The daily limit: a line that says how many minutes are left, once they are few. */

const WARN_BELOW_MINUTES = 10;

/** `left`: whole minutes; null or undefined for whoever has no limit. */
export function showMinutesLeft(left) {
  const line = document.getElementById("minutes-left");
  line.hidden = left === null || left === undefined || left >= WARN_BELOW_MINUTES;
  document.getElementById("minutes-number").textContent = left ?? "";
}
