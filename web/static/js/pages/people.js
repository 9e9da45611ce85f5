/* The admin's page of people: times, and copying the invitation link where the browser has a clipboard. */
import { fillTimes } from "../lib/times.js";

fillTimes(document);
const link = document.getElementById("link");
const copy = document.getElementById("copy");

link?.addEventListener("focus", () => link.select());
if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(link.value);
    copy.textContent = copy.dataset.done;
  });
}
