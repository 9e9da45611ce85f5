"""Character cards as files: read from PNG, WEBP, CHARX and JSON, kept without loss, written as PNG and JSON.

Pure: bytes in, values out; no database, no requests. files.py is the door; report.py tells what becomes of a card.
"""
