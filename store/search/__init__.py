"""Full-text search over the messages of a person's stories (inverted index), in SQLite's FTS5 or PostgreSQL's tsvector.

What it does: terms.py makes terms of a text (stems of English words, bigrams of Chinese), index.py keeps the index up
to date behind the writers' backs, find.py looks a query up, excerpts.py shows where it was found.
"""

from store.search.find import Found, Hit, find, titles
from store.search.index import index_some, remove

__all__ = ["Found", "Hit", "find", "index_some", "remove", "titles"]
