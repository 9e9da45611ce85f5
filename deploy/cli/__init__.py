"""The command `inglenook`: one file for each kind of command, joined in main.py.

It runs in the checkout (`.venv/bin/inglenook`) and in both containers; it asks the rooms only through `store`, or runs
them as programs.
"""
