/* The chat page's conductor: what the wire says goes to the story, what the person does goes to the wire.

   Nothing is lost: a message is kept (keep.js) until the server acknowledges it and sent again with the SAME turn id after
   every reconnect; the server makes one turn of it however often it comes. After a reconnect the page opens the chat
   again from the last event it has. Sequence numbers: web/live/relay.py fills gaps; a gap here means: open again. */

import { Composer } from "./composer.js";
import { keep, recall } from "./keep.js";
import { newTurnId } from "./stages.js";
import { Story } from "./story.js";
import { Wire } from "./wire.js";

const story = new Story();
const chat = story.root.dataset.chat;
const composer = new Composer(chat);
const wire = new Wire("/ws");
const announcer = document.getElementById("announcer");
const offline = document.getElementById("offline");
const trouble = document.getElementById("trouble");

let revision = Number(story.root.dataset.revision);
let turn = null; // { id, kind, attempt, seq, text, length, state }
let unsent = recall("unsent", chat); // { id, kind, text, revision, handed }

let opening = false; // asked for a snapshot, which has not come yet

function open() {
  if (opening) return;
  opening = wire.send({ type: "open", chat, turn: turn?.id ?? null, after: turn?.seq ?? 0 });
}

function setBusy() {
  const busy = Boolean(turn || unsent);
  composer.setBusy(busy);
  story.setBusy(busy);
}

/* From the server */

const heard = {
  opened(message) {
    opening = false;
    revision = message.revision;
    if (turn && (turn.id !== message.turn?.id || message.after === 0)) turn = { ...turn, seq: 0 };
    if (turn?.id !== message.turn?.id) turn = null;
    story.sync(message.messages, message.earlier);
    if (message.turn) resume(message.turn);
    else if (message.unanswered) story.showFailure(message.unanswered.error.message);
    else story.hideFailure();
    settleUnsent(message);
    setBusy();
  },

  ack(message) {
    if (unsent?.id === message.id) {
      story.dropPending(unsent.id);
      forget();
    }
    revision = Math.max(revision, message.revision);
    if (message.message) story.put(message.message);
    if (["done", "failed", "cancelled"].includes(message.state)) open();
    else if (!turn) begin({ id: message.id, kind: message.message ? "chat" : "retry", state: message.state, attempt: 0 });
    setBusy();
  },

  refused(message) {
    if (message.id === null) opening = false;
    if (unsent && message.id === unsent.id) {
      story.dropPending(unsent.id);
      if (unsent.text) composer.giveBack(unsent.text);
      forget();
      open();
    }
    composer.say(message.error.message);
    setBusy();
  },

  changed(message) {
    if (!unsent && (message.revision > revision || (message.turn && message.turn !== turn?.id))) open();
  },

  place(message) {
    if (turn?.id === message.turn && ["waiting", "queued", "sending"].includes(turn.state)) showStage(message);
  },

  backstage(message) {
    trouble.hidden = !message.trouble;
    trouble.dataset.trouble = message.trouble;
  },

  state(event) {
    showStage(event);
  },

  text(event) {
    if (event.attempt > turn.attempt && event.offset === 0) [turn.text, turn.length] = ["", 0];
    turn.attempt = event.attempt;
    if (event.offset < turn.length) turn.text = [...turn.text].slice(0, event.offset).join("");
    turn.text += event.text;
    turn.length = event.offset + [...event.text].length;
    if (turn.state !== "writing") showStage({ state: "writing" });
    story.liveText(turn.text);
  },

  done(event) {
    end(event.message, event.revision);
    announcer.textContent = plain(event.message);
  },

  cancelled(event) {
    const nothing = !event.message && turn.kind === "chat";
    end(event.message, event.revision);
    if (nothing) story.showFailure("You stopped this before there were any words.");
  },

  failed(event) {
    end(null, event.revision);
    story.showFailure(event.error.message);
  },
};

function plain(message) {
  return `${message.name}: ${message.alternatives[message.active].text.replaceAll("*", "")}`;
}

/** Events with a sequence number belong to a turn and come in order; anything else is a message for the page. */
function hear(message) {
  if (message.seq === undefined) return heard[message.type]?.(message);
  if (message.turn !== turn?.id) return open(); // begun in another window
  if (message.seq <= turn.seq) return undefined;
  if (message.seq > turn.seq + 1) return open();
  turn.seq = message.seq;
  return heard[message.type]?.(message);
}

function begin({ id, kind, state, attempt, partial = "" }) {
  turn = { id, kind, attempt, state, seq: 0, text: partial, length: [...partial].length };
  story.beginLive(kind);
  showStage({ state });
  if (partial) story.liveText(partial);
}

/** The turn of a fresh snapshot: go on where we were, or begin anew. */
function resume(fresh) {
  if (!turn) return begin(fresh);
  story.beginLive(turn.kind);
  showStage({ state: fresh.state });
  if (turn.text) story.liveText(turn.text);
  return undefined;
}

function end(message, newRevision) {
  turn = null;
  revision = Math.max(revision, newRevision ?? 0);
  story.finishLive(message);
  setBusy();
}

function showStage(stage) {
  if (turn) turn.state = stage.state;
  story.stage(stage);
}

/* From the person */

function submit(kind, text = "") {
  if (turn || unsent) return composer.say("A reply is still on its way: wait for it or press stop.");
  composer.say();
  story.hideFailure();
  unsent = { id: newTurnId(), kind, text, revision };
  keep("unsent", chat, unsent);
  showUnsent();
  sendUnsent();
  setBusy();
  return undefined;
}

function sendUnsent() {
  const { id, kind, text, revision: seen } = unsent;
  if (!wire.send({ type: "submit", chat, id, kind, text, revision: seen })) return;
  unsent.handed = true; // from now on the server may have it
  keep("unsent", chat, unsent);
}

/** Take back a message that surely never left this browser. */
function unsend() {
  const { id, text } = unsent;
  story.dropPending(id);
  forget();
  if (text) composer.giveBack(text);
  setBusy();
}

function showUnsent() {
  if (unsent.text) story.putPending(unsent.id, unsent.text);
  if (!wire.up) composer.say("Not sent yet: it goes out as soon as the line is back.", true);
}

/** After a snapshot: was the message that we are not sure of received? If not, it is sent again under the same id. */
function settleUnsent(snapshot) {
  if (!unsent) return;
  const known = snapshot.messages.some((message) => message.turn_id === unsent.id);
  if (known || snapshot.turn?.id === unsent.id) {
    story.dropPending(unsent.id);
    forget();
  } else {
    showUnsent();
    sendUnsent();
  }
}

function forget() {
  unsent = null;
  keep("unsent", chat, null);
  composer.say();
}

function stop() {
  if (unsent && !unsent.handed) return unsend();
  if (!turn) return undefined;
  if (wire.send({ type: "stop", turn: turn.id })) story.stage({ state: "stopping" });
  else composer.say("The line is down: stop again when it is back.");
  return undefined;
}

function retry() {
  if (!turn && !unsent && story.canRetry) submit("retry");
}

function choose(id, step) {
  const message = story.known.get(id);
  if (!message || turn || unsent) return;
  wire.send({ type: "choose", message: id, position: message.active + step, revision });
}

async function showEarlier() {
  const answer = await fetch(`/chat/${chat}/messages?before=${story.firstOrdinal}`, { headers: { Accept: "application/json" } });
  if (!answer.ok) return composer.say("The earlier messages did not come: try again.");
  const { messages, earlier } = await answer.json();
  story.prepend(messages);
  story.setEarlier(earlier);
  return undefined;
}

/** The handshake does not say why it was refused; a page does. */
async function amISignedIn() {
  const answer = await fetch(`/chat/${chat}/messages?before=0`, { headers: { Accept: "application/json" } }).catch(() => null);
  if (answer && (answer.status === 401 || answer.status === 404)) location.reload();
}

composer.addEventListener("send", (event) => {
  if (!turn && !unsent) composer.clear();
  submit("chat", event.detail);
});
composer.addEventListener("stop", stop);
composer.addEventListener("retry", retry);
document.getElementById("failure-retry").addEventListener("click", retry);
document.getElementById("earlier").addEventListener("click", showEarlier);
document.getElementById("reconnect").addEventListener("click", () => wire.now());
story.list.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  const id = button?.closest(".message").dataset.id;
  if (button?.dataset.act === "retry") retry();
  if (button?.dataset.act === "previous") choose(id, -1);
  if (button?.dataset.act === "next") choose(id, 1);
});

wire.addEventListener("up", () => {
  offline.hidden = true;
  document.body.dataset.line = "up";
  opening = false;
  open();
});
wire.addEventListener("down", ({ detail }) => {
  document.body.dataset.line = "down";
  offline.hidden = detail.tries < 2; // a hiccup is not worth a banner
  document.getElementById("offline-when").textContent = `Trying again in ${Math.ceil(detail.pause)} s.`;
  if (detail.tries === 3) amISignedIn();
});
wire.addEventListener("message", ({ detail }) => hear(detail));
if (unsent) showUnsent();
setBusy();
wire.connect();
