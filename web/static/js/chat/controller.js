/* The controller of the chat page: dispatches the frames of the server to the parts of the page.

   What it does: HANDLERS is the table of all frames that this page handles (web/live sends them); a frame of another type
   is ignored. After a reconnect the page opens the chat again from the last event that it has; the server replays what is
   missing (`open` and `_fill_gap` in web/live/viewer.py), and a gap in the sequence numbers means here: open again.
   What it refuses to know: what the person asks for (commands.js); how a message, a menu or a panel looks.
   To add a frame: a line in HANDLERS and its method, here or in message_actions.js; on the server its sender in web/live.
   A frame that changes nothing but one part of the page goes to that part straight from HANDLERS. */

import { Announcement } from "../lib/announcement.js";
import { Commands } from "./commands.js";
import { Composer } from "./composer.js";
import { Jump } from "./jump.js";
import { MessageActions } from "./message_actions.js";
import { Outbox } from "./outbox.js";
import { Socket } from "./socket.js";
import { StatusPanel } from "./status_panel.js";
import { Story } from "./story.js";
import { StorySwitcher } from "./switching.js";
import { Suggestion } from "./suggestion.js";
import { Tools } from "./tools.js";
import { Turn } from "./turn.js";
import { TurnEnd } from "./turn_end.js";
import { offerEarlierMessages, watchConnection } from "./connection_banner.js";
import { showMinutesLeft } from "./daily_limit.js";
import { showOutage } from "../lib/outage.js";
import { showWantedModel } from "./wanted_model.js";
import { t } from "../lib/i18n.js";

const TRY_AGAIN_MS = 2000;
const WAITING_STATES = ["waiting", "queued", "sending"];
const END_STATES = ["done", "failed", "cancelled"];

/** type of a frame -> what the page does with it. The last six are events of a turn and come in order (`seq`). */
const HANDLERS = {
  opened: (page, frame) => page.onOpened(frame),
  ack: (page, frame) => page.onAck(frame),
  refused: (page, frame) => page.onRefused(frame),
  changed: (page, frame) => page.onChanged(frame),
  place: (page, frame) => page.onPlace(frame),
  service_status: (page, frame) => page.onServiceStatus(frame),
  branched: (page, frame) => page.actions.goToBranch(frame),
  why: (page, frame) => page.actions.showProbabilities(frame),
  prompt: (page, frame) => page.actions.showPrompt(frame),
  added: (page, frame) => page.actions.showLoreUsed(frame),
  memory: (page, frame) => page.actions.setMemory(frame),
  notes: (page, frame) => page.actions.showNotes(frame),
  note_changed: (page, frame) => page.onNoteChanged(frame),
  setup: (page, frame) => page.actions.applySetup(frame),
  titled: (page, frame) => page.onTitled(frame),
  presets: (page, frame) => page.actions.setup.sampler.own.replace(frame),
  state: (page, event) => page.setStage(event),
  part: (page, event) => page.onPart(event),
  text: (page, event) => page.onText(event),
  done: (page, event) => page.onTurnEnd(event),
  cancelled: (page, event) => page.onCancelled(event),
  failed: (page, event) => page.onFailed(event),
};

export class ChatController {
  turn = null; // the unfinished turn, see turn.js
  #opening = false; // asked for a snapshot, which has not come yet
  #newestRevision = 0; // the newest revision that was heard of
  #answering = ""; // the model that answers, or did last

  /** `listStories()`: show the list of stories beside this one anew. */
  constructor(listStories) {
    this.listStories = listStories;
    this.story = new Story();
    this.chat = this.story.root.dataset.chat;
    this.composer = new Composer(this.chat);
    this.tools = new Tools(this.chat, this.composer);
    this.suggestion = new Suggestion(this.composer, this.chat);
    this.statusPanel = new StatusPanel(this.chat);
    this.socket = new Socket("/ws");
    this.outbox = new Outbox(this.chat, this.socket);
    this.actions = new MessageActions(this);
    this.turnEnd = new TurnEnd(this.story, this.suggestion, this.statusPanel, this.actions.readAloud);
    this.announcement = new Announcement(document.getElementById("announcement"));
    this.outage = document.getElementById("outage");
    this.revision = Number(this.story.root.dataset.revision);
    this.commands = new Commands(this);
  }

  /** Connect; a command that an earlier visit left in the outbox is shown and goes out after the first snapshot. */
  start() {
    offerEarlierMessages(this.story, this.chat, (words) => this.composer.showNotice(words));
    watchConnection(this.socket, this.chat, () => {
      this.#opening = false;
      this.open();
    });
    this.socket.addEventListener("message", ({ detail }) => this.#dispatch(detail));
    if (this.outbox.pending) this.commands.showUnsent();
    this.updateBusy();
    this.socket.connect();
  }

  /** Another story takes the place of this one. */
  end() {
    this.actions.setup.keep();
    this.socket.end();
    this.actions.readAloud.speech.stop();
  }

  /** Whether a turn is under way or a command waits for its acknowledgement. */
  get isBusy() {
    return Boolean(this.turn || this.outbox.pending);
  }

  /* Frames of the server */

  /** A frame with a sequence number is an event of a turn and comes in order; any other is for the page. */
  #dispatch(frame) {
    if (frame.seq !== undefined && !this.#isNextEvent(frame)) return;
    HANDLERS[frame.type]?.(this, frame);
  }

  /** Whether this event follows the last one; opens the chat again when events are missing. */
  #isNextEvent(event) {
    const turn = this.turn;
    if (event.turn === turn?.id && event.seq <= turn.seq) return false;
    if (event.turn !== turn?.id || event.seq > turn.seq + 1) {
      this.open(); // begun in another window, or a gap
      return false;
    }
    [turn.seq, turn.stream] = [event.seq, event.stream];
    return true;
  }

  /** A snapshot: the answer to `open`. */
  onOpened(snapshot) {
    this.#opening = false;
    document.body.dataset.line = "up"; // and the page knows what the server knows
    this.revision = snapshot.revision;
    const late = snapshot.ended?.turn === this.#awaitedTurn ? snapshot.ended : null; // not if its end came before the snapshot
    if (this.turn?.id !== snapshot.turn?.id) this.turn = null;
    else if (this.turn && snapshot.after === 0) this.turn.seq = 0;
    this.story.sync(snapshot.messages, snapshot.earlier);
    this.jump ??= new Jump(this.story, this.chat, (words) => this.composer.showNotice(words));
    this.actions.applySetup(snapshot);
    this.statusPanel.show(this.story.status);
    if (late) this.turnEnd.missed(late, snapshot.suggestion);
    if (snapshot.turn) this.#resume(snapshot.turn);
    else if (snapshot.unanswered) this.story.showFailure(snapshot.unanswered.error.message, snapshot.unanswered.kind);
    else this.story.hideFailure();
    if (snapshot.suggestion) this.suggestion.arrive(snapshot.suggestion.turn, snapshot.suggestion.text);
    this.commands.resendUnlessReceived(snapshot);
    this.updateBusy();
    if (snapshot.revision < this.#newestRevision) this.open(); // something was changed while this was on its way
  }

  /** The server has a command of ours. */
  onAck(ack) {
    let kind = ack.message ? "chat" : "retry";
    if (this.outbox.pending?.id === ack.id) {
      kind = this.outbox.pending.kind;
      this.commands.clearOutbox();
    }
    this.revision = Math.max(this.revision, ack.revision);
    if (ack.message) this.story.put(ack.message);
    showMinutesLeft(ack.minutes_left);
    if (END_STATES.includes(ack.state)) this.open();
    else if (!this.turn) this.#begin({ id: ack.id, kind, state: ack.state });
    this.updateBusy();
  }

  /** A note is as this window asked for. */
  onNoteChanged(frame) {
    this.revision = Math.max(this.revision, frame.revision);
    this.actions.onNoteChanged(frame);
  }

  /** The server did not do what a command asked for. */
  onRefused(refusal) {
    this.actions.onRefused(refusal);
    if (refusal.id === null && (refusal.of ?? "open") === "open") {
      this.#opening = false;
      if (this.outbox.pending) setTimeout(() => this.open(), TRY_AGAIN_MS); // it goes out again after the next snapshot
    }
    if (refusal.id !== null && refusal.id === this.outbox.pending?.id) {
      const { kind, text } = this.commands.clearOutbox();
      if (text && kind !== "retry") this.composer.restoreDraft(text);
      this.open();
    }
    this.composer.showNotice(refusal.error.message, { stale: ["moved_on", "bad_frame"].includes(refusal.error.code) });
    this.updateBusy();
  }

  /** The chat has a newer revision. */
  onChanged(change) {
    this.#newestRevision = Math.max(this.#newestRevision, change.revision);
    const isNews = change.revision > this.revision || (change.turn && change.turn !== this.turn?.id);
    if (change.by) {
      this.revision = Math.max(this.revision, change.revision); // the next command may come before the snapshot
      this.actions.onChanged(change);
    }
    if (!this.outbox.pending && isNews) this.open();
  }

  /** Where a waiting turn stands in its queue. */
  onPlace(place) {
    if (this.turn?.id === place.turn && WAITING_STATES.includes(this.turn.stage.state)) this.setStage(place);
  }

  /** A story of mine has another title, perhaps this one. */
  onTitled({ story, title }) {
    if (story === this.chat) this.actions.setup.applyTitle(title);
    this.listStories();
  }

  /** The status of the service: whether turns can be served, which model serves them, and the announcement. */
  onServiceStatus({ trouble, change_s: seconds, answering, models, announcement }) {
    showOutage(this.outage, trouble, seconds);
    showWantedModel(document.getElementById("wanted-model"), models);
    if (this.#answering && answering && answering !== this.#answering) this.composer.showNotice(t("{name} answers now.", { name: answering }), { passing: true });
    this.#answering = answering || this.#answering;
    this.announcement.show(announcement);
    if (this.turn) this.#showTurn(); // it may wait for another reason now
  }

  /** A `state` event, or a stage that this page knows by itself. */
  setStage(stage) {
    if (!this.turn) return;
    this.turn.stage = stage;
    this.#showTurn();
  }

  onPart(event) {
    this.turn.beginPart(event);
    this.#showTurn();
  }

  onText(event) {
    this.turn.addText(event);
    this.#showTurn();
  }

  /** The turn has ended. Returns whether anything came of it. */
  onTurnEnd(event) {
    const { messages = [] } = event;
    const turn = this.turn;
    this.turn = null;
    this.revision = Math.max(this.revision, event.revision ?? 0);
    this.story.finish(messages);
    this.turnEnd.show(turn, event);
    this.updateBusy();
    return Boolean(messages.length || event.suggestion);
  }

  onCancelled(event) {
    const { kind } = this.turn;
    if (!this.onTurnEnd(event) && kind === "chat") {
      this.story.showFailure(t("You stopped this before there were any words."), kind);
    }
  }

  onFailed(event) {
    const { kind } = this.turn;
    this.onTurnEnd(event);
    this.story.showFailure(event.error.message, kind);
  }

  /* The turn under way */

  /** The turn whose end this page waits for; of one that was only just sent, no event may have come yet. */
  get #awaitedTurn() {
    return this.turn?.id ?? (this.outbox.pending?.handed ? this.outbox.pending.id : null);
  }

  /** Ask for a snapshot, and how the awaited turn has ended, if it has. */
  open() {
    if (this.#opening) return;
    const { seq = 0, stream = null } = this.turn ?? {};
    this.#opening = this.socket.send({ type: "open", chat: this.chat, turn: this.#awaitedTurn, after: seq, stream });
  }

  #begin(turn) {
    this.turn = new Turn(turn);
    this.#showTurn();
  }

  /** The turn of a fresh snapshot: go on where this page was, or begin anew. */
  #resume(turn) {
    if (this.turn) this.setStage({ state: turn.state });
    else this.#begin(turn);
  }

  #showTurn() {
    const { id, part, stage } = this.turn;
    this.story.showTurn(this.turn);
    this.tools.showStage(part.kind, stage);
    if (part.kind === "suggest") this.suggestion.stream(id, part.text);
  }

  /** Enable or disable what only makes sense while nothing is under way. */
  updateBusy() {
    for (const part of [this.composer, this.tools, this.story]) part.setBusy(this.isBusy);
    if (!this.turn) this.tools.showStage(this.outbox.pending?.kind, { state: "sending" });
  }
}

new StorySwitcher((listStories) => {
  const controller = new ChatController(listStories);
  controller.start();
  return controller;
});
