/* A gentle line for who has a daily limit, when little of it is left. */

const FEW = 10;

/** `left`: whole minutes; null or undefined for whoever has no limit. */
export function sayMinutesLeft(left) {
  const line = document.getElementById("minutes-left");
  line.hidden = left === null || left === undefined || left >= FEW;
  document.getElementById("minutes-number").textContent = left ?? "";
}
