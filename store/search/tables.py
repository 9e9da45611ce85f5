"""The tables of the search index and what is said to each database in its own words (FTS5, tsvector).

What it does: `search_entries` gives every indexed message a number, `search_words` has its terms under that number.
They are derived data: made by a migration, filled by index.py, left out of backups (`is_derived`).
What it refuses to know: what a term is (terms.py), and who may see what is found (find.py).
"""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, TextClause, bindparam, text
from sqlalchemy.orm import Session

from store.search.terms import Phrase

ENTRIES = Table(
    "search_entries",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", String(32), unique=True),
)
_SQLITE_INSERT = text("INSERT INTO search_words (rowid, place, words) VALUES (:id, :place, :words)")
_POSTGRES_INSERT = text("INSERT INTO search_words (id, words) VALUES (:id, CAST(:words AS tsvector))")
_SQLITE_FIND = "SELECT rowid AS id FROM search_words WHERE search_words MATCH :query AND rowid < :before"
_POSTGRES_FIND = "SELECT id FROM search_words WHERE words @@ CAST(:query AS tsquery) AND id < :before"
_NEWEST = " ORDER BY 1 DESC LIMIT :most"


def is_derived(table_name: str) -> bool:
    """Whether a table holds nothing that cannot be made again from the others."""
    return table_name.startswith("search_")


def insert_words(session: Session, rows: Sequence[tuple[int, Sequence[str], Sequence[str]]]) -> None:
    """Add terms: (number, what narrows a search down, the words in their order)."""
    if not rows:
        return
    if _is_sqlite(session):
        values = [{"id": n, "place": " ".join(places), "words": " ".join(words)} for n, places, words in rows]
        session.execute(_SQLITE_INSERT, values)
    else:
        session.execute(_POSTGRES_INSERT, [{"id": n, "words": _vector(*both)} for n, *both in rows])


def delete_words(session: Session, numbers: Sequence[int]) -> None:
    """Remove the terms under these numbers."""
    column = "rowid" if _is_sqlite(session) else "id"
    statement = text(f"DELETE FROM search_words WHERE {column} IN :numbers")
    session.execute(statement.bindparams(bindparam("numbers", expanding=True)), {"numbers": list(numbers)})


def candidates(session: Session) -> TextClause:
    """The statement that finds numbers, the newest first; its parameters: query, before, most."""
    return text((_SQLITE_FIND if _is_sqlite(session) else _POSTGRES_FIND) + _NEWEST)


def query_text(session: Session, place: str, phrases: Sequence[Phrase]) -> str:
    """The query in the language of the database: all phrases, at this place."""
    if _is_sqlite(session):
        asked = [f'words : "{" ".join(phrase.words)}"{" *" if phrase.is_prefix else ""}' for phrase in phrases]
        return " AND ".join([f"place : {place}", *asked])
    asked = [
        f"'{phrase.words[0]}':*" if phrase.is_prefix else " <-> ".join(f"'{word}'" for word in phrase.words)
        for phrase in phrases
    ]
    return " & ".join([f"'={place}'", *(f"({one})" for one in asked)])


def _vector(places: Sequence[str], words: Sequence[str]) -> str:
    """The literal of a tsvector; a place begins with a sign that no word has."""
    stands: dict[str, list[str]] = {}
    for number, word in enumerate(words, start=1):
        stands.setdefault(word, []).append(str(number))
    lexemes = [f"'={place}'" for place in places]
    return " ".join(lexemes + [f"'{word}':{','.join(numbers)}" for word, numbers in stands.items()])


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def newest_number(session: Session) -> int:
    """The largest number that is in use; 0 for none."""
    return int(session.execute(text("SELECT coalesce(max(id), 0) FROM search_entries")).scalar_one())


def drop_tables(connection: Connection) -> None:
    """Drop the index where there is one, before everything is made anew."""
    for name in ("search_words", "search_entries"):
        connection.execute(text(f"DROP TABLE IF EXISTS {name}"))


def index_again(connection: Connection) -> None:
    """Let every message wait for the index: it is empty after a restore."""
    connection.execute(text("UPDATE messages SET indexed = :no"), {"no": False})
