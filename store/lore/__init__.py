"""Lorebooks: what a chat is told when its words come up. Pure but for books.py, which has the table."""
