/* The banner that says why replies wait: nobody is there, an admin has paused them, or the model is being changed. */

import { t } from "./i18n.js";

/** `trouble`: "" hides it; `seconds`: about how long a change of the model takes. */
export function showOutage(banner, trouble, seconds) {
  banner.hidden = !trouble;
  banner.dataset.outage = trouble;
  if (trouble !== "model") return;
  banner.querySelector(".changes").textContent = t("The server changes its model, about {seconds} s. What you send is kept and will be answered.", { seconds });
}
