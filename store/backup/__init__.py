"""Backup and restore of an installation: dump to one archive file, restore from it."""
