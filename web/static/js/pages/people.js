/* The admin's page: times, and the invitation into the clipboard where the browser lets us. */
import { tellTimes } from "../lib/times.js";

tellTimes(document);
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
