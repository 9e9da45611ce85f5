"""Options of an engine: lanes, byte budgets, time limits.

To add one: a field with its unit in its name here, a line in the docstring, and worker/engine_setup.py for a setting.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`context` tokens per session, `lanes` turns at once. Without `folder` there is no disk tier.

    `logits_bytes`: budget of the logits cache (n_vocab floats a row; a chat in use has two).

    `park_after_s`: an idle session leaves the cells after this long while others are active. `step_s`: the longest a
    step should take, so that a stop is seen in time; `longest_s`: the longest it may take where it cannot be broken off
    (on a card), even with fewer tokens than pay. `tolerance_s`: restoring may be slower than reading by this much.

    `reread_every`: a session with a recurrent state, which keeps a trace of all that it forgets, is read again at every
    so many forgettings (0: never).

    `windows_in_ram`: how far back what a sliding window held stays in RAM, in windows; further back it is on disk.

    `checkpoints` of a session with a recurrent state: at the ends of its last turns, and as many around its last reply.
    """

    context: int = 2048
    lanes: int = 2
    ram_bytes: int = 512 << 20
    disk_bytes: int = 4 << 30
    logits_bytes: int = 32 << 20
    folder: Path | None = None
    park_after_s: float = 1.0
    step_s: float = 0.4
    longest_s: float = 1.2
    tolerance_s: float = 0.1
    max_sessions: int = 512
    checkpoints: int = 2
    windows_in_ram: int = 2
    reread_every: int = 0
