"""The scenarios of bench/side_by_side.py, a part each."""
