"""Lorebook pages: import, editing of entries, trying them, export."""
