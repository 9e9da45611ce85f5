/* The voices in the account settings: one for each language, and the pace, all kept in this browser. Browsers may tell
   their voices late ("voiceschanged"). */

import { Speech, PACES, choosePace, chooseVoice, pace, voiceFor, voicesOf } from "../lib/speech.js";
import { t } from "../lib/i18n.js";

const panel = document.getElementById("voices");
const speech = new Speech();

function option(value, label, selected) {
  const one = document.createElement("option");
  [one.value, one.textContent, one.selected] = [value, label, selected];
  return one;
}

function showVoices() {
  for (const field of panel.querySelectorAll("[data-language]")) {
    const { language } = field.dataset;
    const [select, chosen] = [field.querySelector("select"), voiceFor(language)];
    const voices = voicesOf(language).map((voice) => option(voice.voiceURI, voice.name, voice === chosen));
    select.replaceChildren(...(chosen ? voices : [option("", t("none on this device"), true)]));
    select.disabled = field.querySelector("button").disabled = !chosen;
  }
}

function listen(field) {
  const { language } = field.dataset;
  field.querySelector("select").addEventListener("change", ({ target }) => chooseVoice(language, target.value));
  field.querySelector("button").addEventListener("click", ({ target }) => speech.read(target.closest("button").dataset.sample));
}

if (Speech.isThere) {
  panel.hidden = false;
  panel.querySelectorAll("[data-language]").forEach(listen);
  const slider = panel.querySelector("#pace");
  slider.max = PACES.length - 1;
  slider.value = PACES.indexOf(pace());
  const told = () => { slider.nextElementSibling.textContent = `${PACES[slider.value]} ×`; };
  slider.addEventListener("input", () => {
    choosePace(PACES[slider.value]);
    told();
  });
  told();
  showVoices();
  speechSynthesis.addEventListener?.("voiceschanged", showVoices);
  addEventListener("pagehide", () => speech.stop());
}
