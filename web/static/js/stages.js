/* What a turn is doing, in words for people. Pure. */

/** stage: { state, ahead?, eta_s?, done?, total? } -> a short sentence part. */
export function stageWords(stage) {
  switch (stage.state) {
    case "sending": return "sending";
    case "waiting": return "waits for a free place";
    case "queued": return queueWords(stage);
    case "waking": return "is waking up";
    case "reading": return stage.total ? `is reading ${stage.done ?? 0} / ${stage.total}` : "is reading";
    case "writing": return "is writing";
    case "stopping": return "is stopping";
    default: return "is getting ready";
  }
}

function queueWords({ ahead, eta_s: eta }) {
  if (ahead === undefined || ahead === null) return "is in line";
  const about = eta ? `, about ${Math.max(1, Math.round(eta))} s` : "";
  if (ahead === 0) return `is next in line${about}`;
  return `${ahead} ${ahead === 1 ? "person" : "people"} ahead${about}`;
}

/** A new id for a turn: 32 hex characters. */
export function newTurnId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
