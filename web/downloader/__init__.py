"""Downloader: the one process that fetches models, from hubs into the models folder.

What it does: does what the rows of the shelf want (store/shelf), one file at a time: headers, whole files, removals.
What it refuses to know: pages and people, GGUF beyond the length of a header, and which model runs.
"""
