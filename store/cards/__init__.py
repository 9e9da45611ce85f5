"""Character cards: read from PNG, WEBP, CHARX and JSON, stored without loss, written as PNG and JSON. Pure.

Start at files.py; report.py says which fields are applied.
"""
