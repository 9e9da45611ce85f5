"""Macro expansion for the texts of cards and people: {{char}}, {{random::tea::coffee}}, {{time}} ..."""

from store.macros.resolver import Scene, may_be_in, resolve

__all__ = ["Scene", "may_be_in", "resolve"]
