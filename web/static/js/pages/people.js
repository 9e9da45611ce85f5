/* The admin's page of people: times, and copying the invitation link where the browser has a clipboard. */
import { fillTimes } from "../lib/times.js";
import { focusWrong } from "../lib/wrong_field.js";

fillTimes(document);
for (const link of document.querySelectorAll("[data-link]")) link.addEventListener("focus", () => link.select());
for (const copy of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(copy.parentElement.querySelector("[data-link]").value);
    copy.textContent = copy.dataset.done;
  });
}
focusWrong();
