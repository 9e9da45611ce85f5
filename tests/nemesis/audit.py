"""What really happened in the database: triggers write every step of every turn into a table of their own.

What it does: `install` once on a migrated SQLite file, `read` the history in the order of the transactions.
What it refuses to know: what is allowed (checker.py).
"""

import contextlib
import json
import sqlite3
from dataclasses import dataclass

_TABLE = """
CREATE TABLE IF NOT EXISTS nemesis_audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL, turn TEXT, before TEXT, state TEXT,
    attempt_before INTEGER, attempt INTEGER, worker TEXT, detail TEXT,
    text_before TEXT, text TEXT, at REAL DEFAULT ((julianday('now') - 2440587.5) * 86400)
);
CREATE TRIGGER IF NOT EXISTS nemesis_begun AFTER INSERT ON turns BEGIN
    INSERT INTO nemesis_audit (what, turn, state, attempt, worker)
    VALUES ('begun', new.id, new.state, new.attempt, new.worker);
END;
CREATE TRIGGER IF NOT EXISTS nemesis_changed AFTER UPDATE OF state, attempt, worker ON turns
WHEN old.state <> new.state OR old.attempt <> new.attempt OR old.worker IS NOT new.worker BEGIN
    INSERT INTO nemesis_audit (what, turn, before, state, attempt_before, attempt, worker, detail)
    VALUES ('changed', new.id, old.state, new.state, old.attempt, new.attempt, new.worker, new.error_code);
END;
CREATE TRIGGER IF NOT EXISTS nemesis_worded AFTER INSERT ON alternatives WHEN new.turn_id IS NOT NULL BEGIN
    INSERT INTO nemesis_audit (what, turn, state, attempt, detail, text)
    SELECT 'worded', new.turn_id, (SELECT state FROM turns WHERE id = new.turn_id),
        (SELECT attempt FROM turns WHERE id = new.turn_id), new.message_id || '.' || new.position, new.text;
END;
CREATE TRIGGER IF NOT EXISTS nemesis_reworded AFTER UPDATE OF text ON alternatives WHEN old.text <> new.text BEGIN
    INSERT INTO nemesis_audit (what, turn, state, attempt, detail, text_before, text)
    SELECT 'reworded', new.turn_id, (SELECT state FROM turns WHERE id = new.turn_id),
        (SELECT attempt FROM turns WHERE id = new.turn_id), new.message_id || '.' || new.position, old.text, new.text;
END;
CREATE TRIGGER IF NOT EXISTS nemesis_unsaid AFTER DELETE ON messages BEGIN
    INSERT INTO nemesis_audit (what, turn, detail) VALUES ('unsaid', old.turn_id, old.id);
END;
"""


@dataclass(frozen=True)
class Step:
    """One thing that one transaction did to a turn."""

    number: int
    what: str  # begun | changed | worded | reworded | unsaid
    turn: str | None
    before: str | None
    state: str | None
    attempt_before: int | None
    attempt: int | None
    worker: str | None
    detail: str | None  # message and position of words, the error of a failure
    text_before: str | None
    text: str | None
    at: float


def install(path):
    """Put the triggers into a migrated database."""
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.executescript(_TABLE)


def read(path):
    """Every step so far, oldest first."""
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        rows = connection.execute(
            "SELECT number, what, turn, before, state, attempt_before, attempt, worker, detail, text_before, text, at"
            " FROM nemesis_audit ORDER BY number"
        )
        return [Step(*row) for row in rows]


def turns(path):
    """Every turn as it is now: dicts of its columns, and its `parts`."""
    rows = _rows(path, "SELECT * FROM turns ORDER BY created_at, id")
    for row in rows:
        row["parts"] = (row["kind"], *json.loads(row["params"]).get("then", ()))
        row["suggestion"] = json.loads(row["result"]).get("suggestion")
    return rows


def running(path):
    """(turn, worker, state) of all turns that are queued or running."""
    rows = _rows(
        path, "SELECT id, worker, state FROM turns WHERE state NOT IN ('waiting', 'done', 'failed', 'cancelled')"
    )
    return [(row["id"], row["worker"], row["state"]) for row in rows]


def n_unfinished(path):
    """How many turns have not ended."""
    rows = _rows(path, "SELECT count(*) AS n FROM turns WHERE state NOT IN ('done', 'failed', 'cancelled')")
    return rows[0]["n"]


def _rows(path, query):
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def messages(path, chats):
    """chat -> its messages in order: dicts with role, turn_id and `alternatives` (dicts with text, turn_id)."""
    found = {chat: [] for chat in chats}
    by_id = {}
    for row in _rows(path, "SELECT * FROM messages WHERE deleted_at IS NULL ORDER BY chat_id, ordinal"):
        if row["chat_id"] in found:
            by_id[row["id"]] = {**row, "alternatives": []}
            found[row["chat_id"]].append(by_id[row["id"]])
    for row in _rows(path, "SELECT * FROM alternatives ORDER BY message_id, position"):
        if row["message_id"] in by_id:
            row["status"] = json.loads(row["status"] or "null")
            by_id[row["message_id"]]["alternatives"].append(row)
    return found
