/* What a turn is doing, in words for people; and what turns are made of. Pure. */

/** Kinds whose result is a message of the story. The others: "suggest" (goes into the box) and "status" (into the panel). */
const TELLING = new Set(["chat", "retry", "continue", "narrate"]);

export const tells = (kind) => TELLING.has(kind);

/** stage: { state, ahead?, eta_s?, done?, total? } -> a few words. */
export function stageWords(stage) {
  switch (stage.state) {
    case "sending": return "sending";
    case "waiting": return "waiting for a free place";
    case "queued": return queueWords(stage);
    case "waking": return "waking up";
    case "reading": return stage.total ? `reading, ${Math.round((100 * (stage.done ?? 0)) / stage.total)} %` : "reading";
    case "writing": return "writing";
    case "stopping": return "stopping";
    default: return "getting ready";
  }
}

function queueWords({ ahead, eta_s: eta }) {
  const about = eta ? `, about ${Math.max(1, Math.round(eta))} s` : "";
  if (ahead === undefined || ahead === null) return `in line${about}`;
  if (ahead === 0) return `next in line${about}`;
  return `${ahead} ${ahead === 1 ? "person" : "people"} ahead${about}`;
}

/** A new id for a turn: 32 hex characters. */
export function newTurnId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
