/* The settings page: the browser's permission to notify is asked for when the switch is set, and the sound is heard
   when it is chosen. Without a permission the switch goes back, with the reason beside it. */

import { Chime } from "../lib/sound.js";
import { t } from "../lib/i18n.js";

const notify = document.getElementById("notify");
const hint = document.getElementById("notify-hint");
const sound = document.getElementById("sound");
const chime = new Chime();

/** Whether notifications can be shown now; says why not. */
async function allowed() {
  if (!globalThis.Notification) {
    hint.textContent = t("This browser has no notifications for this page: they need an https address.");
    return false;
  }
  const answer = await Notification.requestPermission();
  hint.textContent = answer === "granted" ? "" : t("This browser does not let this page notify you.");
  return answer === "granted" && isPossible();
}

/** Some phones allow notifications and have none for pages. One that is closed at once tells. */
function isPossible() {
  try {
    new Notification(document.title, { tag: "test", silent: true }).close();
    return true;
  } catch {
    hint.textContent = t("This browser cannot show notifications of a page. The sound works.");
    return false;
  }
}

notify.addEventListener("change", async () => {
  if (notify.checked) notify.checked = await allowed();
  else hint.textContent = "";
});
sound.addEventListener("change", () => sound.checked && chime.play());
if (notify.checked && globalThis.Notification?.permission !== "granted") {
  hint.textContent = t("Not allowed in this browser yet: switch it off and on again.");
}
