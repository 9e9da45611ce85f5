"""Prompt building, pure: from a story to wanted segments, sampling and stops. No I/O, no clock."""
