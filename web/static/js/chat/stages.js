/* The stages of a turn (queued, waking, reading, writing) in words for people; kinds of turns; turn ids. */

import { t, tn } from "../lib/i18n.js";

/** Kinds whose result is a message of the story. The others: "suggest" (goes into the box) and "status" (into the panel). */
const MESSAGE_KINDS = new Set(["chat", "retry", "continue", "narrate"]);

export const writesMessage = (kind) => MESSAGE_KINDS.has(kind);

/** stage: { state, ahead?, eta_s?, done?, total? } -> a few words. */
export function stageText(stage) {
  switch (stage.state) {
    case "sending": return t("sending");
    case "waiting": return troubleText() ?? t("waiting for a free place");
    case "queued": return troubleText() ?? queueText(stage);
    case "waking": return t("waking up");
    case "reading": return stage.total ? t("reading, {percent} %", { percent: percentOf(stage) }) : t("reading");
    case "writing": return t("writing");
    case "stopping": return t("stopping");
    default: return t("getting ready");
  }
}

/** Why nothing goes on just now, if the service has said so: a pause, or nobody there to reply. */
function troubleText() {
  const outage = document.getElementById("outage");
  if (!outage || outage.hidden) return null;
  switch (outage.dataset.outage) {
    case "paused": return t("paused: goes on later");
    case "model": return t("waiting for the new model");
    default: return t("waiting for the storyteller");
  }
}

function queueText({ ahead, eta_s: eta }) {
  const place = placeText(ahead ?? null);
  return eta ? t("{place}, about {seconds} s", { place, seconds: Math.max(1, Math.round(eta)) }) : place;
}

function placeText(ahead) {
  if (ahead === null) return t("in line");
  return ahead === 0 ? t("next in line") : tn("{n} person ahead", "{n} people ahead", ahead);
}

const percentOf = ({ done = 0, total }) => Math.round((100 * done) / total);

/** A new id for a turn: 32 hex characters. */
export function newTurnId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
