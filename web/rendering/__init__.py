"""Rendering for pages: chat text to safe HTML, numbers to amounts with units, import findings to sentences."""
