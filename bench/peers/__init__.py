"""Inglenook and what people would use instead, driven by the same hand: see bench/side_by_side.py."""
