/* One message: fills an element made of templates/_message.html with what the server says about it. */

import { factList } from "../lib/fact_list.js";
import { fillTimes } from "../lib/times.js";
import { t } from "../lib/i18n.js";

export const activeAlternative = (message) => message.alternatives[message.active];

/** Whether `message` can be written again or go on: a reply, not a greeting, not the person's own. */
export const isReply = (message) => Boolean(message?.turn_id) && isFromStoryteller(message);

/** Whether somebody of the story says it: the character or the narrator. */
export const isFromStoryteller = (message) => message?.role === "character" || message?.role === "narrator";

/** Beside the person's own message: the picture of their persona of this name, if there is one (store/personas.py). */
export function showOwnFace(element, name) {
  const faces = JSON.parse(document.getElementById("story").dataset.faces);
  const face = Object.hasOwn(faces, name) ? faces[name] : null;
  element.toggleAttribute("data-self", Boolean(face));
  if (face && element.querySelector(".face").getAttribute("src") !== face) element.querySelector(".face").src = face;
}

export function fillMessage(element, message) {
  const alternative = activeAlternative(message);
  element.dataset.id = message.id;
  element.dataset.role = message.role;
  delete element.dataset.pending;
  element.querySelector(".name").textContent = message.name;
  if (message.role === "user") showOwnFace(element, message.name);
  const prose = element.querySelector(".prose");
  if (element.shown !== alternative.html) prose.innerHTML = alternative.html; // rendered and sanitized by the server
  element.shown = alternative.html;
  element.querySelector(".pinned").hidden = !message.pinned;
  element.querySelector(".swipes").hidden = message.alternatives.length < 2;
  element.querySelector(".count").textContent = `${message.active + 1}/${message.alternatives.length}`;
  element.querySelector("time").dataset.epoch = message.created_at;
  fillStatus(element, alternative.status);
  fillReceipt(element, alternative.recalled);
  fillTimes(element);
}

/** What the reply was reminded of: [{ ordinal, name, excerpt }], see worker/prompt/recall.py. */
function fillReceipt(element, recalled) {
  const receipt = element.querySelector(".recalled");
  receipt.hidden = !recalled?.length;
  const links = (recalled ?? []).map(({ ordinal, name, excerpt }) => {
    const link = document.createElement("a");
    link.href = `#m${ordinal}`;
    link.dataset.testid = "recalled-link";
    link.textContent = `${name}: ${excerpt}`;
    return link;
  });
  receipt.replaceChildren(...(links.length ? [document.createTextNode(`${t("Remembered:")} `), ...links] : []));
}

function fillStatus(element, status) {
  const button = element.querySelector('[data-act="status"]');
  const panel = element.querySelector(".facts");
  button.hidden = !status?.length;
  if (!status?.length) panel.hidden = true;
  panel.replaceChildren(...(status?.length ? [factList(status)] : []));
  button.setAttribute("aria-expanded", String(!panel.hidden));
}

/** Open or close the facts below a message. */
export function toggleStatus(element) {
  const panel = element.querySelector(".facts");
  panel.hidden = !panel.hidden;
  element.querySelector('[data-act="status"]').setAttribute("aria-expanded", String(!panel.hidden));
  if (!panel.hidden) panel.scrollIntoView({ block: "nearest" });
}

/** What a finished message sounds like. */
export function spokenText(message) {
  return `${message.name}: ${activeAlternative(message).text.replaceAll("*", "")}`;
}

/** Which buttons make sense. `last`: it is the newest message. */
export function updateButtons(element, message, { busy, last }) {
  const again = last && isReply(message);
  element.querySelector('[data-act="menu"]').hidden = !message;
  const newest = message && message.active + 1 >= message.alternatives.length;
  const retry = element.querySelector('[data-act="retry"]');
  retry.hidden = !again;
  retry.disabled = busy;
  element.querySelector('[data-act="previous"]').disabled = busy || !message || message.active === 0;
  const next = element.querySelector('[data-act="next"]');
  next.disabled = busy || !message || (newest && !again);
  next.setAttribute("aria-label", newest && again ? t("New alternative") : t("Next alternative"));
}
