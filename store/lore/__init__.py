"""Lorebooks: texts that come into the prompt when their keys occur in a chat. Pure, but for books.py (the table)."""
