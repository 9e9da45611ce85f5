/* The account settings: asks for the browser's permission when notifications are switched on, and plays the sound when it
   is chosen. Without the permission the switch goes back, with the reason beside it. */

import { Sound } from "../lib/sound.js";
import { focusWrong } from "../lib/wrong_field.js";
import { t } from "../lib/i18n.js";

const notify = document.getElementById("notify");
const hint = document.getElementById("notify-hint");
const sound = document.getElementById("sound");
const replySound = new Sound();

/** Whether notifications can be shown now; says why not. */
async function askPermission() {
  if (!globalThis.Notification) {
    hint.textContent = t("This browser has no notifications for this page: they need an https address.");
    return false;
  }
  const answer = await Notification.requestPermission();
  hint.textContent = answer === "granted" ? "" : t("This browser does not let this page notify you.");
  return answer === "granted" && canNotify();
}

/** Some phones allow notifications and have none for pages. One that is closed at once tells. */
function canNotify() {
  try {
    new Notification(document.title, { tag: "test", silent: true }).close();
    return true;
  } catch {
    hint.textContent = t("This browser cannot show notifications of a page. The sound works.");
    return false;
  }
}

notify.addEventListener("change", async () => {
  if (notify.checked) notify.checked = await askPermission();
  else hint.textContent = "";
});
sound.addEventListener("change", () => sound.checked && replySound.play());
if (notify.checked && globalThis.Notification?.permission !== "granted") {
  hint.textContent = t("Not allowed in this browser yet: switch it off and on again.");
}
focusWrong();
