"""Backup and restore of an installation: one archive file with every table and the secret key."""
