/* The chat page's conductor: what the wire says goes to the story, what the person does goes to the wire.

   Nothing is lost: a command is kept (outbox.js) until the server acknowledges it and sent again with the SAME turn id
   after every reconnect. After a reconnect the page opens the chat again from the last event it has. Sequence numbers:
   web/live/event_cursor.py fills gaps; a gap here means: open again. */

import { Announcement } from "../lib/announcement.js";
import { Composer } from "./composer.js";
import { Ended } from "./turn_end.js";
import { Hand } from "./message_actions.js";
import { offerEarlier, watchLine } from "./connection_banner.js";
import { sayMinutesLeft } from "./daily_limit.js";
import { Outbox } from "./outbox.js";
import { StatusPanel } from "./status_panel.js";
import { Story } from "./story.js";
import { Suggestion } from "./suggestion.js";
import { Tools } from "./tools.js";
import { Turn } from "./turn.js";
import { Wire } from "./socket.js";
import { t } from "../lib/i18n.js";

const story = new Story();
const chat = story.root.dataset.chat;
const composer = new Composer(chat);
const tools = new Tools(chat, composer);
const suggestion = new Suggestion(composer, chat);
const statusPanel = new StatusPanel(chat);
const wire = new Wire("/ws");
const outbox = new Outbox(chat, wire);
const hand = new Hand(story, composer, { wire, chat, isBusy, revision: () => revision });
const ended = new Ended(story, suggestion, statusPanel);
const announcement = new Announcement(document.getElementById("announcement"));
const trouble = document.getElementById("trouble");

let revision = Number(story.root.dataset.revision);
let turn = null; // see turn.js
let opening = false; // asked for a snapshot, which has not come yet
let newest = 0; // the newest revision that was heard of

function isBusy() {
  return Boolean(turn || outbox.held);
}

/** The turn whose end this page wants to hear: of one that was only just sent, nothing may have been heard yet. */
function waited() {
  return turn?.id ?? (outbox.held?.handed ? outbox.held.id : null);
}

/** Ask for a snapshot, and how that turn has ended, if it has. */
function open() {
  if (opening) return;
  opening = wire.send({ type: "open", chat, turn: waited(), after: turn?.seq ?? 0, stream: turn?.stream ?? null });
}

function setBusy() {
  for (const part of [composer, tools, story]) part.setBusy(isBusy());
  if (!turn) tools.tell(outbox.held?.kind, { state: "sending" });
}

/** Show the turn as it is now. */
function showTurn() {
  story.showTurn(turn);
  tools.tell(turn.part.kind, turn.stage);
  if (turn.part.kind === "suggest") suggestion.stream(turn.id, turn.part.text);
}

function stage(fresh) {
  if (!turn) return;
  turn.stage = fresh;
  showTurn();
}

/* From the server */

const heard = {
  opened(message) {
    opening = false;
    document.body.dataset.line = "up"; // and the page knows what the server knows
    revision = message.revision;
    const late = message.ended?.turn === waited() ? message.ended : null; // not if its end came before the snapshot
    if (turn?.id !== message.turn?.id) turn = null;
    else if (turn && message.after === 0) turn.seq = 0;
    story.sync(message.messages, message.earlier);
    hand.setUp(message);
    statusPanel.show(story.status);
    if (late) ended.missed(late, message.suggestion);
    if (message.turn) resume(message.turn);
    else if (message.unanswered) story.showFailure(message.unanswered.error.message, message.unanswered.kind);
    else story.hideFailure();
    if (message.suggestion) suggestion.arrive(message.suggestion.turn, message.suggestion.text);
    settle(message);
    setBusy();
    if (message.revision < newest) open(); // something was changed while this was on its way
  },

  ack(message) {
    let kind = message.message ? "chat" : "retry";
    if (outbox.held?.id === message.id) {
      kind = outbox.held.kind;
      delivered();
    }
    revision = Math.max(revision, message.revision);
    if (message.message) story.put(message.message);
    sayMinutesLeft(message.minutes_left);
    if (["done", "failed", "cancelled"].includes(message.state)) open();
    else if (!turn) begin({ id: message.id, kind, state: message.state });
    setBusy();
  },

  refused(message) {
    hand.refused(message);
    if (message.id === null && (message.of ?? "open") === "open") {
      opening = false;
      if (outbox.held) setTimeout(open, 2000); // not now: it goes out again after the next snapshot
    }
    if (message.id !== null && message.id === outbox.held?.id) {
      const { text } = delivered();
      if (text) composer.giveBack(text);
      open();
    }
    composer.say(message.error.message, { stale: ["moved_on", "bad_frame"].includes(message.error.code) });
    setBusy();
  },

  changed(message) {
    newest = Math.max(newest, message.revision);
    if (message.by) hand.done(message);
    if (!outbox.held && (message.revision > revision || (message.turn && message.turn !== turn?.id))) open();
  },

  ...hand.heard,

  place(message) {
    if (turn?.id === message.turn && ["waiting", "queued", "sending"].includes(turn.stage.state)) stage(message);
  },

  service_status(message) {
    trouble.hidden = !message.trouble;
    trouble.dataset.trouble = message.trouble;
    announcement.show(message.announcement);
  },

  state: stage,

  part(event) {
    turn.begin(event);
    showTurn();
  },

  text(event) {
    turn.hear(event);
    showTurn();
  },

  done: end,

  cancelled(event) {
    const { kind } = turn;
    if (!end(event) && kind === "chat") story.showFailure(t("You stopped this before there were any words."), kind);
  },

  failed(event) {
    const { kind } = turn;
    end(event);
    story.showFailure(event.error.message, kind);
  },
};

/** Events with a sequence number belong to a turn and come in order; anything else is a message for the page. */
function hear(message) {
  if (message.seq === undefined) return heard[message.type]?.(message);
  if (message.turn !== turn?.id) return open(); // begun in another window
  if (message.seq <= turn.seq) return undefined;
  if (message.seq > turn.seq + 1) return open();
  [turn.seq, turn.stream] = [message.seq, message.stream];
  return heard[message.type]?.(message);
}

function begin(fresh) {
  turn = new Turn(fresh);
  showTurn();
}

/** The turn of a fresh snapshot: go on where we were, or begin anew. */
function resume(fresh) {
  if (!turn) return begin(fresh);
  return stage({ state: fresh.state });
}

/** The turn has ended; whether anything came of it. */
function end(event) {
  const was = turn;
  const { messages = [] } = event;
  turn = null;
  revision = Math.max(revision, event.revision ?? 0);
  story.finish(messages);
  ended.heard(was, event);
  setBusy();
  return Boolean(messages.length || event.suggestion);
}

/* From the person */

function submit(kind, text = "", then = []) {
  if (isBusy()) return composer.say(t("A reply is still on its way: wait for it or press stop."));
  composer.say();
  story.hideFailure();
  outbox.put(kind, text, then, revision);
  showUnsent();
  outbox.send();
  setBusy();
  return undefined;
}

function showUnsent() {
  const { id, kind, text } = outbox.held;
  if (kind === "chat") story.putPending(id, text);
  if (!wire.up) composer.say(t("Not sent yet: it goes out as soon as the line is back."), { calm: true });
}

/** What was held has arrived, was refused or was taken back. Returns it. */
function delivered() {
  const was = outbox.forget();
  story.dropPending(was.id);
  composer.say();
  return was;
}

/** After a snapshot: was the command that we are not sure of received? If not, it is sent again under the same id. */
function settle(snapshot) {
  if (!outbox.held) return;
  const { id } = outbox.held;
  if ([snapshot.turn?.id, snapshot.ended?.turn].includes(id) || snapshot.messages.some((message) => message.turn_id === id)) {
    delivered();
  } else {
    showUnsent();
    outbox.send();
  }
}

function stop() {
  if (outbox.held && !outbox.held.handed) {
    const { text } = delivered(); // it surely never left this browser
    if (text) composer.giveBack(text);
    return setBusy();
  }
  if (!turn) return undefined;
  if (wire.send({ type: "stop", turn: turn.id })) stage({ state: "stopping" });
  else composer.say(t("The line is down: stop again when it is back."));
  return undefined;
}

function retry() {
  if (!isBusy() && story.canRetry) submit("retry");
}

/** The other wordings of a message; beyond the newest one of the last message there is a new one. */
function swipe(message, step) {
  if (!message || isBusy()) return;
  const position = message.active + step;
  if (position >= message.alternatives.length) {
    if (message === story.last) retry();
  } else if (position >= 0) {
    wire.send({ type: "choose", message: message.id, position, revision });
  }
}

composer.addEventListener("send", ({ detail: text }) => {
  if (!text) return submit("continue");
  if (!isBusy()) composer.fill("");
  return submit("chat", text, tools.then);
});
composer.addEventListener("stop", stop);
composer.addEventListener("retry", retry);
composer.addEventListener("continue", () => submit("continue"));
composer.addEventListener("edit", () => hand.editLast());
composer.addEventListener("swipe", ({ detail: step }) => story.last?.role !== "user" && swipe(story.last, step));
tools.addEventListener("ask", ({ detail: { kind, words } }) => {
  const text = words ? composer.text.trim() : "";
  if (text && !isBusy()) composer.fill("");
  submit(kind, text);
});
document.getElementById("failure-retry").addEventListener("click", () => {
  const { kind } = story.failure.dataset;
  submit(kind === "chat" ? "retry" : kind, "", kind === "chat" ? tools.then : []);
});
story.addEventListener("act", ({ detail: { act, message, button } }) => {
  if (act === "retry") retry();
  else if (act === "menu") hand.openMenu(message, button);
  else swipe(message, act === "next" ? 1 : -1);
});

offerEarlier(story, chat, (words) => composer.say(words));
watchLine(wire, chat, () => {
  opening = false;
  open();
});
wire.addEventListener("message", ({ detail }) => hear(detail));
if (outbox.held) showUnsent();
setBusy();
wire.connect();
