"""Internationalization: the locale of a request, message catalogues, and the extraction of new messages."""
