"""Failpoints: named places in the code at which a process kills itself (SIGKILL) when a file of that name is there.

A name is `PLACE@before` or `PLACE@after`. PLACE is `module:function` or `module:Class.function`; or `commit`, the
COMMIT of a transaction of this process; or `sql:WORDS`, a statement that begins so, inside its transaction. The places
are listed in the file `places` of the folder; the file that arms one is taken away by the process that dies of it, so
each kills once. What it refuses to know: who arms them (tests/nemesis/crashes.py).
"""

import functools
import importlib.machinery
import os
import signal
import sys
from pathlib import Path


def install(folder):
    """Hook the import of the modules named in `places`; what is imported already is hooked now."""
    places = Path(folder, "places").read_text(encoding="ascii").split("\n")
    functions = {}
    for place in places:
        module, _, name = place.partition(":")
        functions.setdefault(module, []).append(name)
    hook = _Hook(folder, functions)
    real = importlib.machinery.SourceFileLoader.exec_module

    def exec_module(loader, module):
        real(loader, module)
        hook.loaded(module)

    importlib.machinery.SourceFileLoader.exec_module = exec_module
    for name in {*functions, "store.db"} & set(sys.modules):
        hook.loaded(sys.modules[name])


class _Hook:
    def __init__(self, folder, functions):
        self.folder, self.functions = folder, functions

    def loaded(self, module):
        """A module has been executed: wrap what is named in it."""
        for name in self.functions.get(module.__name__, ()):
            owner = module
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            setattr(owner, last, self._wrapped(f"{module.__name__}:{name}", getattr(owner, last)))
        if module.__name__ == "store.db":
            self._hear_of_statements()

    def _wrapped(self, place, function):
        @functools.wraps(function)
        def wrapper(*args, **named):
            self._die_at(f"{place}@before")
            answer = function(*args, **named)
            self._die_at(f"{place}@after")
            return answer

        return wrapper

    def _hear_of_statements(self):
        from sqlalchemy import Engine, event

        statements = self.functions.get("sql", ())

        def before(_connection, _cursor, statement, *_rest):
            for words in statements:
                if statement.startswith(words):
                    self._die_at(f"sql:{words}@before")

        def after(_connection, _cursor, statement, *_rest):
            for words in statements:
                if statement.startswith(words):
                    self._die_at(f"sql:{words}@after")

        event.listen(Engine, "before_cursor_execute", before)
        event.listen(Engine, "after_cursor_execute", after)
        event.listen(Engine, "commit", lambda _connection: self._die_at("commit@before"))

    def _die_at(self, name):
        path = os.path.join(self.folder, name.replace("/", "_"))
        if os.path.exists(path):
            try:
                os.rename(path, path + ".met")
            except FileNotFoundError:
                return  # another process was faster
            os.kill(os.getpid(), signal.SIGKILL)
