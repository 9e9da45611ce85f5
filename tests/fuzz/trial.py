"""One mutated file through everything that reads cards, with its time and its memory measured: `tried`.

A file is either taken or refused with a CardError; anything else is a failure. Part of what is taken is also reported,
written out as JSON and PNG, and read once more.
"""

import gc
import itertools
import resource
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from store.cards.errors import PROBLEMS, CardError
from store.cards.files import read_card, write_json, write_png
from store.cards.report import findings
from store.cards.stored_card import data_of
from tests.fuzz.mutations import case
from tests.store.card_files import picture

MAX_CPU_S, MAX_BYTES = 0.2, 64 << 20  # of reading a file
MAX_AFTER_S = 1.0  # of reporting it, writing it twice and reading it twice more
TRACED = 25  # every so many cases memory is counted allocation by allocation, which takes its time
FOLLOWED = 5  # every so many cases what is taken goes all the way out and in again
STATM = Path("/proc/self/statm")
PAGE = resource.getpagesize()


@dataclass(frozen=True)
class TrialResult:
    """`code` says how it ended; `wrong` what must not be."""

    number: int
    code: str
    cpu_s: float
    n_bytes: int
    wrong: str = ""


def tried(number):
    """The verdict on one file. Needing more address space than MAX_BYTES is a MemoryError, and so a failure."""
    filename, data = case(number)
    traced = number % TRACED == 0
    if traced:
        tracemalloc.start()
    with Fence():
        code, cpu_s, file, wrong = _read(data, filename)
        begin = time.process_time()
        wrong = wrong or (_after(file, filename) if file and number % FOLLOWED == 0 else "")
        after_s = time.process_time() - begin
    n_bytes = tracemalloc.get_traced_memory()[1] if traced else 0
    tracemalloc.stop()
    if not traced and (cpu_s > MAX_CPU_S or after_s > MAX_AFTER_S):
        wrong = wrong or f"{cpu_s * 1000:.0f} and {after_s * 1000:.0f} ms of CPU"
    if n_bytes > MAX_BYTES:
        wrong = wrong or f"{n_bytes >> 20} MiB of memory"
    return TrialResult(number, code, 0.0 if traced else cpu_s, n_bytes, wrong)


def share(first, step, seconds):
    """Every `step`-th case from `first` for so many seconds: the codes counted, the worst, and all that is wrong."""
    deadline, codes, wrong, slowest, largest = time.monotonic() + seconds, Counter(), [], None, None
    for number in itertools.count(first, step):
        one = tried(number)
        codes[one.code] += 1
        wrong += [one] if one.wrong else []
        slowest = one if slowest is None or one.cpu_s > slowest.cpu_s else slowest
        largest = one if largest is None or one.n_bytes > largest.n_bytes else largest
        if time.monotonic() > deadline:
            return codes, wrong, slowest, largest


class Fence:
    """Inside of it this process cannot get more than MAX_BYTES beside what it has (Linux only; elsewhere no fence)."""

    def __enter__(self):
        gc.collect(0)
        self.before = resource.getrlimit(resource.RLIMIT_AS)
        if STATM.exists():
            now = int(STATM.read_text().split()[0]) * PAGE
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_BYTES, self.before[1]))

    def __exit__(self, *_error):
        resource.setrlimit(resource.RLIMIT_AS, self.before)


def _read(data, filename):
    """How reading ended: a code, the seconds, the card if there is one, what is wrong."""
    begin, file, wrong = time.process_time(), None, ""
    try:
        file = read_card(data, filename)
        code = "taken"
    except CardError as refused:
        code = refused.code
        wrong = "" if "{" not in PROBLEMS[refused.reason].format(**refused.values) else "no sentence"
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is what is looked for here)
        code, wrong = "failure", f"{type(error).__name__}: {error}"[:200]
    return code, time.process_time() - begin, file, wrong


def _after(file, filename):
    """What is wrong with the report of a card, or with what goes out and comes in again."""
    try:
        findings(file.card)
        again = read_card(write_json(file.card), filename)
        out = read_card(write_png(picture(), file.card), filename)
    except CardError as refused:  # the card is at the limit of what is allowed, and ours is a little longer
        return "" if refused.code in ("card_too_large", "too_many_values") else f"ours: {refused.code}"
    except BaseException as error:  # noqa: BLE001 (the same)
        return f"afterwards {type(error).__name__}: {error}"[:200]
    same = data_of(again.card) == data_of(file.card) == data_of(out.card)
    return "" if same else "what goes out comes in different"
