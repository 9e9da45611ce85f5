"""One attempt at a claimed turn: load the story, write its parts one after the other with the engine, end it in SQL.

The attempt's number is its fencing token: every change in SQL shows it, and is refused (Stale) once another attempt
owns the turn. endings.py has the table of all ways in which an attempt can end.
Each attempt that died makes the next one more careful: without KV blocks, then with a minimal context, then none.
What it refuses to know: queues, leases, which other turns run; prompts (worker/prompt/), engine events
(reply_collector.py), what an ending changes and announces (endings.py).
"""

from __future__ import annotations

import logging
import traceback

from rq.timeouts import JobTimeoutException

from engine.errors import EngineClosed, RequestError
from engine.events import Cancelled, Done, Failed
from engine.segments import TurnRequest
from store import chats, turns
from store.errors import Failure, Stale, StoreError
from store.prompt_records import pack
from store.status import fields_of
from store.turns.kinds import Result
from worker.context import WorkerContext
from worker.endings import Endings, NotSaved
from worker.kept_ends import KeptEnds
from worker.prompt.build import PartPlan, plan_part
from worker.prompt.draft import TurnDraft
from worker.prompt.errors import PartError
from worker.prompt.recall import Recalled
from worker.prompt.segments import Limits
from worker.prompt.status import parse
from worker.prompt_record import prompt_record
from worker.recall import recalled_for
from worker.reply_collector import ReplyCollector
from worker.running_turns import RunningTurn, StopReason
from worker.token_probabilities import word_probabilities

log = logging.getLogger(__name__)

MAX_CRASHES = 3

PartEnd = Done | Cancelled | Failure


class Attempt:
    """The work of a lane on one claimed turn."""

    def __init__(self, context: WorkerContext, claim: turns.Claim) -> None:
        self._context, self._turn, self._number = context, claim.turn, claim.attempt
        self._running = RunningTurn(claim.turn.id, claim.turn.chat_id, claim.attempt)
        self._events = context.publisher.open(claim.turn.chat_id, claim.turn.id, claim.attempt)
        self._collector = ReplyCollector(self._events, self._running)
        self._endings = Endings(context.db, claim, self._events, KeptEnds(context.data_dir))
        self._draft: TurnDraft | None = None
        self._plan: PartPlan | None = None
        self._recalled = Recalled()

    def run(self) -> None:
        """Write the turn and end it. Raises nothing but what ends the process."""
        self._context.running.add(self._running)
        if self._context.draining.is_set():  # the drain began between the claim and here
            self._running.stop(StopReason.DRAINING)
        try:
            self._write_and_end()
        except Stale as stale:
            log.info("turn %s: dropped, %s", self._turn.id, stale)
            self._endings.drop()
        except Exception:
            # the lease runs out, and recovery gives the turn to another worker
            log.exception("turn %s: its end could not be saved, attempt %d is abandoned", self._turn.id, self._number)
            self._endings.drop()
        finally:
            self._context.running.remove(self._running)

    def _write_and_end(self) -> None:
        try:
            if not self._endings.save_kept():
                self._end(self._write())
        except (Stale, NotSaved):
            raise
        except RequestError as error:
            self._endings.fail(_engine_failure(error.code, str(error)))
        except StoreError as error:
            self._endings.fail(Failure(error.reason, error.values))
        except EngineClosed:
            self._give_back()
        except JobTimeoutException:
            self._running.stop(StopReason.ABANDONED)
            self._endings.fail(Failure("too_slow"))
        except MemoryError as error:
            self._let_go_of_memory(error)
            log.error("turn %s: attempt %d needed more memory than there is", self._turn.id, self._number)
            self._running.stop(StopReason.ABANDONED)
            self._endings.fail(Failure("out_of_memory"))
        except Exception:
            log.exception("turn %s: attempt %d failed", self._turn.id, self._number)
            self._running.stop(StopReason.ABANDONED)
            self._endings.fail(Failure("internal"))

    def _let_go_of_memory(self, error: MemoryError) -> None:
        """Free what the attempt has read and planned, so that there is room to say how it ended."""
        traceback.clear_frames(error.__traceback__)
        self._draft = self._plan = None

    def _end(self, end: PartEnd) -> None:
        """Choose the ending; a reply that is complete is kept even when the worker drains."""
        reason = self._running.reason
        if reason is StopReason.STALE:
            raise Stale(self._turn.id, self._number)
        outcome = self._draft.outcome if self._draft else turns.Outcome()
        window = dict(self._plan.window) if self._plan else None
        if isinstance(end, Done):
            self._endings.commit(outcome, window)
        elif reason is StopReason.DRAINING:
            self._give_back()
        elif isinstance(end, Cancelled):
            self._endings.cancel(outcome, window)
        else:
            self._endings.fail(end)

    def _give_back(self) -> None:
        """The worker drains, or its engine has died: only the latter counts as a crash of the turn."""
        self._endings.give_back(self._collector.text, crashed=self._running.reason is not StopReason.DRAINING)

    # -- writing ------------------------------------------------------------------------------------------------------

    def _write(self) -> PartEnd:
        """Write all parts into the draft; the end of the last one, or of one that is not done.

        Raises EngineClosed, StoreError.
        """
        if self._turn.crashes >= MAX_CRASHES:
            return Failure("too_many_attempts")
        self._events.state("waking")
        story = chats.load_story(self._context.db, self._turn.chat_id)
        self._draft = draft = TurnDraft(self._turn, story, self._context.engine.model_key)
        self._recalled = recalled_for(self._context.db, story, self._limits())
        end: PartEnd = Failure("internal")
        for part, kind in enumerate(self._turn.parts):
            try:
                end = self._write_part(part, kind, draft)
            except PartError as error:
                end = error.failure
            except RequestError as error:
                end = _engine_failure(error.code, str(error))
            if isinstance(end, Failure) and draft.outcome.replies:
                log.warning("turn %s: part %d failed: %s", self._turn.id, part, end)
                return Done("", (), "end")  # so that `_end` commits the parts before it
            if not isinstance(end, Done):
                return end
        return end

    def _write_part(self, part: int, kind: str, draft: TurnDraft) -> PartEnd:
        framing, limits = self._context.framing, self._limits()
        self._plan = plan = plan_part(draft.story, self._turn, kind, framing, limits, recalled=self._recalled)
        draft.set_window(plan.window)
        spec = plan.spec
        self._events.part(part, len(self._turn.parts), kind, spec.role, spec.name, spec.target_id, spec.begins)
        end = self._generate(part, plan)
        if isinstance(end, Failure):
            return end
        draft.add_stats(end.stats)
        if spec.result is not Result.STATUS:
            words = word_probabilities(end.tokens, self._collector.top_tokens, self._context.piece)
            prompt = self._prompt_of(plan, draft, end) if spec.result is Result.MESSAGE else None
            draft.add_reply(spec, end, words, plan.lore, prompt, plan.recalled)
        elif isinstance(end, Done):
            draft.add_status(parse(fields_of(draft.story.character.card), end.text), end.tokens)
        if isinstance(end, Done) and not end.text.strip():
            return Failure("empty_reply")
        return end

    def _limits(self) -> Limits:
        """As little of the chat as possible when attempts have died."""
        return self._context.limits(minimal=self._turn.crashes >= MAX_CRASHES - 1)

    def _prompt_of(self, plan: PartPlan, draft: TurnDraft, end: Done | Cancelled) -> str | None:
        """What the model read for a part, as it is kept with the alternative."""
        context = self._context
        n_read = end.stats.n_evaluated
        return pack(prompt_record(plan, draft.story, context.piece, context.context_tokens, n_read))

    def _generate(self, part: int, plan: PartPlan) -> PartEnd:
        """Have the engine read and write one part. Raises EngineClosed, RequestError."""
        self._collector.begin_part(part, shown=plan.spec.result is not Result.STATUS)
        request = TurnRequest(
            session=self._turn.chat_id,
            wanted=plan.wanted,
            reply=plan.reply,
            forgotten=plan.forgotten,
            pinned=plan.pinned,
            use_blocks=self._turn.crashes == 0 or part > 0,
        )
        ticket = self._context.engine.submit(request, on_event=self._collector.on_event)
        self._running.on_stop(ticket.cancel)
        end = self._collector.collect(ticket)
        return _engine_failure(end.code, end.message) if isinstance(end, Failed) else end


def _engine_failure(code: str, message: str) -> Failure:
    """A failure that the engine explains itself, in a sentence that web does not translate."""
    return Failure(code, {"message": message})
