"""Shelf: the models of an installation, as rows: files, their parts, plans of workers, choices.

What it does: the doors between four kinds of processes that share nothing else. Each column has one owner:
- web and the command line write what is wanted (asking.py) and which model a worker is to run (choices.py);
- the downloader writes the state, the parts and the progress of what it fetches (transfers.py);
- the worker writes what lies in the models folder, the facts of its headers, its plans (folder.py), and how far it is
  with its choice (choices.py). Everybody reads (reading.py).
The states of a file: asked -> looked (its header is here) -> waiting -> fetching -> checking -> installed; listed (a
pattern that fits several files or none: `facts["files"]`), paused, failed, canceled, gone (it has left the folder).
What it refuses to know: files, networks, GGUF.
"""
