"""Sharing pages: with whom a character or a lorebook is shared, and what children and teens ask for."""
