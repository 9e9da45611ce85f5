"""`python -m bench.reporting_worker FILE`: a worker that also writes down what a bench cannot see from outside.

One JSON line each: ["submit", seconds, chat] when the engine is asked for a turn (the machine's clock), and
["engine", id] with the thread in which the engine works, so that /proc tells what the model cost and what the rest did.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from engine import Engine
from worker.main import main

_asked = Engine.submit


def _tell(*what: object) -> None:
    with Path(sys.argv[1]).open("a") as file:
        file.write(json.dumps(what) + "\n")


def _submit(engine: Engine, request: Any) -> Any:
    _tell("submit", time.time(), request.session)
    return _asked(engine, request)


def _look() -> None:
    found: list[threading.Thread] = []
    while not found:
        time.sleep(0.05)
        found = [thread for thread in threading.enumerate() if thread.name == "engine"]
    _tell("engine", found[0].native_id)


if __name__ == "__main__":
    Engine.submit = _submit  # type: ignore[method-assign]
    threading.Thread(target=_look, daemon=True).start()
    sys.exit(main())
